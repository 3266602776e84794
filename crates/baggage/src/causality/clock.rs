//! The hybrid logical clock of a request, and the stamps that it gives to packed tuples.
//!
//! The clock belongs to the request and travels with it, so a host whose clock is far off bends the
//! order of one request's concurrent tuples and nothing else; happened-before always holds.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Bits below the microseconds. When they run over within one microsecond they carry into it.
const LOGICAL_BITS: u32 = 12;

/// What a clock that arrives is lowered to, so that more ticks than any request takes remain above it.
const CEILING: u64 = u64::MAX - (1 << 40);

/// A reading: microseconds since the Unix epoch in the upper 52 bits, a logical counter below.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Hlc(u64);

impl Hlc {
    /// The reading that travelled as this number.
    pub fn from_u64(reading: u64) -> Hlc {
        Hlc(reading)
    }

    /// The number as which it travels.
    pub fn to_u64(self) -> u64 {
        self.0
    }

    /// Moves past the wall clock and past every reading seen so far.
    pub fn tick(&mut self) -> Hlc {
        let microseconds = u64::try_from(since_epoch().as_micros()).unwrap_or(u64::MAX);
        let wall = microseconds.min(CEILING >> LOGICAL_BITS) << LOGICAL_BITS;
        self.0 = wall.max(self.0.saturating_add(1));
        *self
    }

    /// Moves up to a reading from elsewhere, if that is ahead. Absurd readings, of the year 2112,
    /// count as the last one that still leaves room to tick.
    pub fn receive(&mut self, other: Hlc) {
        self.0 = self.0.max(other.0.min(CEILING));
    }
}

fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// The identity and the place in time of one event that packed tuples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp {
    /// The reading at which it was packed.
    pub clock: Hlc,
    /// Random per branch: tells apart events of concurrent branches at one reading.
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
