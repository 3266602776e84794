//! The frontend's time, by which all windows are placed: agents follow it too.
//!
//! ```text
//! wall clock    ─────╮ set back by ten minutes
//!                    ╰───────────────────────────────────────
//! frontend's    ────────────────────────────────────────────▶    0.05 % slower, until they agree again
//! ```
//!
//! It begins with the wall clock and goes on with a clock that nobody sets ([`steady_ns`](pivot_protocol::Clocks::steady_ns)). So a step of the wall clock
//! moves no window, delays no frame and lengthens no lease. Since people compare windows with logs, it then approaches the
//! wall clock by half a thousandth, as `adjtime` does: no window or rate is off by more than that.
//!
//! After a restart on a machine that was up all the time, it goes on as if there had been none. On a machine that
//! was restarted as well, it begins with the wall clock again, but never before what was stored last.

use crate::machine::Machine;
use crate::store::ClockRecord;
use std::sync::{Arc, Mutex, PoisonError};

/// The part of the time that passes by which the wall clock is approached: one in so many.
const SLEW: i64 = 2_000;

/// The frontend's clock.
#[derive(Debug)]
pub(crate) struct ServerClock {
    machine: Arc<dyn Machine>,
    time: Mutex<SlewedTime>,
    /// Tells this run of the machine from others; empty if it cannot be told.
    boot: String,
}

impl ServerClock {
    /// Starts the clock of a frontend that goes on from what another run has stored, if any.
    pub(crate) fn start(machine: Arc<dyn Machine>, stored: Option<&ClockRecord>) -> ServerClock {
        let boot = machine.boot();
        let time = SlewedTime::start(stored, &boot, machine.steady_ns(), machine.wall_ns());
        ServerClock { machine, time: Mutex::new(time), boot }
    }

    /// Returns the machine that it belongs to.
    pub(crate) fn machine(&self) -> &dyn Machine {
        &*self.machine
    }

    /// Returns the time, in nanoseconds since the Unix epoch. Never falls.
    pub(crate) fn now_ns(&self) -> i64 {
        let mut time = self.time.lock().unwrap_or_else(PoisonError::into_inner);
        time.advance(self.machine.steady_ns(), self.machine.wall_ns())
    }

    /// Returns what another run goes on from, with the time as it is now.
    pub(crate) fn record(&self) -> ClockRecord {
        let mut time = self.time.lock().unwrap_or_else(PoisonError::into_inner);
        let now_ns = time.advance(self.machine.steady_ns(), self.machine.wall_ns());
        ClockRecord { boot: self.boot.clone(), steady_ns: time.steady_ns, time_ns: now_ns }
    }
}

/// A time that goes on with a steady clock, and approaches the wall clock.
#[derive(Debug, Clone, Copy)]
struct SlewedTime {
    /// The steady clock at the last reading.
    steady_ns: i64,
    /// The time at the last reading.
    time_ns: i64,
}

impl SlewedTime {
    fn start(stored: Option<&ClockRecord>, boot: &str, steady_ns: i64, wall_ns: i64) -> SlewedTime {
        let time_ns = match stored {
            None => wall_ns,
            Some(record) if record.goes_on_at(boot, steady_ns) => record.time_at(steady_ns),
            Some(record) => wall_ns.max(record.time_ns),
        };
        SlewedTime { steady_ns, time_ns }
    }

    /// Lets time pass until the clocks show this, and returns the new time.
    fn advance(&mut self, steady_ns: i64, wall_ns: i64) -> i64 {
        let passed_ns = steady_ns.saturating_sub(self.steady_ns).max(0);
        let time_ns = self.time_ns.saturating_add(passed_ns);
        let most_ns = passed_ns / SLEW;
        // Less than a whole nanosecond of slewing is kept for the next reading.
        if most_ns == 0 {
            return time_ns;
        }

        let slewed_ns = wall_ns.saturating_sub(time_ns).clamp(-most_ns, most_ns);
        self.steady_ns = self.steady_ns.max(steady_ns);
        self.time_ns = time_ns.saturating_add(slewed_ns);
        self.time_ns
    }
}

impl ClockRecord {
    /// Whether the steady clock that it was taken by is still the same one.
    fn goes_on_at(&self, boot: &str, steady_ns: i64) -> bool {
        !boot.is_empty() && self.boot == boot && steady_ns >= self.steady_ns
    }

    /// Returns the time at which the steady clock shows this.
    fn time_at(&self, steady_ns: i64) -> i64 {
        self.time_ns.saturating_add(steady_ns.saturating_sub(self.steady_ns))
    }

    /// Returns how far another record is from what this one would lead to.
    pub(crate) fn distance_ns(&self, later: &ClockRecord) -> i64 {
        if self.boot != later.boot || later.steady_ns < self.steady_ns {
            return i64::MAX;
        }
        later.time_ns.saturating_sub(self.time_at(later.steady_ns)).saturating_abs()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;
    const DAY: i64 = 86_400 * SECOND;

    fn record() -> ClockRecord {
        ClockRecord { boot: "this".into(), steady_ns: 100 * SECOND, time_ns: DAY }
    }

    #[test]
    fn a_step_of_the_wall_clock_does_not_move_it() {
        for step in [-600 * SECOND, 600 * SECOND, i64::MIN, i64::MAX] {
            let mut time = SlewedTime::start(None, "this", 0, DAY);
            let mut last = DAY;
            for ms in (0..20_000).step_by(50) {
                let steady_ns = ms * 1_000_000;
                let wall_ns = if ms < 1_000 { DAY + steady_ns } else { step.saturating_add(DAY + steady_ns) };

                let now_ns = time.advance(steady_ns, wall_ns);
                assert!(now_ns > last || ms == 0, "it never stands still");
                assert!((now_ns - DAY - steady_ns).abs() <= steady_ns / SLEW, "{step}");
                last = now_ns;
            }
        }
    }

    #[test]
    fn it_agrees_with_the_wall_clock_in_the_end() {
        let mut time = SlewedTime::start(None, "this", 0, 0);
        for second in 0..2_100 {
            // Ahead by a second from the beginning; read often in between, which makes no difference.
            time.advance(second * SECOND, (second + 1) * SECOND);
            time.advance(second * SECOND + 100, (second + 1) * SECOND + 100);
        }
        assert_eq!(time.advance(2_100 * SECOND, 2_101 * SECOND), 2_101 * SECOND);
    }

    #[test]
    fn a_restart_goes_on_while_the_machine_is_up_and_never_falls_behind_otherwise() {
        let began = |boot: &str, steady_ns, wall_ns| {
            SlewedTime::start(Some(&record()), boot, steady_ns, wall_ns).time_ns
        };
        // Wherever the wall clock has been set meanwhile.
        for wall_ns in [0, DAY - 600 * SECOND, DAY + 600 * SECOND] {
            assert_eq!(began("this", 130 * SECOND, wall_ns), DAY + 30 * SECOND);
        }
        assert_eq!(began("other", 130 * SECOND, DAY - 600 * SECOND), DAY);
        assert_eq!(began("other", 130 * SECOND, DAY + 600 * SECOND), DAY + 600 * SECOND);
        assert_eq!(began("", 130 * SECOND, DAY - 1), DAY);
        assert_eq!(began("this", 99 * SECOND, DAY + 1), DAY + 1);
    }

    #[test]
    fn a_record_knows_how_far_another_is_from_it() {
        let later = ClockRecord { steady_ns: 101 * SECOND, time_ns: DAY + SECOND - 7, ..record() };
        assert_eq!(record().distance_ns(&later), 7);
        assert_eq!(record().distance_ns(&ClockRecord { boot: "other".into(), ..later }), i64::MAX);
    }
}
