//! The costs of one query: in all processes together, and in each since it was installed and of late.

use crate::agent_report::DecodedQueryReport;
use crate::time_range::TimeRange;
use pivot_advice::{LossCounts, QueryCost, WovenTime};
use std::collections::{BTreeMap, VecDeque};

/// How far back the recent costs of a process go.
const RECENT_NS: i64 = 10_000_000_000;

/// The costs of one query.
#[derive(Debug, Default)]
pub(crate) struct CostLedger {
    /// In all processes since install, those included that have gone.
    pub(crate) total: QueryCost,
    /// By incarnation.
    agents: BTreeMap<u64, AgentCost>,
}

/// The costs of a query in one process.
#[derive(Debug, Default)]
pub(crate) struct AgentCost {
    /// Since install.
    pub(crate) total: QueryCost,
    /// Losses in its reports, since install.
    pub(crate) loss: LossCounts,
    /// Number of groups in its newest report that has rows.
    pub(crate) groups: u64,
    /// Rows for whose groups there was no room, since install.
    pub(crate) other: u64,
    /// The reports of the last [`RECENT_NS`], the oldest first.
    recent: VecDeque<ReportedCost>,
}

/// The cost that one report told of.
#[derive(Debug, Clone, Copy)]
struct ReportedCost {
    /// From the begin of its window until it was cut, by the clock of the process.
    time: TimeRange,
    cost: QueryCost,
}

impl ReportedCost {
    /// Returns whether it is among the recent ones when the newest report was cut at `until_ns`.
    fn is_recent(&self, until_ns: i64) -> bool {
        until_ns.saturating_sub(self.time.end_ns) < RECENT_NS
    }
}

/// The recent cost of a query in one process, and the length of the time that it is about.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RecentCost {
    pub(crate) cost: QueryCost,
    /// The part of the last [`RECENT_NS`] in which the query was woven in the process, as far as it has reported.
    pub(crate) covered_ns: i64,
}

impl CostLedger {
    /// Adds what a report of a process says of the query, which is about this time by the clock of the process.
    pub(crate) fn charge(&mut self, incarnation: u64, part: &DecodedQueryReport, time: TimeRange) {
        self.total.merge(&part.cost);
        self.agents.entry(incarnation).or_default().charge(part, time);
    }

    /// Returns the costs in one process, or `None` if it has reported nothing of the query.
    pub(crate) fn of_agent(&self, incarnation: u64) -> Option<&AgentCost> {
        self.agents.get(&incarnation)
    }

    /// Drops the processes that the registry has forgotten.
    pub(crate) fn forget_agents(&mut self, forgotten: impl Iterator<Item = u64>) {
        for incarnation in forgotten {
            self.agents.remove(&incarnation);
        }
    }
}

impl AgentCost {
    fn charge(&mut self, part: &DecodedQueryReport, time: TimeRange) {
        self.total.merge(&part.cost);
        self.loss.merge(&part.loss);
        if part.emitted > 0 {
            self.groups = part.distinct_keys() as u64;
        }
        self.other = self.other.saturating_add(part.rows_in_other());

        self.recent.push_back(ReportedCost { time, cost: part.cost });
        while self.recent.front().is_some_and(|oldest| !oldest.is_recent(time.end_ns)) {
            self.recent.pop_front();
        }
    }

    /// Returns what the query has cost the process of late, if its newest report was cut at `until_ns`, by its own clock,
    /// and the query was woven in this time.
    pub(crate) fn recent(&self, woven: Option<WovenTime>, until_ns: i64) -> RecentCost {
        let mut recent = RecentCost::default();
        // A report after an outage is about more than the last seconds.
        let mut begin_ns = until_ns.saturating_sub(RECENT_NS);
        for report in self.recent.iter().filter(|report| report.is_recent(until_ns)) {
            recent.cost.merge(&report.cost);
            begin_ns = begin_ns.min(report.time.start_ns);
        }

        if let Some(WovenTime { since_ns, until_ns: unwoven_ns }) = woven {
            let end_ns = unwoven_ns.unwrap_or(until_ns).min(until_ns);
            recent.covered_ns = end_ns.saturating_sub(begin_ns.max(since_ns)).max(0);
        }
        recent
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pivot_advice::QueryId;

    const SECOND: i64 = 1_000_000_000;

    fn range(start_ns: i64, end_ns: i64) -> TimeRange {
        TimeRange { start_ns, end_ns }
    }

    fn charge(account: &mut AgentCost, time: TimeRange) {
        let cost = QueryCost { events: 5, busy_ns: 100, longest_ns: 0, packed: 1, packed_bytes: 20 };
        let part = DecodedQueryReport { cost, ..DecodedQueryReport::of(QueryId::new(1, 1), None) };
        account.charge(&part, time);
    }

    /// Returns how many events there were of late, and in how many milliseconds, of a query that is woven since then.
    fn recent(account: &AgentCost, since_ns: i64, until_ns: i64) -> (u64, i64) {
        let found = account.recent(Some(WovenTime { since_ns, until_ns: None }), until_ns);
        (found.cost.events, found.covered_ns / 1_000_000)
    }

    #[test]
    fn the_last_seconds_forget_and_the_total_does_not() {
        let mut account = AgentCost::default();
        (0..30).for_each(|i| charge(&mut account, range(i * SECOND, (i + 1) * SECOND)));
        assert_eq!((account.total.events, account.recent.len()), (150, 10));
        assert_eq!(recent(&account, 0, 30 * SECOND), (50, 10_000));
        // The process was idle since.
        assert_eq!(recent(&account, 0, 36 * SECOND), (20, 10_000));
    }

    #[test]
    fn the_time_is_that_in_which_the_query_was_woven_and_reported() {
        let mut account = AgentCost::default();
        let since_ns = 7 * SECOND + SECOND * 6 / 10;
        charge(&mut account, range(7 * SECOND, 8 * SECOND));
        charge(&mut account, range(8 * SECOND, 9 * SECOND));
        assert_eq!(recent(&account, since_ns, 9 * SECOND), (10, 1_400));
        let ended = WovenTime { since_ns, until_ns: Some(8 * SECOND) };
        assert_eq!(account.recent(Some(ended), 9 * SECOND).covered_ns, SECOND * 4 / 10);
        assert_eq!(account.recent(None, 9 * SECOND).covered_ns, 0);

        // What was gathered while the frontend was away comes at once, and is of all that time.
        let mut account = AgentCost::default();
        charge(&mut account, range(0, 60 * SECOND));
        charge(&mut account, range(60 * SECOND, 61 * SECOND));
        assert_eq!(recent(&account, 0, 61 * SECOND), (10, 61_000));
    }
}
