//! Measures what events cost by timing one in many.
//!
//! Reading the clock twice costs more than a fused advice, so each thread times one event in about 64, and the timed
//! event stands for all since the one before it. Where events take long, more of them are timed, up to every one. The
//! gap is random, because a program has a rhythm of its own; and an event that took far longer than usual, because its
//! thread was descheduled, stands for itself alone.

use crate::run::random::random;
use std::cell::Cell;
use std::time::{Duration, Instant};

/// The most events that one timed event stands for.
const MAX_WEIGHT: u32 = 64;

/// From this duration on every event is timed: reading the clock does not matter then.
const LONG_NS: u64 = 20_000;

/// An event that takes this many times longer than usual was probably interrupted.
const UNUSUAL_FACTOR: u64 = 16;

thread_local! {
    /// For how many events the next timed one stands.
    static WEIGHT: Cell<u32> = const { Cell::new(1) };
    /// A moving average; 0 before the first timed event.
    static USUAL_NS: Cell<u64> = const { Cell::new(0) };
}

/// Times one event, advice by advice.
#[derive(Debug)]
pub(crate) struct Stopwatch {
    last: Instant,
    weight: u32,
    total_ns: u64,
}

impl Stopwatch {
    #[cold]
    #[inline(never)]
    pub(crate) fn start() -> Stopwatch {
        Stopwatch { last: Instant::now(), weight: WEIGHT.get(), total_ns: 0 }
    }

    /// Returns the time since the last lap, or `most` if it is longer, scaled to all the events that this one stands
    /// for.
    #[cold]
    #[inline(never)]
    pub(crate) fn lap_ns(&mut self, most: Duration) -> u64 {
        let now = Instant::now();
        let ns = u64::try_from((now - self.last).min(most).as_nanos()).unwrap_or(u64::MAX);
        self.last = now;
        self.total_ns += ns;
        scaled(ns, self.weight, USUAL_NS.get())
    }

    /// Ends the measurement of an event. Returns how many events are left out until the next one is timed.
    #[cold]
    #[inline(never)]
    pub(crate) fn stop(self) -> u32 {
        let usual_ns = match USUAL_NS.get() {
            0 => self.total_ns.max(1),
            usual_ns => moved_average(usual_ns, self.total_ns),
        };
        USUAL_NS.set(usual_ns);

        // By the longer of both: a short event among long ones does not say that the next is short.
        let most = longest_gap(self.total_ns.max(usual_ns));
        let weight = most / 2 + 1 + (random() % u64::from(most.max(1))) as u32;
        WEIGHT.set(weight);
        weight - 1
    }
}

/// Returns what an event that took `ns` adds to the estimate: the usual part of it counts `weight` times, the rest once.
fn scaled(ns: u64, weight: u32, usual_ns: u64) -> u64 {
    let usual = if usual_ns == 0 { ns } else { ns.min(usual_ns.saturating_mul(UNUSUAL_FACTOR)) };
    usual.saturating_mul(weight.into()).saturating_add(ns - usual)
}

/// Moves the average by an eighth of the way, and towards an outlier by at most a factor of four.
fn moved_average(usual_ns: u64, ns: u64) -> u64 {
    (usual_ns * 7 + ns.min(usual_ns.saturating_mul(4))).div_ceil(8).max(1)
}

/// Returns about how many events may be left out after one that took `ns`.
fn longest_gap(ns: u64) -> u32 {
    let fitting = (u64::from(MAX_WEIGHT) * 1_000 / ns.max(1_000)) as u32;
    if ns >= LONG_NS { 0 } else { fitting.clamp(1, MAX_WEIGHT) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timed_event_stands_for_those_before_it_but_not_for_an_accident() {
        assert_eq!(scaled(100, 64, 100), 6_400);
        assert_eq!(scaled(4_000_000, 64, 100), 1_600 * 64 + (4_000_000 - 1_600));
        assert_eq!(scaled(5_000, 1, 0), 5_000);
    }

    #[test]
    fn long_events_are_timed_every_time_and_short_ones_rarely() {
        let gaps = [100, 1_000, 10_000, 1_000_000].map(longest_gap);
        assert_eq!(gaps, [64, 64, 6, 0]);
    }
}
