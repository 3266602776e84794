//! Keeps queries within their CPU budgets, and away from a process that they made panic.
//!
//! ```text
//!      over budget twice, or once by far  at weight 256 and over budget
//!  weight 1 ───────────────────▶ weight w ─────────────────────────────▶ resting, 10 s
//!     ▲                            │  ▲                                     │
//!     └──── under ¾ of the budget ─┘  └────────── tried at weight 256 ──────┘
//!
//!  any state ── panic ──▶ quarantined, until the query is uninstalled
//! ```
//!
//! A query of weight `w` samples one request in `w`, the same ones in every process; see
//! [`sample`](crate::run::sample). Events read a query's `QueryGate`, two atomic words, and nothing else. The
//! `Governor` decides once a second, behind the weaver's lock, and has no clock of its own: it is told how much time
//! has passed and what each query cost.

use crate::limits::MAX_GROUPS;
use crate::weave::constant_conditions::FalseCondition;
use crate::weave::query_budgets::{self, cpu_budget};
use crate::weave::ruled_out::RuledOut;
use pivot_advice::{Advice, Instruction, QueryCost, QueryId, QueryState, QueryStatus, WeaveProblem};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

/// The largest weight: a query that is too expensive even then rests.
const MAX_WEIGHT: u32 = 256;

/// How long a query rests that exceeds its budget at the largest weight.
const REST_NS: u64 = 10_000_000_000;

/// How many times in a row a budget must be exceeded: one long event is an accident.
const STRIKES: u32 = 2;

/// How many times its budget a query has to use without its longest event, so that once is enough: many events are no
/// accident.
const OBVIOUS_EXCESS: f64 = 4.0;

/// The part of the budget that a query may use after its weight was lowered. Lower than the budget, so that the weight
/// does not swing.
const HEADROOM: f64 = 0.75;

/// The part of a query's state that events read.
#[derive(Debug)]
pub(crate) struct QueryGate {
    /// The query samples one request in this many; 0 once it is quarantined.
    weight: AtomicU32,
    /// The generation that brought the query's advice.
    since: AtomicU64,
    /// The most groups that it may have in one thread between two reports.
    max_groups: AtomicUsize,
    /// The message of the panic that quarantined it.
    panic: OnceLock<String>,
}

impl QueryGate {
    pub(crate) fn new() -> QueryGate {
        QueryGate {
            weight: AtomicU32::new(1),
            since: AtomicU64::new(0),
            max_groups: AtomicUsize::new(MAX_GROUPS),
            panic: OnceLock::new(),
        }
    }

    /// Returns whether the query may run.
    #[inline(always)]
    pub(crate) fn is_open(&self) -> bool {
        self.weight() != 0
    }

    /// Returns whether the query may run and keeps every request.
    #[inline(always)]
    pub(crate) fn keeps_all(&self) -> bool {
        self.weight() == 1
    }

    /// Returns the number of requests of which the query samples one, or 0 if it may not run.
    #[inline(always)]
    pub(crate) fn weight(&self) -> u32 {
        self.weight.load(Ordering::Relaxed)
    }

    /// Returns the generation that brought the query's advice.
    #[inline(always)]
    pub(crate) fn since(&self) -> u64 {
        self.since.load(Ordering::Relaxed)
    }

    /// Returns how many groups the query may have in one thread between two reports.
    pub(crate) fn max_groups(&self) -> usize {
        self.max_groups.load(Ordering::Relaxed)
    }

    /// Closes the gate for good: the query's advice has panicked.
    #[cold]
    pub(crate) fn quarantine(&self, message: String) {
        let _ = self.panic.set(message);
        self.weight.store(0, Ordering::Relaxed);
    }

    /// Sets the weight, unless the query is quarantined: that stays so.
    fn sample_one_in(&self, requests: u32) {
        let change = |weight| (weight != 0).then_some(requests);
        let _quarantined = self.weight.fetch_update(Ordering::Relaxed, Ordering::Relaxed, change);
    }
}

/// The governor's account of one query.
#[derive(Debug)]
struct QueryHealth {
    gate: Arc<QueryGate>,
    /// The query samples one request in this many, as far as its budget says.
    weight: u32,
    /// How many times in a row the budget was exceeded.
    strikes: u32,
    /// How long the query still rests; 0 if it does not.
    rest_ns: u64,
    /// Whether the query was unwoven because it is quarantined.
    is_unwoven: bool,
    /// Why some of its advice is not woven here.
    problems: Vec<String>,
    /// Whether this process has none of its tracepoints.
    pending: bool,
    /// When the first of its tracepoints was woven or ruled out here; `None` while it is pending.
    woven_at: Option<Instant>,
    /// The tracepoints here that constants rule out.
    ruled_out: RuledOut,
    /// Whether any of its advice packs.
    packs: bool,
    /// The fraction of a core that it used last.
    used: f64,
    /// The part of that without its longest event.
    used_by_others: f64,
}

impl QueryHealth {
    fn new() -> QueryHealth {
        QueryHealth {
            gate: Arc::new(QueryGate::new()),
            weight: 1,
            strikes: 0,
            rest_ns: 0,
            is_unwoven: false,
            problems: Vec::new(),
            pending: false,
            woven_at: None,
            ruled_out: RuledOut::default(),
            packs: false,
            used: 0.0,
            used_by_others: 0.0,
        }
    }

    fn sample_one_in(&mut self, requests: u32) {
        self.weight = requests.clamp(1, MAX_WEIGHT);
        self.gate.sample_one_in(self.weight);
    }

    fn set_pending(&mut self, pending: bool, now: Instant) {
        self.pending = pending;
        self.woven_at = if pending { None } else { self.woven_at.or(Some(now)) };
    }

    /// Returns whether the query does not run although it has something to do here.
    fn is_suspended(&self, off: bool) -> bool {
        !self.pending && !self.ruled_out.is_everywhere() && (off || self.rest_ns > 0 || !self.gate.is_open())
    }

    /// Lets time pass for a resting query. Returns whether its rest has ended; it goes on at the weight it had.
    fn wake(&mut self, elapsed_ns: u64) -> bool {
        let rested = self.rest_ns > 0 && self.rest_ns <= elapsed_ns;
        self.rest_ns = self.rest_ns.saturating_sub(elapsed_ns);
        rested
    }

    /// Adapts the weight to what was used, where `limit` was allowed. Returns whether the query rests from now on.
    fn adapt(&mut self, limit: f64) -> bool {
        if self.used > limit {
            self.strikes += 1;
            let is_obvious = self.used_by_others > OBVIOUS_EXCESS * limit;
            if self.strikes < STRIKES && !is_obvious {
                return false;
            }

            if self.weight >= MAX_WEIGHT {
                self.rest_ns = REST_NS;
                return true;
            }

            // Cost goes with the number of sampled requests, so this weight uses nine tenths of the limit.
            let fitting = f64::from(self.weight) * self.used / limit / 0.9;
            self.sample_one_in(fitting.ceil() as u32);
            return false;
        }

        // Back in small steps, each only if it is likely to stay within the headroom.
        self.strikes = 0;
        let more = (self.weight * 4 / 5).max(1);
        if self.used * f64::from(self.weight) < HEADROOM * limit * f64::from(more) {
            self.sample_one_in(more);
        }
        false
    }

    fn status(&self, query: QueryId, off: bool) -> QueryStatus {
        // In the order of what explains most.
        let (state, detail) = if off {
            (QueryState::Disabled, String::new())
        } else if let Some(message) = self.gate.panic.get() {
            (QueryState::Quarantined, format!("it panicked: {message}"))
        } else if self.rest_ns > 0 {
            (QueryState::Throttled, "beyond its budget whatever it looks at: it rests".into())
        } else if self.weight > 1 {
            (QueryState::Throttled, format!("looks at one request in {}", self.weight))
        } else if let Some(problem) = self.problems.first() {
            (QueryState::Problem, problem.clone())
        } else if self.pending {
            (QueryState::Pending, "this process has none of its tracepoints".into())
        } else if self.ruled_out.is_everywhere() {
            (QueryState::RuledOut, self.ruled_out.reason())
        } else {
            (QueryState::Active, String::new())
        };

        let gone = self.rest_ns > 0 || matches!(state, QueryState::Quarantined | QueryState::Disabled);
        let keep = if gone { 0.0 } else { 1.0 / f64::from(self.weight) };
        let granted = Some(query_budgets::granted(query));
        QueryStatus { query, state, keep, detail, granted, ruled_out: self.ruled_out.conditions().to_vec() }
    }
}

/// Decides which queries run in this process, and how many requests each samples.
#[derive(Debug)]
pub(crate) struct Governor(BTreeMap<QueryId, QueryHealth>);

impl Governor {
    pub(crate) const fn new() -> Governor {
        Governor(BTreeMap::new())
    }

    /// Forgets queries that are not wanted any more, and begins with those that are new.
    pub(crate) fn keep_only(&mut self, desired: &[Advice], since: &BTreeMap<QueryId, u64>) {
        self.0.retain(|query, _| desired.iter().any(|advice| advice.query == *query));
        self.0.values_mut().for_each(|health| health.packs = false);

        for advice in desired {
            let health = self.0.entry(advice.query).or_insert_with(QueryHealth::new);
            let since = since.get(&advice.query).copied().unwrap_or_default();
            health.gate.since.store(since, Ordering::Relaxed);
            health.gate.max_groups.store(query_budgets::max_groups(advice.query), Ordering::Relaxed);
            health.packs |= matches!(advice.instructions.last(), Some(Instruction::Pack { .. }));
        }
    }

    /// Returns the gate of a query, or `None` while the query may not run.
    pub(crate) fn running(&self, query: QueryId) -> Option<Arc<QueryGate>> {
        let health = self.0.get(&query).filter(|health| health.rest_ns == 0)?;
        health.gate.is_open().then(|| Arc::clone(&health.gate))
    }

    /// Sets the problems of all queries. Those from before are forgotten.
    pub(crate) fn set_problems(&mut self, problems: &[WeaveProblem]) {
        for (query, health) in &mut self.0 {
            let mine = problems.iter().filter(|problem| problem.query == *query);
            health.problems = mine.map(|problem| problem.message.clone()).collect();
        }
    }

    /// Adds the problems of a tracepoint that was registered after the last [`set_problems`](Self::set_problems).
    pub(crate) fn add_problems(&mut self, problems: Vec<WeaveProblem>) {
        for problem in problems {
            if let Some(health) = self.0.get_mut(&problem.query) {
                health.problems.push(problem.message);
            }
        }
    }

    /// Forgets at which tracepoints queries have something to do, before that is found out anew.
    pub(crate) fn forget_verdicts(&mut self) {
        self.0.values_mut().for_each(|health| health.ruled_out = RuledOut::default());
    }

    /// Notes that advice of a query has something to do at a call site.
    pub(crate) fn note_remaining(&mut self, query: QueryId) {
        if let Some(health) = self.0.get_mut(&query) {
            health.ruled_out.note_remaining();
        }
    }

    /// Notes that constants rule advice of a query out at a call site of a tracepoint.
    pub(crate) fn note_ruled_out(&mut self, query: QueryId, tracepoint: &str, why: &FalseCondition) {
        if let Some(health) = self.0.get_mut(&query) {
            health.ruled_out.add(tracepoint, why);
        }
    }

    /// Notes for which queries there is a tracepoint here, now that they have been woven.
    pub(crate) fn set_pending(&mut self, desired: &[Advice], is_here: impl Fn(&str) -> bool, now: Instant) {
        for (query, health) in &mut self.0 {
            let mut mine = desired.iter().filter(|advice| advice.query == *query);
            health.set_pending(!mine.any(|advice| is_here(&advice.tracepoint)), now);
        }
    }

    /// Notes that one of the query's tracepoints is here now.
    pub(crate) fn set_arrived(&mut self, query: QueryId, now: Instant) {
        if let Some(health) = self.0.get_mut(&query) {
            health.set_pending(false, now);
        }
    }

    /// Returns since when each query is woven here that has a tracepoint here, resting ones included: what these miss
    /// is counted.
    pub(crate) fn woven_since(&self) -> BTreeMap<QueryId, Instant> {
        self.0.iter().filter_map(|(query, health)| Some((*query, health.woven_at?))).collect()
    }

    pub(crate) fn statuses(&self, off: bool) -> Vec<QueryStatus> {
        self.0.iter().map(|(query, health)| health.status(*query, off)).collect()
    }

    /// Returns the queries that do not run although their tracepoints are here, so that nobody sees what they miss.
    pub(crate) fn suspended_queries(&self, off: bool) -> Vec<QueryId> {
        self.0.iter().filter(|(_, health)| health.is_suspended(off)).map(|(query, _)| *query).collect()
    }

    /// Returns the smallest generation that brought a query which is suspended and would pack. No request that comes
    /// here meets all of the advice of that generation.
    pub(crate) fn suspended_since(&self, off: bool) -> Option<u64> {
        let suspended = self.0.values().filter(|health| health.packs && health.is_suspended(off));
        suspended.map(|health| health.gate.since()).min()
    }

    /// Makes a query sample one request in `requests`, until its budget says otherwise.
    pub(crate) fn sample_one_in(&mut self, query: QueryId, requests: u32) {
        if let Some(health) = self.0.get_mut(&query) {
            health.sample_one_in(requests);
        }
    }

    /// Adapts all queries to what they cost in the last `elapsed_ns`. Returns whether another set of queries may run
    /// from now on, which then has to be woven.
    pub(crate) fn govern(&mut self, costs: &BTreeMap<QueryId, QueryCost>, elapsed_ns: u64) -> bool {
        let budget = cpu_budget();
        let mut changed = false;

        for (query, health) in &mut self.0 {
            let cost = costs.get(query).copied().unwrap_or_default();
            health.used = cost.busy_ns as f64 / elapsed_ns.max(1) as f64;
            let others_ns = cost.busy_ns.saturating_sub(cost.longest_ns);
            health.used_by_others = others_ns as f64 / elapsed_ns.max(1) as f64;

            // Quarantined by an event since the last time. It does nothing already, but costs every event a look.
            if !health.gate.is_open() && !health.is_unwoven {
                health.is_unwoven = true;
                changed = true;
            }

            // After a rest it is on probation: exceeding its budget once is enough.
            if health.wake(elapsed_ns) {
                health.strikes = STRIKES;
                changed = true;
            }
        }

        // If all together are beyond the common budget, each is held to its share of that.
        let used: f64 = self.0.values().map(|health| health.used).sum();
        let share = if used > budget.all { budget.all / used } else { 1.0 };
        for (query, health) in self.0.iter_mut().filter(|(_, health)| health.rest_ns == 0) {
            let own = query_budgets::granted(*query).cpu.unwrap_or(budget.query);
            let limit = if share < 1.0 { own.min(health.used * share) } else { own };
            changed |= health.adapt(limit);
        }
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weave::query_budgets::CpuBudget;

    const SECOND: u64 = 1_000_000_000;

    fn query(number: u32) -> QueryId {
        QueryId::new(1, number)
    }

    fn governor(queries: u32) -> Governor {
        let mut governor = Governor::new();
        let advice =
            |number| Advice { query: query(number), stage: 0, tracepoint: "T".into(), instructions: vec![] };
        governor.keep_only(&(1..=queries).map(advice).collect::<Vec<_>>(), &BTreeMap::new());
        governor
    }

    /// Lets seconds pass in which each query would use so much, if it looked at every request, in many events.
    fn pass(governor: &mut Governor, seconds: usize, full: f64) -> bool {
        pass_events(governor, seconds, full, 1_000)
    }

    /// Lets seconds pass in which each query would use so much, if it looked at every request, in so many events.
    fn pass_events(governor: &mut Governor, seconds: usize, full: f64, events: u64) -> bool {
        let mut last = false;

        for _ in 0..seconds {
            let cost = |health: &QueryHealth| {
                let keep = if health.rest_ns > 0 { 0.0 } else { 1.0 / f64::from(health.weight) };
                let busy_ns = (full * keep * SECOND as f64) as u64;
                QueryCost { events, busy_ns, longest_ns: busy_ns / events, ..QueryCost::default() }
            };
            let costs = governor.0.iter().map(|(query, health)| (*query, cost(health))).collect();
            last = governor.govern(&costs, SECOND);
        }
        last
    }

    fn first(governor: &Governor) -> QueryStatus {
        governor.statuses(false).swap_remove(0)
    }

    #[test]
    fn a_query_within_its_budget_looks_at_everything() {
        let mut governor = governor(1);
        pass(&mut governor, 100, 0.004);
        assert_eq!(first(&governor).state, QueryState::Active);
        assert_eq!(governor.running(query(1)).map(|gate| gate.weight()), Some(1));
    }

    #[test]
    fn one_bad_second_is_forgiven() {
        // One long event, and many that are a little too long.
        for (full, events) in [(0.5, 1), (0.015, 1_000)] {
            let mut governor = governor(1);
            pass_events(&mut governor, 1, full, events);
            pass(&mut governor, 1, 0.001);
            pass_events(&mut governor, 1, full, events);
            assert_eq!(first(&governor).state, QueryState::Active);
            pass_events(&mut governor, 1, full, events);
            assert_eq!(first(&governor).state, QueryState::Throttled);
        }
    }

    #[test]
    fn many_dear_events_are_throttled_after_one_second() {
        let mut governor = governor(1);
        pass(&mut governor, 1, 0.5);
        let status = first(&governor);
        assert_eq!(status.state, QueryState::Throttled);
        assert!(0.5 * status.keep <= CpuBudget::default().query, "{status:?}");
    }

    #[test]
    fn a_query_beyond_its_budget_looks_at_as_many_requests_as_fit() {
        let mut governor = governor(1);
        pass(&mut governor, 60, 0.05);
        let status = first(&governor);
        assert_eq!(status.state, QueryState::Throttled);
        assert!((0.04..=0.11).contains(&status.keep), "{status:?}");
        pass(&mut governor, 60, 0.0001);
        assert_eq!(first(&governor).state, QueryState::Active);
    }

    #[test]
    fn a_query_that_never_fits_rests_and_is_tried_again() {
        let mut governor = governor(1);
        let mut rested = false;
        for _ in 0..4 {
            pass(&mut governor, 1, 1e4);
            rested |= governor.running(query(1)).is_none();
        }
        assert!(rested);
        assert_eq!((first(&governor).state, first(&governor).keep), (QueryState::Throttled, 0.0));
        pass(&mut governor, 10, 0.0);
        assert!(governor.running(query(1)).is_some());
        pass(&mut governor, 60, 0.0);
        assert_eq!(first(&governor).state, QueryState::Active);
    }

    #[test]
    fn many_queries_share_what_all_may_use() {
        let mut governor = governor(10);
        pass(&mut governor, 120, 0.004);
        let used: f64 = governor.0.values().map(|health| 0.004 / f64::from(health.weight)).sum();
        assert!(used <= CpuBudget::default().all * 1.3, "{used}");
        assert!(used >= CpuBudget::default().all * 0.4, "{used}");
    }

    #[test]
    fn a_query_that_panicked_stays_away_until_it_is_installed_anew() {
        let mut governor = governor(1);
        let running = governor.running(query(1));
        running.iter().for_each(|gate| gate.quarantine("on purpose".into()));
        assert!(pass(&mut governor, 1, 0.0));
        assert!(!pass(&mut governor, 1, 0.0));
        assert_eq!(first(&governor).state, QueryState::Quarantined);
        assert!(governor.running(query(1)).is_none());
        governor.keep_only(&[], &BTreeMap::new());
        assert!(governor.statuses(false).is_empty());
    }

    #[test]
    fn a_query_that_packs_and_is_away_leaves_a_gap_since_it_came() {
        let bag = pivot_advice::BagKey { query: query(1), stage: 1 };
        let pack =
            Instruction::Pack { bag, keep: pivot_advice::TemporalFilter::All, keys: vec![], folds: vec![] };
        let advice = |number, instructions| Advice {
            query: query(number),
            stage: 1,
            tracepoint: "T".into(),
            instructions,
        };
        let mut governor = Governor::new();
        let since = BTreeMap::from([(query(1), 7), (query(2), 5)]);
        governor.keep_only(&[advice(1, vec![pack]), advice(2, vec![])], &since);
        assert_eq!((governor.suspended_since(false), governor.suspended_queries(false).len()), (None, 0));
        pass(&mut governor, 6, 1e4);
        assert_eq!((governor.suspended_since(false), governor.suspended_queries(false).len()), (Some(7), 2));
        pass(&mut governor, 10, 0.0);
        assert_eq!(governor.suspended_since(false), None);
    }
}
