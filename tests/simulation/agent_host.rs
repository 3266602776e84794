//! A host of many agents, each with an uplink of its own.

use crate::simulated_agent::SimulatedAgent;
use crate::simulated_clocks::{SimulatedClocks, true_ns};
use crate::simulated_network::{FRONTEND, PORT, connect};
use crate::world::{AgentOrder, Phase, World};
use pivot_protocol::Clocks;
use pivot_tests::random::Random;
use pivot_uplink::{Config, Machine};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tonic::transport::{Channel, Endpoint, Error};

/// How often an agent looks what to do.
const STEP: Duration = Duration::from_millis(50);

/// The part of each second in which events happen. Far from the ends of windows, so that it is known in which one they are
/// although clocks are only measured.
const MIDDLE_MS: std::ops::Range<i64> = 250..750;

/// In which time of its life a process gets to know the frontend's time.
const FIRST_MEASURES_NS: i64 = 2_000_000_000;

/// An agent's machine: the clocks of its host.
#[derive(Clone)]
struct AgentMachine {
    clocks: std::sync::Arc<SimulatedClocks>,
    random: Rc<RefCell<Random>>,
}

impl Clocks for AgentMachine {
    fn steady_ns(&self) -> i64 {
        self.clocks.steady_ns()
    }

    fn wall_ns(&self) -> i64 {
        self.clocks.wall_ns()
    }
}

impl Machine for AgentMachine {
    fn connect(&self, endpoint: &Endpoint) -> impl Future<Output = Result<Channel, Error>> {
        connect(endpoint)
    }

    fn random(&self) -> u64 {
        let mut random = self.random.borrow_mut();
        let mut half = || random.below(1 << 32) as u64;
        (half() << 32) | half()
    }
}

/// The agents of one host.
#[derive(Debug, Clone)]
pub(crate) struct AgentHost {
    pub(crate) name: String,
    pub(crate) agents: usize,
    pub(crate) seed: u64,
    pub(crate) lease: Duration,
    pub(crate) clocks: std::sync::Arc<SimulatedClocks>,
    pub(crate) world: World,
}

impl AgentHost {
    /// Returns the name of one of its processes.
    pub(crate) fn process(&self, number: usize) -> String {
        format!("{}-{number}", self.name)
    }

    /// Runs all agents until they have left for good.
    pub(crate) async fn run(self, starts: u64) -> turmoil::Result {
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..self.agents {
            let seed = self.seed ^ (number as u64) << 32 ^ starts << 48;
            tasks.spawn_local(self.clone().live(self.process(number), Random::new(seed)));
        }
        tasks.join_all().await;
        Ok(())
    }

    /// Lets one agent live, as often as it dies or leaves.
    async fn live(self, process: String, mut random: Random) {
        sleep(Duration::from_millis(random.below(1_500) as u64)).await;
        while self.world.phase() == Phase::Running {
            self.world.agent_started(&process);
            let pause_ms = self.live_once(&process, &mut random).await;
            self.world.agent_ended(&process);
            sleep(Duration::from_millis(pause_ms)).await;
        }
    }

    /// Lets one process live, and returns after how many milliseconds it is started again.
    async fn live_once(&self, process: &str, random: &mut Random) -> u64 {
        let agent = SimulatedAgent::new(self.world.clone(), process);
        let seed = random.below(1 << 40) as u64;
        let machine =
            AgentMachine { clocks: self.clocks.clone(), random: Rc::new(RefCell::new(Random::new(seed))) };
        let config = Config::new()
            .process(process)
            .host(&self.name)
            .build("simulated")
            .lease(self.lease)
            .frontend(format!("http://{FRONTEND}:{PORT}"));

        let (leave, left) = oneshot::channel();
        let uplink = config.run_over(agent.clone(), machine, async {
            // Nobody orders it to leave: then it stays.
            if left.await.is_err() {
                std::future::pending::<()>().await;
            }
        });
        tokio::pin!(uplink);

        let (mut leave, mut pause_ms) = (Some(leave), 0);
        let began_ns = true_ns();
        let mut steps = interval(STEP);
        steps.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            // What is late after a pause comes first: windows end before anything else happens.
            tokio::select! {
                biased;
                ended = &mut uplink => {
                    ended.expect("the address is one");
                    self.world.log(&format!("{process} has left"));
                    return pause_ms;
                }
                _ = steps.tick() => {}
            }

            if true_ns() - began_ns < FIRST_MEASURES_NS {
                self.world.note_measuring(&self.name, process);
            }
            match self.world.take_order(process) {
                Some(AgentOrder::Die(ms)) => {
                    self.world.note_death(process);
                    self.world.log(&format!("{process} dies"));
                    return ms;
                }
                Some(AgentOrder::Stand(ms)) => {
                    sleep(Duration::from_millis(ms)).await;
                    continue;
                }
                Some(AgentOrder::Leave(ms)) => {
                    // It does not wait for a frontend that is not there.
                    self.world.note_death(process);
                    pause_ms = ms;
                    leave.take().map(|leave| leave.send(()));
                }
                None if self.world.phase() != Phase::Running => {
                    leave.take().map(|leave| leave.send(()));
                }
                None => {}
            }
            let is_middle = MIDDLE_MS.contains(&(true_ns() / 1_000_000 % 1_000));
            if leave.is_some() && is_middle {
                (0..random.below(3)).for_each(|_| agent.hit());
            }
        }
    }
}
