//! The costs of one query: in all processes together, and in each since it was installed and of late.

use crate::window_groups::WindowGroups;
use pivot_advice::{LossCounts, QueryCost};
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
    recent: VecDeque<RecentCost>,
}

/// The cost that one report told of.
#[derive(Debug, Clone, Copy)]
struct RecentCost {
    at_ns: i64,
    cost: QueryCost,
}

impl RecentCost {
    fn is_recent(&self, now_ns: i64) -> bool {
        now_ns.saturating_sub(self.at_ns) < RECENT_NS
    }
}

impl CostLedger {
    /// Adds what a report of a process says of the query.
    pub(crate) fn charge(&mut self, incarnation: u64, cost: QueryCost, groups: &WindowGroups, now_ns: i64) {
        self.total.merge(&cost);
        self.agents.entry(incarnation).or_default().charge(cost, groups, now_ns);
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
    fn charge(&mut self, cost: QueryCost, groups: &WindowGroups, now_ns: i64) {
        self.total.merge(&cost);
        self.loss.merge(&groups.loss);
        if groups.emitted > 0 {
            self.groups = groups.distinct_keys() as u64;
        }
        self.other = self.other.saturating_add(groups.rows_in_other());

        self.recent.push_back(RecentCost { at_ns: now_ns, cost });
        while self.recent.front().is_some_and(|oldest| !oldest.is_recent(now_ns)) {
            self.recent.pop_front();
        }
    }

    /// Returns what the query has cost the process of late.
    pub(crate) fn recent(&self, now_ns: i64) -> QueryCost {
        let mut sum = QueryCost::default();
        for report in self.recent.iter().filter(|report| report.is_recent(now_ns)) {
            sum.merge(&report.cost);
        }
        sum
    }
}

/// Returns the length of the time that recent costs are about, for a query installed at a time: shorter
/// than [`RECENT_NS`] for a query that is younger.
pub(crate) fn recent_ns(installed_ns: i64, now_ns: i64) -> i64 {
    now_ns.saturating_sub(installed_ns).clamp(1, RECENT_NS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use pivot_advice::Groups;

    #[test]
    fn the_last_seconds_forget_and_the_total_does_not() {
        let second = 1_000_000_000;
        let mut account = AgentCost::default();
        let cost = QueryCost { events: 5, busy_ns: 100, longest_ns: 0, packed: 1, packed_bytes: 20 };
        (0..30).for_each(|i| account.charge(cost, &WindowGroups::new(&Groups::new(0, &[])), i * second));
        assert_eq!((account.total.events, account.recent(29 * second).events), (150, 50));
        assert_eq!(account.recent(35 * second).packed_bytes, 80);
        assert_eq!((recent_ns(0, 3 * second), recent_ns(0, 60 * second)), (3 * second, RECENT_NS));
        assert!(account.recent.len() <= 10);
    }
}
