//! The clocks that agents and frontends read: those of the machine, or others that a simulation moves.

use crate::steady_clock::steady_ns;
use std::time::{SystemTime, UNIX_EPOCH};

/// Two clocks.
pub trait Clocks {
    /// Returns the time by a clock that nobody sets, in nanoseconds since some moment. Never falls.
    fn steady_ns(&self) -> i64;

    /// Returns the time of day, in nanoseconds since the Unix epoch. May step either way.
    fn wall_ns(&self) -> i64;
}

/// The clocks of this machine.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemClocks;

impl Clocks for SystemClocks {
    fn steady_ns(&self) -> i64 {
        steady_ns()
    }

    fn wall_ns(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
    }
}
