//! [`ClientWorkload`]: the work of a client process, one operation after the other, each a request.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::data_set::{SCAN_PATH, SORT_INPUT, SORT_OUTPUT, get_path, mix};
use crate::process_counters::{AppCounters, ProcessCounters};
use crate::shutdown::ShutdownSignal;
use crate::{ProcessOptions, ProcessRole, StoreClient, StoreError, content};

/// The bytes of one read of stress.
const STRESS_BYTES: u64 = 8 << 10;

/// The longest pause after operations that failed one after the other.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// The work of one client process.
#[derive(Debug)]
struct ClientWorkload<'a> {
    options: &'a ProcessOptions,
    client: StoreClient,
    /// Differs between clients, so that two of a role do not read the same places.
    seed: u64,
}

/// Runs operations until the process has to end or has done as many as it should.
pub(crate) async fn run(
    options: &ProcessOptions,
    stop: &ShutdownSignal,
    counters: &ProcessCounters,
) -> Result<(), StoreError> {
    let counts = counters.app(options.role.as_str());
    let client = StoreClient::with_counters(&options.name_node, options.role.as_str(), counts.clone());
    let seed = options.name.bytes().fold(0, |seed, byte| mix(seed ^ u64::from(byte)));
    let workload = ClientWorkload { options, client, seed };

    println!("ready");
    // Tests weave their queries first, so that no operation is missed.
    if options.wait_for_go {
        stop.pause_until(&options.data_dir.join("go")).await;
    }
    workload.repeat(stop, counters, &counts).await
}

impl ClientWorkload<'_> {
    /// Repeats operations. One that failed is tried again, with the same number, after a growing pause.
    async fn repeat(
        &self,
        stop: &ShutdownSignal,
        counters: &ProcessCounters,
        counts: &Arc<AppCounters>,
    ) -> Result<(), StoreError> {
        let files = self.options.dataset.files().len() as u64;
        let last = if self.options.role == ProcessRole::Load { Some(files) } else { self.options.operations };

        let mut failures = 0;
        let mut number = 0;
        while last.is_none_or(|last| number < last) && !stop.is_requested() {
            // Each operation is a request of its own.
            let pause = match pivot::request(self.operation(number)).await {
                Ok(()) => {
                    counts.operations.fetch_add(1, Ordering::Relaxed);
                    (number, failures) = (number + 1, 0);
                    self.options.pace()
                }
                Err(error) => {
                    counters.failed.fetch_add(1, Ordering::Relaxed);
                    eprintln!("operation {number} of {} failed: {error}", self.options.name);
                    failures += 1;
                    LONGEST_PAUSE.min(Duration::from_millis(100 << failures.min(5)))
                }
            };

            stop.pause(pause).await;
        }
        Ok(())
    }

    #[pivot::tracepoints("Client.operation", fields(kind: String = self.options.role.to_string()))]
    async fn operation(&self, number: u64) -> Result<(), StoreError> {
        pivot::tracepoint!("ClientProtocols");

        match self.options.role {
            ProcessRole::Load => self.load(number).await,
            ProcessRole::Get => self.get(number).await,
            ProcessRole::Scan => self.scan(number).await,
            ProcessRole::Sort => self.sort(number).await,
            ProcessRole::Stress => self.stress(number).await,
            ProcessRole::NameNode | ProcessRole::DataNode | ProcessRole::Measure => {
                Err(StoreError::Role(format!("{} for a client", self.options.role)))
            }
        }
    }

    /// Returns a number below `below` that looks random and depends on this client and `number` alone.
    fn random(&self, number: u64, below: u64) -> u64 {
        mix(self.seed ^ number) % below.max(1)
    }

    /// Writes one file of the data set, unless it is there.
    async fn load(&self, number: u64) -> Result<(), StoreError> {
        let Some((path, length)) = self.options.dataset.file(number) else { return Ok(()) };
        match self.client.length(&path).await {
            Err(StoreError::NotFound(_)) => {
                let content = content(&path, length).into();
                self.client.write(&path, content, self.options.dataset.block_bytes).await
            }
            found => found.map(drop),
        }
    }

    /// Reads a small file as a whole.
    async fn get(&self, number: u64) -> Result<(), StoreError> {
        let path = get_path(self.random(number, self.options.dataset.get_files));
        self.client.read(&path).await.map(drop)
    }

    /// Reads the large file as a whole.
    async fn scan(&self, number: u64) -> Result<(), StoreError> {
        let length = self.client.length(SCAN_PATH).await?;
        self.client.read_range(SCAN_PATH, 0, length, drop).await?;
        job_complete("scan", number);
        Ok(())
    }

    /// Sorts the words of the input. The output replaces the one before it, so the disk stays bounded.
    async fn sort(&self, number: u64) -> Result<(), StoreError> {
        let input = self.client.read(SORT_INPUT).await?;
        let mut words: Vec<u64> =
            input.chunks_exact(8).filter_map(|word| word.try_into().ok()).map(u64::from_le_bytes).collect();
        words.sort_unstable();
        let output: Vec<u8> = words.into_iter().flat_map(u64::to_le_bytes).collect();

        // Written beside and renamed. An earlier attempt may have left its file.
        let fresh = format!("{SORT_OUTPUT}.{}", self.options.name);
        self.client.delete(&fresh).await?;
        self.client.write(&fresh, output.into(), self.options.dataset.block_bytes).await?;
        self.client.rename(&fresh, SORT_OUTPUT).await?;
        job_complete("sort", number);
        Ok(())
    }

    /// Reads a few bytes at a random place.
    async fn stress(&self, number: u64) -> Result<(), StoreError> {
        let path = get_path(self.random(number, self.options.dataset.get_files));
        pivot::tracepoint!(
            "StressTest.DoNextOp",
            op: String = "read".to_owned(),
            file: String = path.clone(),
        );

        let places = self.options.dataset.get_bytes / STRESS_BYTES;
        let offset = self.random(!number, places) * STRESS_BYTES;
        self.client.read_range(&path, offset, STRESS_BYTES, drop).await?;
        Ok(())
    }
}

/// Marks the end of a job, after all its replies have come back.
fn job_complete(kind: &str, number: u64) {
    pivot::tracepoint!("JobComplete", id: String = format!("{kind}-{number}"));
}

/// Removes what a process wrote, and the folder of the cluster when the last one has left it.
pub(crate) fn remove_leftovers(options: &ProcessOptions) {
    let name = &options.name;
    for file in ["go", "stop", &format!("{name}.log"), &format!("{name}.stats.json")] {
        // Gone already: another process of the cluster has removed it.
        let _ = std::fs::remove_file(options.data_dir.join(file));
    }
    let _ = std::fs::remove_dir_all(options.folder());
    let _ = std::fs::remove_dir(Path::new(&options.data_dir));
}
