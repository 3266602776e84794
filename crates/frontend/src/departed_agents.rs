//! The agents that are no longer listed, for the case that one comes back.
//!
//! An agent that was away, however long, sends again what was not acknowledged. All that is needed to count that once
//! is the highest sequence that was merged, so that is kept of very many agents for a long time.

use crate::store::{DepartedRecord, StateChanges, StoredDeparture};
use std::collections::{HashMap, VecDeque};

/// How long an agent is remembered: far beyond the time for which agents keep reports.
const REMEMBERED_NS: i64 = 30 * 24 * 3_600 * 1_000_000_000;

/// The most agents that are remembered, some forty bytes each.
const MAX_DEPARTED: usize = 1_000_000;

/// The highest merged sequence of each agent that has departed.
#[derive(Debug, Default)]
pub(crate) struct DepartedAgents {
    by_incarnation: HashMap<u64, DepartedAgent>,
    /// In the order in which they departed. Those that came back meanwhile are still in it.
    order: VecDeque<Departure>,
    /// Agents that were remembered since the last commit began.
    new: Vec<u64>,
    /// Agents that were taken out or forgotten since the last commit began.
    removed: Vec<u64>,
}

#[derive(Debug, Clone, Copy)]
struct DepartedAgent {
    highest: u64,
    departed_ns: i64,
}

#[derive(Debug, Clone, Copy)]
struct Departure {
    incarnation: u64,
    departed_ns: i64,
}

impl DepartedAgents {
    /// Remembers an agent, and forgets those that departed too long ago or are too many.
    pub(crate) fn remember(&mut self, incarnation: u64, highest: u64, now_ns: i64) {
        self.insert(StoredDeparture { incarnation, highest, departed_ns: now_ns });
        self.new.push(incarnation);

        while let Some(oldest) = self.order.front().copied() {
            let is_old = now_ns.saturating_sub(oldest.departed_ns) > REMEMBERED_NS;
            if !is_old && self.order.len() <= MAX_DEPARTED {
                break;
            }
            self.order.pop_front();
            // Unless it came back and departed again.
            let known = self.by_incarnation.get(&oldest.incarnation);
            if known.is_some_and(|known| known.departed_ns == oldest.departed_ns) {
                self.by_incarnation.remove(&oldest.incarnation);
                self.removed.push(oldest.incarnation);
            }
        }
    }

    fn insert(&mut self, departure: StoredDeparture) {
        let StoredDeparture { incarnation, highest, departed_ns } = departure;
        self.by_incarnation.insert(incarnation, DepartedAgent { highest, departed_ns });
        self.order.push_back(Departure { incarnation, departed_ns });
    }

    /// Takes in agents as they were stored.
    pub(crate) fn restore(mut stored: Vec<StoredDeparture>) -> DepartedAgents {
        stored.sort_by_key(|departure| departure.departed_ns);
        let mut departed = DepartedAgents::default();
        stored.into_iter().for_each(|departure| departed.insert(departure));
        departed
    }

    /// Adds what has changed to a commit.
    pub(crate) fn collect_changes(&mut self, changes: &mut StateChanges) {
        for incarnation in self.removed.drain(..) {
            changes.departed.insert(incarnation, None);
        }
        for incarnation in self.new.drain(..) {
            if let Some(DepartedAgent { highest, departed_ns }) = self.by_incarnation.get(&incarnation) {
                let record = DepartedRecord { highest: *highest, departed_ns: *departed_ns };
                changes.departed.insert(incarnation, Some(record));
            }
        }
    }

    /// Returns the highest sequence of an agent that comes back, or `None` if it is not remembered or had none.
    pub(crate) fn take(&mut self, incarnation: u64) -> Option<u64> {
        let known = self.by_incarnation.remove(&incarnation)?;
        self.removed.push(incarnation);
        Some(known.highest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agents_are_remembered_for_a_month_and_so_many() {
        let mut departed = DepartedAgents::default();
        departed.remember(1, 10, 0);
        departed.remember(2, 20, 5);
        assert_eq!((departed.take(1), departed.take(1)), (Some(10), None));
        departed.remember(1, 11, 6);
        departed.remember(3, 30, REMEMBERED_NS + 6);
        assert_eq!((departed.take(2), departed.take(1), departed.take(3)), (None, Some(11), Some(30)));

        let many = MAX_DEPARTED as u64 + 10;
        (0..many).for_each(|number| departed.remember(number, number, REMEMBERED_NS + 7));
        assert!(departed.order.len() <= MAX_DEPARTED && departed.by_incarnation.len() <= MAX_DEPARTED);
        assert_eq!(departed.take(many - 1), Some(many - 1));
    }
}
