//! How much memory the process has, second by second.

use std::fmt;
use std::time::{Duration, Instant};

/// Returns how long a test takes, unless `PIVOT_SOAK_SECONDS` says otherwise.
pub fn seconds(otherwise: u64) -> Duration {
    let said = std::env::var("PIVOT_SOAK_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    Duration::from_secs(said.unwrap_or(otherwise))
}

/// Panics of field expressions are what some queries ask for; any other is told.
pub fn quiet_about(expected: &'static str) {
    let told = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if panic.payload_as_str() != Some(expected) {
            told(panic);
        }
    }));
}

/// Bytes at the end of each second.
#[derive(Debug, Default)]
pub struct MemorySamples(Vec<u64>);

impl MemorySamples {
    /// Notes how much there is now.
    pub fn note(&mut self) {
        let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
        self.0.push(statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096);
    }

    /// Watches for a time.
    pub fn watch(time: Duration) -> MemorySamples {
        let (begun, mut memory) = (Instant::now(), MemorySamples::default());
        while begun.elapsed() < time {
            std::thread::sleep(Duration::from_secs(1));
            memory.note();
        }
        memory
    }

    /// Checks that memory does not grow: the last third may exceed the first by an eighth, and by so many MiB for
    /// what is made once.
    pub fn check(&self, once_mib: u64) {
        let third = self.0.len() / 3;
        let largest = |part: &[u64]| part.iter().copied().max().unwrap_or(0);
        let (first, last) = (largest(&self.0[..third]), largest(&self.0[2 * third..]));
        assert!(last <= first + first / 8 + (once_mib << 20), "memory grew from {first} to {last}");
    }
}

impl fmt::Display for MemorySamples {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.0.iter().step_by((self.0.len() / 12).max(1)).map(|bytes| bytes >> 20);
        write!(f, "MiB over time: {:?}", shown.collect::<Vec<_>>())
    }
}
