//! Which times an agent can report.
//!
//! ```text
//!          installed                                   now
//!  ────────────┼────────────────────────────────────────┼─────────────┼────────▶
//!    refused   │ rows may be late, however long         │ within the  │ refused
//!              │ the agent was away                     │ lease       │
//! ```
//!
//! An agent places windows by the frontend's clock, as far as it knows it, and goes on with that while it is away. So it is
//! ahead only if the frontend's own time has fallen behind, which a lease bounds. Windows that are too far ahead would stay
//! open for ever and crowd out others, so they are refused: the report is acknowledged, or the agent would send it
//! again for ever, its rows count as lost, and the agent is named.

use crate::agent_report::{AgentReport, DecodedQueryReport};
use crate::time_range::TimeRange;
use pivot_advice::WovenTime;
use pivot_protocol::wire;

/// All windows begin and end at multiples of this, as `EVERY` allows nothing else.
const GRID_NS: i64 = 100_000_000;

/// The farthest that a lease lets windows be ahead.
const MAX_AHEAD_NS: i64 = 600 * 1_000_000_000;

/// The largest uncertainty of a clock that is believed.
const MAX_UNCERTAINTY_NS: i64 = 60 * 1_000_000_000;

/// The farthest that times may be apart apart from any uncertainty: windows are cut at their ends, and no later than one.
const SLACK_NS: i64 = 2_000_000_000;

/// How long before the install of a query an agent with a clock of its own may say that it has woven it.
const MAX_OWN_SKEW_NS: i64 = 86_400 * 1_000_000_000;

/// The clock by which an agent places windows.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PlacingClock {
    /// The clock of its machine: an agent of a version that does not ask for the frontend's time.
    #[default]
    Own,
    /// The frontend's clock.
    Frontend {
        /// How far it may be wrong about it.
        uncertainty_ns: i64,
    },
}

impl From<wire::ClockQuestion> for PlacingClock {
    fn from(question: wire::ClockQuestion) -> PlacingClock {
        // Before the first answer it has placed nothing.
        PlacingClock::Frontend { uncertainty_ns: question.uncertainty_ns.unwrap_or(0).max(0) }
    }
}

/// The times that an agent can report now.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PlacementBounds {
    clock: PlacingClock,
    uncertainty_ns: i64,
    latest_ns: i64,
}

impl PlacementBounds {
    /// Returns the times that an agent with such a clock and lease can report at a time.
    pub(crate) fn new(clock: PlacingClock, lease_ns: i64, now_ns: i64) -> PlacementBounds {
        let uncertainty_ns = match clock {
            PlacingClock::Own => 0,
            PlacingClock::Frontend { uncertainty_ns } => uncertainty_ns.min(MAX_UNCERTAINTY_NS),
        };
        let ahead_ns = lease_ns.clamp(0, MAX_AHEAD_NS) + uncertainty_ns + SLACK_NS;
        PlacementBounds { clock, uncertainty_ns, latest_ns: now_ns.saturating_add(ahead_ns) }
    }

    /// Whether a window can be reported, for whatever query.
    pub(crate) fn allow(self, window: TimeRange) -> bool {
        let TimeRange { start_ns, end_ns } = window;
        let is_range = 0 <= start_ns && start_ns < end_ns && end_ns <= self.latest_ns;
        is_range && start_ns % GRID_NS == 0 && end_ns % GRID_NS == 0
    }

    /// Whether a window can have rows of a query that was installed at a time.
    pub(crate) fn allow_of_query(self, window: TimeRange, installed_ns: i64) -> bool {
        // A clock of its own may be anywhere, and shows it as it is.
        self.clock == PlacingClock::Own || window.end_ns > self.earliest_ns(installed_ns)
    }

    fn earliest_ns(self, installed_ns: i64) -> i64 {
        let before_ns = match self.clock {
            PlacingClock::Own => MAX_OWN_SKEW_NS,
            PlacingClock::Frontend { .. } => self.uncertainty_ns + SLACK_NS,
        };
        installed_ns.saturating_sub(before_ns)
    }

    /// Takes back times of a report as a whole that cannot be.
    pub(crate) fn correct(self, report: &mut AgentReport) {
        report.watermark_ns = report.watermark_ns.min(self.latest_ns);
        report.cut_ns = report.cut_ns.clamp(0, self.latest_ns);
    }

    /// Takes back times that cannot be in a part of a report, of a query that was installed at a time.
    pub(crate) fn correct_part(self, part: &mut DecodedQueryReport, installed_ns: i64) {
        part.cut_ns = part.cut_ns.clamp(0, self.latest_ns);

        if let Some(WovenTime { since_ns, until_ns }) = part.woven {
            let earliest_ns = self.earliest_ns(installed_ns).min(self.latest_ns);
            let since_ns = since_ns.clamp(earliest_ns, self.latest_ns);
            let until_ns = until_ns.map(|until_ns| until_ns.clamp(since_ns, self.latest_ns));
            part.woven = Some(WovenTime { since_ns, until_ns });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;
    const NOW: i64 = 1_000_000 * SECOND;

    fn bounds(clock: PlacingClock) -> PlacementBounds {
        PlacementBounds::new(clock, 600 * SECOND, NOW)
    }

    #[test]
    fn windows_that_cannot_be_are_refused_and_those_that_are_late_are_not() {
        let following = bounds(PlacingClock::Frontend { uncertainty_ns: 3 * SECOND });
        let allows = |start_ns, end_ns| following.allow(TimeRange { start_ns, end_ns });
        assert!(allows(NOW, NOW + SECOND) && allows(NOW - 86_400 * SECOND, NOW), "also a long one");
        assert!(allows(NOW + 604 * SECOND, NOW + 605 * SECOND));
        assert!(!allows(NOW + 605 * SECOND, NOW + 606 * SECOND), "too far ahead");
        assert!(!allows(NOW, NOW) && !allows(NOW + SECOND, NOW), "no time in it");
        assert!(!allows(NOW + 1, NOW + SECOND) && !allows(NOW, NOW + SECOND + 1), "beside the grid");
        for (start_ns, end_ns) in [(i64::MIN, i64::MAX), (i64::MAX, i64::MIN), (i64::MIN, NOW)] {
            assert!(!allows(start_ns, end_ns));
        }

        let window = TimeRange { start_ns: NOW - 20 * SECOND, end_ns: NOW - 19 * SECOND };
        assert!(following.allow_of_query(window, NOW - 15 * SECOND));
        assert!(!following.allow_of_query(window, NOW - 14 * SECOND), "before it was installed");
        assert!(bounds(PlacingClock::Own).allow_of_query(window, NOW));
    }

    #[test]
    fn extreme_numbers_do_not_overflow() {
        for lease_ns in [i64::MIN, i64::MAX] {
            for now_ns in [i64::MIN, 0, i64::MAX] {
                let clock = PlacingClock::Frontend { uncertainty_ns: i64::MAX };
                let bounds = PlacementBounds::new(clock, lease_ns, now_ns);
                assert!(!bounds.allow_of_query(TimeRange { start_ns: 0, end_ns: i64::MIN }, i64::MIN));
            }
        }
    }
}
