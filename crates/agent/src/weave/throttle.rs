//! How a query stands in this process: woven, waiting, held back, or put away.
//!
//! A query that panics is put away for as long as it stays installed. One that costs more than its
//! budget looks at fewer requests, always the same ones in every process, and rests if that does not
//! help. A state machine without a clock: it is told what passed.

use pivot_advice::{Advice, Instruction, QueryCost, QueryId, QueryState, QueryStatus, WeaveProblem};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// A throttled query looks at one request in so many at least, before it rests.
const MOST_WEIGHT: u32 = 256;

/// How long a query rests that is beyond its budget whatever it looks at.
const REST_NS: u64 = 10_000_000_000;

/// A budget must be exceeded so many times in a row: one long event is an accident.
const STRIKES: u32 = 2;

/// How much of the budget a throttled query may use when it looks at more again.
const ROOM: f64 = 0.75;

/// Fractions of one core that queries may use.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CpuBudget {
    /// Each query.
    pub query: f64,
    /// All together.
    pub all: f64,
}

impl Default for CpuBudget {
    fn default() -> CpuBudget {
        CpuBudget { query: 0.005, all: 0.02 }
    }
}

static BUDGET: Mutex<Option<CpuBudget>> = Mutex::new(None);

/// Says what queries may use of the processor; half a percent of a core each and two together unless
/// said.
pub fn set_cpu_budget(budget: CpuBudget) {
    *BUDGET.lock().unwrap_or_else(PoisonError::into_inner) = Some(budget);
}

fn cpu_budget() -> CpuBudget {
    BUDGET.lock().unwrap_or_else(PoisonError::into_inner).unwrap_or_default()
}

/// What events read of a query's gate.
#[derive(Debug)]
pub(crate) struct Gate {
    /// Of how many requests one is looked at; 0 once it is put away.
    weight: AtomicU32,
    /// The generation that brought its advice as it is.
    since: AtomicU64,
    panic: OnceLock<String>,
}

impl Gate {
    pub(crate) fn new() -> Gate {
        Gate { weight: AtomicU32::new(1), since: AtomicU64::new(0), panic: OnceLock::new() }
    }

    /// Whether it may run.
    #[inline(always)]
    pub(crate) fn is_on(&self) -> bool {
        self.weight() != 0
    }

    /// Whether it may run and looks at every request.
    #[inline(always)]
    pub(crate) fn keeps_all(&self) -> bool {
        self.weight() == 1
    }

    /// Of how many requests one is to be looked at; 0 if it may not run.
    #[inline(always)]
    pub(crate) fn weight(&self) -> u32 {
        self.weight.load(Ordering::Relaxed)
    }

    /// The generation that brought its advice as it is.
    #[inline(always)]
    pub(crate) fn since(&self) -> u64 {
        self.since.load(Ordering::Relaxed)
    }

    /// Puts the query away: it has panicked.
    #[cold]
    pub(crate) fn quarantine(&self, message: String) {
        let _ = self.panic.set(message);
        self.weight.store(0, Ordering::Relaxed);
    }

    /// What is put away stays so.
    fn sample_one_in(&self, requests: u32) {
        let change = |weight| (weight != 0).then_some(requests);
        let _away = self.weight.fetch_update(Ordering::Relaxed, Ordering::Relaxed, change);
    }
}

#[derive(Debug)]
struct QueryHealth {
    gate: Arc<Gate>,
    weight: u32,
    strikes: u32,
    rest_ns: u64,
    is_put_away: bool,
    problems: Vec<String>,
    pending: bool,
    /// Whether any of its advice packs.
    packs: bool,
    used: f64,
}

impl QueryHealth {
    fn new() -> QueryHealth {
        QueryHealth {
            gate: Arc::new(Gate::new()),
            weight: 1,
            strikes: 0,
            rest_ns: 0,
            is_put_away: false,
            problems: Vec::new(),
            pending: false,
            packs: false,
            used: 0.0,
        }
    }

    fn sample_one_in(&mut self, requests: u32) {
        self.weight = requests.clamp(1, MOST_WEIGHT);
        self.gate.sample_one_in(self.weight);
    }

    /// Whether it is suspended, although its tracepoints are here.
    fn is_suspended(&self, off: bool) -> bool {
        !self.pending && (off || self.rest_ns > 0 || !self.gate.is_on())
    }

    /// A rest ends on trial: with the least there is.
    fn wake(&mut self, elapsed_ns: u64) -> bool {
        let rested = self.rest_ns > 0 && self.rest_ns <= elapsed_ns;
        self.rest_ns = self.rest_ns.saturating_sub(elapsed_ns);
        rested
    }

    /// Adapts to what was used, where `limit` was allowed. True if it has to rest from now on.
    fn adapt(&mut self, limit: f64) -> bool {
        if self.used > limit {
            self.strikes += 1;
            if self.strikes < STRIKES {
                return false;
            }
            if self.weight >= MOST_WEIGHT {
                self.rest_ns = REST_NS;
                return true;
            }
            let fitting = f64::from(self.weight) * self.used / limit / 0.9;
            self.sample_one_in(fitting.ceil() as u32);
            return false;
        }
        self.strikes = 0;
        let more = (self.weight * 4 / 5).max(1);
        if self.used * f64::from(self.weight) < ROOM * limit * f64::from(more) {
            self.sample_one_in(more);
        }
        false
    }

    fn status(&self, query: QueryId, off: bool) -> QueryStatus {
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
        } else {
            (QueryState::Active, String::new())
        };
        let gone = self.rest_ns > 0 || matches!(state, QueryState::Quarantined | QueryState::Disabled);
        let keep = if gone { 0.0 } else { 1.0 / f64::from(self.weight) };
        QueryStatus { query, state, keep, detail }
    }
}

/// How all queries stand.
#[derive(Debug)]
pub(crate) struct Governor(BTreeMap<QueryId, QueryHealth>);

impl Governor {
    pub(crate) const fn new() -> Governor {
        Governor(BTreeMap::new())
    }

    /// Forgets queries that are not wanted any more, and takes new ones in.
    pub(crate) fn keep_only(&mut self, desired: &[Advice], since: &BTreeMap<QueryId, u64>) {
        self.0.retain(|query, _| desired.iter().any(|advice| advice.query == *query));
        self.0.values_mut().for_each(|health| health.packs = false);
        for advice in desired {
            let health = self.0.entry(advice.query).or_insert_with(QueryHealth::new);
            let since = since.get(&advice.query).copied().unwrap_or_default();
            health.gate.since.store(since, Ordering::Relaxed);
            health.packs |= matches!(advice.instructions.last(), Some(Instruction::Pack { .. }));
        }
    }

    /// What events read, if the query may run.
    pub(crate) fn running(&self, query: QueryId) -> Option<Arc<Gate>> {
        let health = self.0.get(&query).filter(|health| health.rest_ns == 0)?;
        health.gate.is_on().then(|| Arc::clone(&health.gate))
    }

    pub(crate) fn set_problems(&mut self, problems: &[WeaveProblem]) {
        for (query, health) in &mut self.0 {
            let mine = problems.iter().filter(|problem| problem.query == *query);
            health.problems = mine.map(|problem| problem.message.clone()).collect();
        }
    }

    pub(crate) fn set_pending(&mut self, desired: &[Advice], is_here: impl Fn(&str) -> bool) {
        for (query, health) in &mut self.0 {
            let mut mine = desired.iter().filter(|advice| advice.query == *query);
            health.pending = !mine.any(|advice| is_here(&advice.tracepoint));
        }
    }

    /// One of the query's tracepoints is here now.
    pub(crate) fn set_arrived(&mut self, query: QueryId) {
        if let Some(health) = self.0.get_mut(&query) {
            health.pending = false;
        }
    }

    pub(crate) fn statuses(&self, off: bool) -> Vec<QueryStatus> {
        self.0.iter().map(|(query, health)| health.status(*query, off)).collect()
    }

    /// The queries that do not run, although their tracepoints are here: nobody sees what they miss.
    pub(crate) fn suspended_queries(&self, off: bool) -> Vec<QueryId> {
        self.0.iter().filter(|(_, health)| health.is_suspended(off)).map(|(query, _)| *query).collect()
    }

    /// The least generation that brought a query which is away and would pack: no request that comes here
    /// meets all of the advice of that generation.
    pub(crate) fn suspended_since(&self, off: bool) -> Option<u64> {
        let away = self.0.values().filter(|health| health.packs && health.is_suspended(off));
        away.map(|health| health.gate.since()).min()
    }

    /// Has a query look at one request in so many, until its budget says otherwise.
    pub(crate) fn sample_one_in(&mut self, query: QueryId, requests: u32) {
        if let Some(health) = self.0.get_mut(&query) {
            health.sample_one_in(requests);
        }
    }

    /// Tells the budgets what queries cost. True if another set of them may run from now on.
    pub(crate) fn govern(&mut self, costs: &BTreeMap<QueryId, QueryCost>, elapsed_ns: u64) -> bool {
        let budget = cpu_budget();
        let mut changed = false;
        for (query, health) in &mut self.0 {
            let busy_ns = costs.get(query).map_or(0, |cost| cost.busy_ns);
            health.used = busy_ns as f64 / elapsed_ns.max(1) as f64;
            if !health.gate.is_on() && !health.is_put_away {
                health.is_put_away = true;
                changed = true;
            }
            if health.wake(elapsed_ns) {
                health.strikes = STRIKES;
                changed = true;
            }
        }
        let used: f64 = self.0.values().map(|health| health.used).sum();
        // Together beyond what all may use: each may use its part of it.
        let share = if used > budget.all { budget.all / used } else { 1.0 };
        for health in self.0.values_mut().filter(|health| health.rest_ns == 0) {
            let limit = if share < 1.0 { budget.query.min(health.used * share) } else { budget.query };
            changed |= health.adapt(limit);
        }
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

    /// Lets seconds pass in which each query would use so much, if it looked at every request.
    fn pass(governor: &mut Governor, seconds: usize, full: f64) -> bool {
        let mut last = false;
        for _ in 0..seconds {
            let cost = |health: &QueryHealth| {
                let keep = if health.rest_ns > 0 { 0.0 } else { 1.0 / f64::from(health.weight) };
                QueryCost { busy_ns: (full * keep * SECOND as f64) as u64, ..QueryCost::default() }
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
        let mut governor = governor(1);
        pass(&mut governor, 1, 0.5);
        pass(&mut governor, 1, 0.001);
        pass(&mut governor, 1, 0.5);
        assert_eq!(first(&governor).state, QueryState::Active);
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
