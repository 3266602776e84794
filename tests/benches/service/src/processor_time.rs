//! Processor time of another process, as the kernel counts it for each of its threads.

use std::fs;
use std::path::Path;
use std::time::Duration;

/// The name of the thread by which an agent reports.
const AGENT: &str = "pivot-uplink";

/// What the threads of a process have used so far.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ProcessorTime {
    /// All threads but the agent's.
    pub(crate) application: Duration,
    pub(crate) agent: Duration,
}

impl ProcessorTime {
    /// Reads the time of a process, in which no thread may end between two readings.
    pub(crate) fn of(process: u32) -> anyhow::Result<ProcessorTime> {
        let mut used = ProcessorTime::default();
        for thread in fs::read_dir(format!("/proc/{process}/task"))? {
            let thread = thread?.path();
            let time = time_of(&thread)?;
            match fs::read_to_string(thread.join("comm"))?.trim() {
                AGENT => used.agent += time,
                _ => used.application += time,
            }
        }
        Ok(used)
    }
}

/// Returns the time that one thread was running.
fn time_of(thread: &Path) -> anyhow::Result<Duration> {
    let stat = fs::read_to_string(thread.join("schedstat"))?;
    let running = stat.split(' ').next().unwrap_or_default();
    Ok(Duration::from_nanos(running.parse()?))
}
