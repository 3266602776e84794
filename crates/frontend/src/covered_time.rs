//! The time that a query's results really cover: when which process answered it.
//!
//! ```text
//! window               ├──────────────────┤
//! agent A                      ├───────────────────▶     since when, as A says              
//! agent B                         ├────────────────▶
//! covered                      ╞══════════╡              by at least one agent; rates are per second of this
//! late                            B, if it was there when the query was installed
//! ```
//!
//! An agent says when it has woven a query and when it has unwoven it; what it reports in between is all that happened.
//! An agent says that by the clock that it places its windows by.

use crate::agent_registry::AgentRegistry;
use crate::agent_session::AgentPresence;
use crate::range_coverage::RangeCoverage;
use crate::time_range::TimeRange;
use pivot_advice::WovenTime;
use std::collections::{BTreeMap, BTreeSet};

/// The most ranges that are remembered of agents that are forgotten; beyond it the two nearest become one.
const MAX_FORGOTTEN: usize = 64;

/// The part of a window by which an agent is late before that counts: installing takes a few milliseconds.
const LATE_FRACTION: i64 = 20;

/// When each agent answered a query.
#[derive(Debug, Default)]
pub(crate) struct CoveredTime {
    /// By incarnation.
    agents: BTreeMap<u64, AgentTime>,
    /// Agents whose times have changed since the last commit began.
    changed: BTreeSet<u64>,
    /// Agents that the registry has forgotten since then, with their times.
    changed_forgotten: Vec<(u64, WovenTime)>,
    /// Of agents that the registry has forgotten: disjoint, in order.
    forgotten: Vec<TimeRange>,
}

/// When one agent answered a query.
#[derive(Debug, Clone, Copy)]
struct AgentTime {
    woven: WovenTime,
    /// The end of the newest window that it has reported anything of.
    reported_ns: i64,
}

impl CoveredTime {
    /// Takes over what an agent says. Of an agent that has rows but does not know how to say it, the time begins with
    /// the first window that it reports.
    pub(crate) fn note(&mut self, incarnation: u64, woven: Option<WovenTime>, window: TimeRange) {
        let begin = WovenTime { since_ns: window.start_ns, until_ns: None };
        let first = AgentTime { woven: woven.unwrap_or(begin), reported_ns: window.end_ns };

        let known = self.agents.entry(incarnation).or_insert_with(|| {
            self.changed.insert(incarnation);
            first
        });
        known.reported_ns = known.reported_ns.max(window.end_ns);
        if let Some(later) = woven {
            let before = known.woven;
            known.woven.update(later);
            if known.woven != before {
                self.changed.insert(incarnation);
            }
        }
    }

    /// Takes the times that have changed since this was last called, by incarnation.
    pub(crate) fn take_changed(&mut self) -> Vec<(u64, WovenTime)> {
        let changed = std::mem::take(&mut self.changed);
        let agents = &self.agents;
        let times = changed.into_iter().filter_map(|agent| Some((agent, agents.get(&agent)?.woven)));
        times.chain(self.changed_forgotten.drain(..)).collect()
    }

    /// Has all times stored once more, since they are others than those that were.
    pub(crate) fn store_again(&mut self) {
        self.changed.extend(self.agents.keys());
    }

    /// Makes the times as they were stored.
    pub(crate) fn restore(stored: &BTreeMap<u64, WovenTime>) -> CoveredTime {
        let agents = stored.iter().map(|(incarnation, woven)| {
            let reported_ns = woven.until_ns.unwrap_or(woven.since_ns);
            (*incarnation, AgentTime { woven: *woven, reported_ns })
        });
        CoveredTime { agents: agents.collect(), ..CoveredTime::default() }
    }

    /// Returns when an agent answered the query, as far as it has said.
    pub(crate) fn woven(&self, incarnation: u64) -> Option<WovenTime> {
        self.agents.get(&incarnation).map(|agent| agent.woven)
    }

    /// Returns whether an agent answers the query, as far as it has said.
    pub(crate) fn is_open(&self, incarnation: u64) -> bool {
        self.agents.get(&incarnation).is_some_and(|agent| agent.woven.until_ns.is_none())
    }

    /// Returns when the first agent began, or `None` if none has.
    pub(crate) fn first_ns(&self) -> Option<i64> {
        let agents = self.agents.values().map(|agent| agent.woven.since_ns);
        agents.chain(self.forgotten.iter().map(|range| range.start_ns)).min()
    }

    /// Returns when the last agent ended, or `None` if some agent goes on or none has begun.
    pub(crate) fn end_ns(&self, registry: &AgentRegistry) -> Option<i64> {
        let mut latest = self.forgotten.last().map(|range| range.end_ns);
        for (incarnation, agent) in &self.agents {
            let end_ns = end_of(*incarnation, agent.woven, registry);
            if end_ns == i64::MAX {
                return None;
            }
            latest = latest.max(Some(end_ns));
        }
        latest
    }

    /// Returns how much of a time range is covered, for a query that was installed at `installed_ns` and has windows of
    /// this length.
    pub(crate) fn of_range(
        &self,
        range: TimeRange,
        window_ns: i64,
        installed_ns: i64,
        registry: &AgentRegistry,
    ) -> RangeCoverage {
        let agents = self.agents.iter().map(|(incarnation, agent)| TimeRange {
            start_ns: agent.woven.since_ns,
            end_ns: end_of(*incarnation, agent.woven, registry),
        });
        let mut covered: Vec<TimeRange> =
            agents.chain(self.forgotten.iter().copied()).filter_map(|time| time.within(range)).collect();
        covered.sort_by_key(|time| time.start_ns);
        let (covered_ns, length_ns) = (length_of_union(&covered), range.length_ns());

        // An agent that came later has missed nothing: its process did not run yet, or was not known.
        let begin_ns = covered.first().map_or(range.end_ns, |first| first.start_ns);
        let late_ns = begin_ns.saturating_add(window_ns / LATE_FRACTION);
        let late = self.agents.iter().filter(|(incarnation, time)| {
            let was_there =
                registry.get(**incarnation).is_some_and(|agent| agent.connected_ns < installed_ns);
            was_there && time.woven.since_ns.max(range.start_ns) > late_ns
        });

        RangeCoverage {
            covered_ns: if covered_ns > 0 { covered_ns } else { length_ns },
            length_ns,
            agents_late: u32::try_from(late.count()).unwrap_or(u32::MAX),
        }
    }

    /// Forgets which agent the times of those are that the registry has forgotten.
    pub(crate) fn forget_agents(&mut self, forgotten: impl Iterator<Item = u64>) {
        for incarnation in forgotten {
            if let Some(AgentTime { woven, reported_ns }) = self.agents.remove(&incarnation) {
                let end_ns = woven.until_ns.unwrap_or(reported_ns);
                let ended = WovenTime { until_ns: Some(end_ns), ..woven };
                self.changed_forgotten.push((incarnation, ended));
                self.forget(TimeRange { start_ns: woven.since_ns, end_ns });
            }
        }
    }

    fn forget(&mut self, time: TimeRange) {
        self.forgotten.push(time);
        self.forgotten.sort_by_key(|time| time.start_ns);

        let mut disjoint: Vec<TimeRange> = Vec::with_capacity(self.forgotten.len());
        for time in self.forgotten.drain(..) {
            match disjoint.last_mut() {
                Some(last) if time.start_ns <= last.end_ns => last.end_ns = last.end_ns.max(time.end_ns),
                _ => disjoint.push(time),
            }
        }
        if disjoint.len() > MAX_FORGOTTEN {
            // The two with the smallest gap between them become one.
            let narrowest = (0..disjoint.len() - 1)
                .min_by_key(|at| disjoint[at + 1].start_ns.saturating_sub(disjoint[*at].end_ns));
            if let Some(at) = narrowest {
                let next = disjoint.remove(at + 1);
                disjoint[at].end_ns = next.end_ns;
            }
        }
        self.forgotten = disjoint;
    }
}

/// Returns the end of an agent's time: the far future while it goes on.
fn end_of(incarnation: u64, woven: WovenTime, registry: &AgentRegistry) -> i64 {
    let gone = registry.get(incarnation).filter(|agent| agent.presence != AgentPresence::Connected);
    woven.until_ns.or_else(|| gone.map(|agent| agent.cut_ns)).unwrap_or(i64::MAX)
}

/// Returns the length of the union of ranges, which are in the order of their starts.
fn length_of_union(ranges: &[TimeRange]) -> i64 {
    let (mut length_ns, mut until_ns) = (0_i64, i64::MIN);
    for range in ranges {
        let start_ns = range.start_ns.max(until_ns);
        length_ns = length_ns.saturating_add(range.end_ns.saturating_sub(start_ns).max(0));
        until_ns = until_ns.max(range.end_ns);
    }
    length_ns
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent_identity::AgentIdentity;
    use tokio::sync::mpsc;

    const SECOND: i64 = 1_000_000_000;
    const WINDOW: TimeRange = TimeRange { start_ns: 10 * SECOND, end_ns: 11 * SECOND };
    /// The query was installed behind the agents that connect below, but for the last one.
    const INSTALLED_NS: i64 = 5;

    /// Connects agents 1, 2, .. at these times.
    fn registry(connected_ns: &[i64]) -> AgentRegistry {
        let mut registry = AgentRegistry::default();
        for (incarnation, at_ns) in (1..).zip(connected_ns) {
            let outbox = mpsc::channel(1).0;
            registry.connect(incarnation, AgentIdentity::default(), Default::default(), outbox, *at_ns);
        }
        registry
    }

    fn woven(since_ms: i64, until_ms: Option<i64>) -> Option<WovenTime> {
        let ns = |ms: i64| 10 * SECOND + ms * 1_000_000;
        Some(WovenTime { since_ns: ns(since_ms), until_ns: until_ms.map(ns) })
    }

    /// Milliseconds that are covered of the window, and agents that are late, of agents that said these times.
    fn covered(agents: &[Option<WovenTime>], registry: &AgentRegistry) -> (i64, u32) {
        let mut covered = CoveredTime::default();
        (1..).zip(agents).for_each(|(incarnation, woven)| covered.note(incarnation, *woven, WINDOW));
        let found = covered.of_range(WINDOW, SECOND, INSTALLED_NS, registry);
        (found.covered_ns / 1_000_000, found.agents_late)
    }

    #[test]
    fn a_window_is_covered_by_the_union_of_its_agents() {
        let registry = registry(&[9, 9, 9]);
        assert_eq!(covered(&[woven(600, None)], &registry), (400, 0));
        assert_eq!(covered(&[woven(-9_000, Some(300))], &registry), (300, 0));
        assert_eq!(covered(&[woven(600, None), woven(700, Some(900))], &registry), (400, 0));
        assert_eq!(covered(&[woven(100, Some(200)), woven(700, Some(900))], &registry), (300, 0));
        // An agent that does not say it, and nobody who says anything.
        assert_eq!(covered(&[None, woven(700, None)], &registry), (1_000, 0));
        assert_eq!(covered(&[], &registry), (1_000, 0));
    }

    #[test]
    fn an_agent_is_late_only_if_it_was_there_when_the_query_came() {
        let agents = [woven(200, None), woven(210, None), woven(700, None)];
        assert_eq!(covered(&agents, &registry(&[1, 1, 1])), (800, 1));
        assert_eq!(covered(&agents, &registry(&[1, 1, 9])), (800, 0));
    }

    #[test]
    fn what_agents_covered_that_are_forgotten_stays_and_is_bounded() {
        let mut covered = CoveredTime::default();
        for i in 0..1_000 {
            covered.note(100 + i as u64, woven(i * 20, Some(i * 20 + 10)), WINDOW);
            covered.forget_agents(std::iter::once(100 + i as u64));
        }
        assert!(covered.agents.is_empty() && covered.forgotten.len() <= MAX_FORGOTTEN);
        let all = TimeRange { start_ns: 0, end_ns: i64::MAX };
        let found = covered.of_range(all, SECOND, INSTALLED_NS, &AgentRegistry::default()).covered_ns;
        assert!((10 * SECOND..=20 * SECOND).contains(&found), "{found}");
        assert_eq!(covered.first_ns(), woven(0, None).map(|woven| woven.since_ns));
    }
}
