//! The host of the frontend, with its clocks and its disk.

use crate::simulated_clocks::{SimulatedClocks, true_ns};
use crate::simulated_disk::SimulatedDisk;
use crate::simulated_network::{PORT, coming};
use crate::world::World;
use pivot_frontend::{BlockingWork, FrontendOptions, Machine, start_over};
use pivot_protocol::Clocks;
use pivot_tests::random::Random;
use redb::{Database, DatabaseError};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How long a supervisor waits before it starts a frontend again that has ended by itself.
const RESTART: Duration = Duration::from_millis(200);

/// The machine of the frontend.
#[derive(Debug)]
pub(crate) struct FrontendMachine {
    pub(crate) clocks: SimulatedClocks,
    pub(crate) disk: SimulatedDisk,
    /// How often the machine has started.
    boots: AtomicU64,
    random: Mutex<Random>,
}

impl FrontendMachine {
    pub(crate) fn new(seed: u64) -> FrontendMachine {
        let mut random = Random::new(seed);
        let (drift_ppm, steady_ns) = (random.within(-100, 100), random.within(0, 1 << 50));
        FrontendMachine {
            clocks: SimulatedClocks::new(drift_ppm, steady_ns),
            disk: SimulatedDisk::new(seed),
            boots: AtomicU64::new(0),
            random: Mutex::new(random),
        }
    }

    /// Ends the process; what the system has of its file stays.
    pub(crate) fn kill(&self) {
        self.disk.end_process();
    }

    /// Takes the power away.
    pub(crate) fn lose_power(&self, true_ns: i64) {
        self.disk.end_process();
        self.disk.lose_power();
        self.clocks.reboot(true_ns);
        self.boots.fetch_add(1, Ordering::Relaxed);
    }
}

impl Clocks for FrontendMachine {
    fn steady_ns(&self) -> i64 {
        self.clocks.steady_ns()
    }

    fn wall_ns(&self) -> i64 {
        self.clocks.wall_ns()
    }
}

impl Machine for FrontendMachine {
    fn boot(&self) -> String {
        format!("boot-{}", self.boots.load(Ordering::Relaxed))
    }

    fn random(&self) -> Option<u32> {
        let mut random = self.random.lock().expect("nothing panics with it");
        u32::try_from(random.below(1 << 32)).ok()
    }

    fn open_database(&self, _: &Path) -> Result<Database, DatabaseError> {
        Database::builder().create_with_backend(self.disk.open())
    }

    fn has_files(&self) -> bool {
        false
    }

    fn blocking_work(&self) -> BlockingWork {
        BlockingWork::Inline
    }
}

/// Serves for as long as the process lives.
pub(crate) async fn run(world: World, machine: Arc<FrontendMachine>) -> turmoil::Result {
    let listen = SocketAddr::from(([127, 0, 0, 1], PORT));
    let data = Some(PathBuf::from("/simulated"));
    let coming = coming().await?;
    tokio::pin!(coming);

    loop {
        let options =
            FrontendOptions { listen, data: data.clone(), machine: machine.clone(), ..Default::default() };

        let (connections, received) = futures::channel::mpsc::unbounded();
        match start_over(options, received) {
            Ok(_running) => {
                world.log("the frontend serves");
                // Connections are handed over, so that they are accepted also by a frontend that starts again.
                loop {
                    let connection = futures::StreamExt::next(&mut coming).await.expect("it never ends");
                    let _ = connections.unbounded_send(connection);
                }
            }
            Err(error) => {
                world.log(&format!("the frontend does not start: {error}"));
                tokio::time::sleep(RESTART).await;
            }
        }
    }
}

/// Returns the true time, for a machine that is being started again.
pub(crate) fn now_ns(elapsed: Duration) -> i64 {
    i64::try_from(elapsed.as_nanos()).unwrap_or_else(|_| true_ns())
}
