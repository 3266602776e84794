//! The clocks of a simulated machine, which a schedule sets, and their true time, which nobody in the simulation sees.

use pivot_protocol::Clocks;
use std::sync::atomic::{AtomicI64, Ordering};

/// The time of day at which a simulation begins; a whole number of seconds.
pub(crate) const EPOCH_NS: i64 = 1_790_000_000_000_000_000;

/// Returns the time since the simulation began, or 0 outside of it, as when a machine is taken down.
pub(crate) fn true_ns() -> i64 {
    let elapsed = turmoil::sim_elapsed().unwrap_or_default();
    i64::try_from(elapsed.as_nanos()).expect("a simulation does not take centuries")
}

/// The clocks of one machine.
#[derive(Debug)]
pub(crate) struct SimulatedClocks {
    /// How much faster than true time its clocks go, in millionths.
    drift_ppm: i64,
    /// The time of day less the true one.
    wall_offset_ns: AtomicI64,
    /// The true time at which the steady clock stood at zero.
    steady_since_ns: AtomicI64,
}

impl SimulatedClocks {
    pub(crate) fn new(drift_ppm: i64, steady_ns: i64) -> SimulatedClocks {
        SimulatedClocks {
            drift_ppm,
            wall_offset_ns: AtomicI64::new(0),
            steady_since_ns: AtomicI64::new(-steady_ns),
        }
    }

    /// Sets the time of day forward, or back.
    pub(crate) fn step_wall(&self, step_ns: i64) {
        self.wall_offset_ns.fetch_add(step_ns, Ordering::Relaxed);
    }

    /// Begins the steady clock anew, as a start of the machine does.
    pub(crate) fn reboot(&self, true_ns: i64) {
        self.steady_since_ns.store(true_ns, Ordering::Relaxed);
    }
}

impl Clocks for SimulatedClocks {
    fn steady_ns(&self) -> i64 {
        let passed_ns = true_ns() - self.steady_since_ns.load(Ordering::Relaxed);
        passed_ns + passed_ns / 1_000_000 * self.drift_ppm
    }

    fn wall_ns(&self) -> i64 {
        EPOCH_NS + true_ns() + self.wall_offset_ns.load(Ordering::Relaxed)
    }
}
