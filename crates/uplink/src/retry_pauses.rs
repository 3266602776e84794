//! Pauses between attempts to connect: exponential back-off with jitter.
//!
//! ```text
//! attempt       1        2         3        4           5 and later
//! pause     0.1..0.2  0.2..0.4  0.4..0.8  0.8..1.6    1..2 seconds
//! ```
//!
//! A frontend that was restarted finds its agents back within two seconds. Ten thousand of them come spread over
//! that time and not all at once, since each draws its pauses at random.

use crate::machine::Machine;
use std::time::Duration;

/// The least pause of the first attempt.
const FIRST: Duration = Duration::from_millis(100);
/// The least pause of late attempts.
const LAST: Duration = Duration::from_secs(1);

/// The pauses of one agent.
#[derive(Debug)]
pub(crate) struct RetryPauses<M> {
    /// Attempts that failed since a frontend was heard.
    failed: u32,
    machine: M,
}

impl<M: Machine> RetryPauses<M> {
    pub(crate) fn new(machine: M) -> RetryPauses<M> {
        RetryPauses { failed: 0, machine }
    }

    /// Begins anew with a short pause, because a frontend was heard.
    pub(crate) fn reset(&mut self) {
        self.failed = 0;
    }

    /// Returns how long to wait after one more attempt that failed.
    pub(crate) fn next_pause(&mut self) -> Duration {
        let least = FIRST.saturating_mul(1 << self.failed.min(10)).min(LAST);
        let part = self.machine.random() % 1_000;

        self.failed = self.failed.saturating_add(1);
        least + least * u32::try_from(part).unwrap_or_default() / 1_000
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::ThisMachine;

    #[test]
    fn pauses_grow_to_two_seconds_and_differ_between_agents() {
        let mut agents: Vec<_> = (0..50).map(|_| RetryPauses::new(ThisMachine)).collect();

        for least_ms in [100, 200, 400, 800, 1_000, 1_000] {
            let pauses: Vec<Duration> = agents.iter_mut().map(RetryPauses::next_pause).collect();
            let least = Duration::from_millis(least_ms);
            assert!(pauses.iter().all(|pause| (least..least * 2).contains(pause)), "{pauses:?}");
            assert!(pauses.iter().collect::<std::collections::BTreeSet<_>>().len() > 10, "{pauses:?}");
        }

        agents[0].reset();
        assert!(agents[0].next_pause() < FIRST * 2);
    }
}
