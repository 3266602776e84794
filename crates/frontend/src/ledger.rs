//! What one query costs one process: since it was installed, and in the last seconds.

use crate::window_groups::WindowGroups;
use pivot_advice::Loss;
use pivot_protocol::wire;
use std::collections::VecDeque;

/// How far back the last seconds go.
const RECENT_NS: i64 = 10_000_000_000;

/// What a process has said of a query's costs.
#[derive(Debug, Default)]
pub(crate) struct AgentCost {
    pub(crate) total: wire::Cost,
    pub(crate) loss: Loss,
    /// Groups in its newest report.
    pub(crate) groups: u64,
    /// Rows without a group, since install.
    pub(crate) other: u64,
    /// When a report came, and what it told.
    recent: VecDeque<(i64, wire::Cost)>,
}

impl AgentCost {
    /// Takes in a part of a report.
    pub(crate) fn charge(&mut self, cost: wire::Cost, tally: &WindowGroups, now_ns: i64) {
        add(&mut self.total, &cost);
        self.loss.merge(&tally.loss);
        if tally.emitted > 0 {
            self.groups = tally.keys() as u64;
        }
        self.other = self.other.saturating_add(tally.others());
        self.recent.push_back((now_ns, cost));
        while self.recent.front().is_some_and(|(at, _)| now_ns.saturating_sub(*at) >= RECENT_NS) {
            self.recent.pop_front();
        }
    }

    /// What it cost in the last seconds.
    pub(crate) fn recent(&self, now_ns: i64) -> wire::Cost {
        let mut sum = wire::Cost::default();
        let recent = self.recent.iter().filter(|(at, _)| now_ns.saturating_sub(*at) < RECENT_NS);
        recent.for_each(|(_, cost)| add(&mut sum, cost));
        sum
    }
}

/// How many nanoseconds the last seconds are, of a query that was installed at that time.
pub(crate) fn recent_ns(installed_ns: i64, now_ns: i64) -> i64 {
    now_ns.saturating_sub(installed_ns).clamp(1, RECENT_NS)
}

/// Adds a cost to another.
pub(crate) fn add(cost: &mut wire::Cost, other: &wire::Cost) {
    cost.events = cost.events.saturating_add(other.events);
    cost.busy_ns = cost.busy_ns.saturating_add(other.busy_ns);
    cost.packed = cost.packed.saturating_add(other.packed);
    cost.packed_bytes = cost.packed_bytes.saturating_add(other.packed_bytes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use pivot_advice::Groups;

    #[test]
    fn the_last_seconds_forget_and_the_total_does_not() {
        let second = 1_000_000_000;
        let mut account = AgentCost::default();
        let cost = wire::Cost { events: 5, busy_ns: 100, packed: 1, packed_bytes: 20 };
        (0..30).for_each(|i| account.charge(cost, &WindowGroups::new(&Groups::new(0, &[])), i * second));
        assert_eq!((account.total.events, account.recent(29 * second).events), (150, 50));
        assert_eq!(account.recent(35 * second).packed_bytes, 80);
        assert_eq!((recent_ns(0, 3 * second), recent_ns(0, 60 * second)), (3 * second, RECENT_NS));
        assert!(account.recent.len() <= 10);
    }
}
