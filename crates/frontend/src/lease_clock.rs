//! The clock by which it is measured how long clients were not heard of.

use std::time::{Duration, Instant};

/// The longest time by which leases become older at once. What is longer is a pause of the frontend itself, in which it
/// could hear nobody.
const LONGEST_STEP: Duration = Duration::from_secs(1);

/// Into how many steps at least a grace is divided, so that a pause of the frontend does not end a short one.
const LEAST_STEPS: u32 = 4;

/// The shortest grace: clients need some time to be heard of.
const LEAST_GRACE: Duration = Duration::from_secs(1);

/// The time in which the frontend ran and could hear clients, whatever clocks of the system do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LeaseClock {
    /// How long a query stays whose client is not heard of.
    grace: Duration,
    read: Option<Instant>,
    running: Duration,
}

impl LeaseClock {
    /// Makes a clock that stands at zero, with a grace of a second at least.
    pub(crate) fn new(grace: Duration) -> LeaseClock {
        LeaseClock { grace: grace.max(LEAST_GRACE), read: None, running: Duration::ZERO }
    }

    /// Returns how long a query stays whose client is not heard of.
    pub(crate) fn grace(&self) -> Duration {
        self.grace
    }

    /// Returns the time at which it stands.
    pub(crate) fn running(&self) -> Duration {
        self.running
    }

    /// Returns the time since it stood there.
    pub(crate) fn since(&self, held: Duration) -> Duration {
        self.running.saturating_sub(held)
    }

    /// Goes on to an instant.
    pub(crate) fn advance(&mut self, now: Instant) {
        let step = self.read.map_or(Duration::ZERO, |read| now.saturating_duration_since(read));
        self.running += step.min(LONGEST_STEP).min(self.grace / LEAST_STEPS);
        self.read = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grace_of_nothing_is_a_second_and_not_for_ever() {
        let mut clock = LeaseClock::new(Duration::ZERO);
        let begun = Instant::now();
        let mut ended = None;
        for ticks in 0..100_u32 {
            clock.advance(begun + ticks * Duration::from_millis(50));
            if clock.since(Duration::ZERO) > clock.grace() {
                ended.get_or_insert(ticks);
            }
        }
        assert_eq!(ended, Some(21));
    }
}
