//! The **hybrid logical clock** of a request (Kulkarni et al. 2014), and the stamps that it gives to packed
//! tuples.
//!
//! A reading is one word, 52 bits of microseconds since the Unix epoch and 12 bits of a counter, so readings
//! compare as integers. A tick moves past the wall clock and past every reading that was received, therefore
//! the order of stamps extends happened-before:
//!
//! ```text
//! caller   tick 10.0 ── request, clock 10.0 ──▶
//! callee                     its wall clock says 9.7: tick 10.0+1   (still later than what happened before)
//! caller   ◀── reply, clock 10.0+1 ──  tick 10.4
//! ```
//!
//! The clock belongs to the request and travels with it, so a host whose clock is far off bends the order of
//! one request's concurrent tuples and nothing else.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The bits of the counter below the microseconds. A counter that runs over carries into them.
const LOGICAL_BITS: u32 = 12;

/// The highest reading that is received: above it remain more ticks than any request takes.
const CEILING: u64 = u64::MAX - (1 << 40);

/// A reading of the clock: microseconds since the Unix epoch in the upper 52 bits, a logical counter below.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Hlc(u64);

impl Hlc {
    /// Returns the reading that travelled as this number.
    pub fn from_u64(reading: u64) -> Hlc {
        Hlc(reading)
    }

    /// Returns the number as which the reading travels.
    pub fn to_u64(self) -> u64 {
        self.0
    }

    /// Moves past the wall clock and past every reading seen so far, and returns the new reading.
    pub fn tick(&mut self) -> Hlc {
        let microseconds = u64::try_from(since_epoch().as_micros()).unwrap_or(u64::MAX);
        let wall = microseconds.min(CEILING >> LOGICAL_BITS) << LOGICAL_BITS;
        self.0 = wall.max(self.0.saturating_add(1));
        *self
    }

    /// Moves up to a reading that arrived, if that is ahead. An absurd reading, of the year 2112, counts as
    /// the highest one that still leaves room to tick.
    pub fn receive(&mut self, other: Hlc) {
        self.0 = self.0.max(other.0.min(CEILING));
    }
}

fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// The identity of one event that packed tuples, and its place in the order of its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp {
    /// The reading of the clock at the event.
    pub clock: Hlc,
    /// A random number of the branch, which tells apart events of concurrent branches at one reading.
    pub nonce: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tick_is_later_than_everything_received() {
        let mut ahead = Hlc::default();
        let future = Hlc(ahead.tick().0 + (86_400_000_000 << LOGICAL_BITS));
        let mut clock = Hlc::default();
        clock.tick();
        clock.receive(future);
        assert!(clock.tick() > future);
    }

    #[test]
    fn ticks_are_unique_however_fast() {
        let mut clock = Hlc::default();
        let ticks: Vec<Hlc> = (0..100_000).map(|_| clock.tick()).collect();
        assert!(ticks.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn an_absurd_clock_leaves_room_to_tick() {
        let mut clock = Hlc::default();
        clock.receive(Hlc(u64::MAX));
        let first = clock.tick();
        assert!(clock.tick() > first);
    }
}
