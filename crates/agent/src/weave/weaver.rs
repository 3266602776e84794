//! Makes what is woven in this process equal to what a frontend wants woven, as far as it may be.
//!
//! What is woven at a tracepoint is published with one store of a pointer. What was woven before is
//! freed when no thread can be reading it any more.

use crate::error::AgentError;
use crate::report::fork::is_forked;
use crate::report::thread_slot;
use crate::run::ir::{CompiledAdvice, GroupSchemas};
use crate::site::catalogue::tracepoints;
use crate::site::tracepoint::Tracepoint;
use crate::weave::name_linker::LinkedAdvice;
use crate::weave::published::RetiredSets;
use crate::weave::throttle::Governor;
use crate::weave::verify::verify;
use crate::weave::woven::{Executor, WovenAdvice, WovenSet};
use pivot_advice::{Advice, QueryCost, QueryId, QueryStatus, WeaveProblem};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a frontend wants, and how its queries stand here.
#[derive(Debug)]
struct Weaver {
    desired: Vec<Advice>,
    governor: Governor,
    /// Which query has which place in the tables of threads.
    places: Vec<Option<QueryId>>,
    shapes: GroupSchemas,
    disabled: bool,
    /// Whether those who want it have been silent for too long.
    lapsed: bool,
    /// Whether something has been woven or unwoven that nobody was told of.
    changed: bool,
    retired: RetiredSets,
}

/// Weaver is serial, so that the last call wins everywhere.
static WEAVER: Mutex<Weaver> = Mutex::new(Weaver {
    desired: Vec::new(),
    governor: Governor::new(),
    places: Vec::new(),
    shapes: GroupSchemas::new(),
    disabled: false,
    lapsed: false,
    changed: false,
    retired: RetiredSets::new(),
});

/// Called after weaving has changed.
static LISTENERS: Mutex<Vec<fn()>> = Mutex::new(Vec::new());

/// Called after budgets were told.
static GOVERNED: Mutex<Vec<fn()>> = Mutex::new(Vec::new());

static IS_GOVERNED: AtomicBool = AtomicBool::new(false);

fn weaving() -> MutexGuard<'static, Weaver> {
    WEAVER.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Weaves exactly these advices: the others are unwoven, and a tracepoint at which nothing changes is
/// not touched. An advice that cannot be woven is left out and reported.
///
/// Returns when no event that saw what was woven before is on its way, see
/// [`drain`](crate::drain).
pub fn weave(desired: &[Advice]) -> Vec<WeaveProblem> {
    weave_since(desired, &BTreeMap::new())
}

/// The same, of queries that were brought by these generations (see [`pivot_baggage::generation`]): in a
/// request of an earlier one, that nothing happened before is uncertain.
pub fn weave_since(desired: &[Advice], since: &BTreeMap<QueryId, u64>) -> Vec<WeaveProblem> {
    let mut weaving = weaving();
    weaving.lapsed = false;
    weaving.desired = desired.to_vec();
    weaving.desired.sort_by_key(|advice| (advice.query, advice.stage));
    weaving.governor.keep_only(desired, since);
    let is_wanted = |query: QueryId| desired.iter().any(|advice| advice.query == query);
    weaving.places.iter_mut().for_each(|place| *place = place.filter(|query| is_wanted(*query)));
    let problems = weaving.apply();
    finish(weaving);
    problems
}

/// Unweaves everything and weaves nothing more, until [`enable`].
pub fn disable() {
    set_disabled(true);
}

/// Weaves again what a frontend wants.
pub fn enable() {
    set_disabled(false);
}

/// Whether weaving is switched off in this process.
pub fn is_disabled() -> bool {
    weaving().disabled
}

fn set_disabled(disabled: bool) {
    if is_forked() {
        return;
    }
    let mut weaving = weaving();
    if weaving.disabled != disabled {
        weaving.disabled = disabled;
        weaving.apply();
        finish(weaving);
    }
}

/// Unweaves everything until somebody says anew what to weave: nobody was heard from for too long. What
/// was wanted is [`suspended_queries`] meanwhile.
pub fn lapse() {
    let mut weaving = weaving();
    weaving.lapsed = true;
    weaving.apply();
    finish(weaving);
}

/// How every query that a frontend wants woven stands in this process.
pub fn statuses() -> Vec<QueryStatus> {
    let weaving = weaving();
    weaving.governor.statuses(weaving.is_off())
}

/// The queries that a frontend wants woven and that do not run here, although their tracepoints are
/// here: they rest, were suspended, or nothing is woven because weaving is switched off or has lapsed.
pub fn suspended_queries() -> Vec<QueryId> {
    let weaving = weaving();
    weaving.governor.suspended_queries(weaving.is_off())
}

/// The least generation that brought a query which would pack here and is [`suspended_queries`]: what no request that
/// comes through this process meets all advice of.
pub fn suspended_since() -> Option<u64> {
    let weaving = weaving();
    weaving.governor.suspended_since(weaving.is_off())
}

/// Has a query look at one request in so many, until its budget says otherwise.
pub fn sample_one_in(query: QueryId, requests: u32) {
    weaving().governor.sample_one_in(query, requests);
}

/// Tells the queries' budgets what they cost in the last `elapsed_ns`. What has gone beyond its budget
/// looks at fewer requests from now on, or rests; what was quarantined is unwoven.
pub fn govern(costs: &BTreeMap<QueryId, QueryCost>, elapsed_ns: u64) {
    let mut weaving = weaving();
    if weaving.governor.govern(costs, elapsed_ns) {
        weaving.apply();
        finish(weaving);
    } else {
        drop(weaving);
    }
    IS_GOVERNED.store(true, Ordering::Relaxed);
    call(&GOVERNED);
}

/// Nobody tells budgets any more.
pub fn stop_governing() {
    IS_GOVERNED.store(false, Ordering::Relaxed);
    call(&GOVERNED);
}

/// Whether budgets have been told, as they then are about every second until [`stop_governing`].
pub fn is_governed() -> bool {
    IS_GOVERNED.load(Ordering::Relaxed)
}

/// Has `listener` called after budgets were told, on the thread that told, and when that ends.
pub fn on_govern(listener: fn()) {
    GOVERNED.lock().unwrap_or_else(PoisonError::into_inner).push(listener);
}

fn call(listeners: &Mutex<Vec<fn()>>) {
    let listeners = listeners.lock().unwrap_or_else(PoisonError::into_inner).clone();
    listeners.into_iter().for_each(|listener| listener());
}

/// Has `listener` called after weaving has changed, on the thread that wove.
pub fn on_change(listener: fn()) {
    LISTENERS.lock().unwrap_or_else(PoisonError::into_inner).push(listener);
}

/// Weaves what is wanted at a tracepoint that became known just now.
pub(crate) fn weave_new(tracepoint: &'static Tracepoint) {
    let mut weaving = weaving();
    let is_wanted = |advice: &&Advice| advice.tracepoint == tracepoint.name() && verify(advice).is_ok();
    let wanted: Vec<Advice> = weaving.desired.iter().filter(is_wanted).cloned().collect();
    if !wanted.is_empty() {
        weaving.weave_at(tracepoint, &wanted.iter().collect::<Vec<_>>(), &mut Vec::new());
        wanted.iter().for_each(|advice| weaving.governor.arrived(advice.query));
    }
}

/// Ends a change of what is woven: frees what was replaced once no event can be reading it, and calls the
/// listeners. Waits outside the lock, because an event on its way may wait for the lock, to register a
/// tracepoint. If an event takes too long, what it may be reading is kept for the next change.
fn finish(mut weaving: MutexGuard<'_, Weaver>) {
    let retired = weaving.retired.take();
    let changed = std::mem::take(&mut weaving.changed);
    drop(weaving);
    if !retired.is_empty() && !thread_slot::quiesce() {
        self::weaving().retired.put_back(retired);
    }
    if changed {
        call(&LISTENERS);
    }
}

impl Weaver {
    /// Whether nothing is woven, whatever is wanted.
    fn is_off(&self) -> bool {
        self.disabled || self.lapsed
    }

    fn apply(&mut self) -> Vec<WeaveProblem> {
        let mut problems = Vec::new();
        let desired = std::mem::take(&mut self.desired);
        let mut sound: HashMap<&str, Vec<&Advice>> = HashMap::new();
        for advice in &desired {
            match verify(advice) {
                Ok(()) => sound.entry(&advice.tracepoint).or_default().push(advice),
                Err(error) => problems.push(problem(advice, &error)),
            }
        }
        for tracepoint in tracepoints() {
            let wanted = sound.get(tracepoint.name()).map_or(&[][..], Vec::as_slice);
            self.weave_at(tracepoint, wanted, &mut problems);
        }
        drop(sound);
        self.desired = desired;
        self.governor.set_problems(&problems);
        let names: HashSet<&str> = tracepoints().into_iter().map(Tracepoint::name).collect();
        self.governor.set_pending(&self.desired, |name| names.contains(name));
        problems
    }

    fn weave_at(
        &mut self,
        tracepoint: &'static Tracepoint,
        wanted: &[&Advice],
        problems: &mut Vec<WeaveProblem>,
    ) {
        let fields: Vec<&str> = tracepoint.fields().iter().map(|(name, _)| *name).collect();
        let mut advice = Vec::new();
        for wanted in wanted {
            let link = if tracepoint.declaration.is_one_of_several {
                LinkedAdvice::link_one_of_several
            } else {
                LinkedAdvice::link
            };
            match link(wanted, &fields) {
                Ok(linked) if linked.is_idle(|source| tracepoint.declaration.constant(source)) => {}
                Ok(linked) => advice.extend(self.knot(linked).map(Arc::new)),
                Err(error) => problems.push(problem(wanted, &error)),
            }
        }
        let published = tracepoint.published();
        if !published.peek(&self.retired).is(&advice) {
            let woven = (!advice.is_empty()).then(|| WovenSet::new(&tracepoint.declaration, advice));
            let is_woven = woven.is_some();
            tracepoint.observe(woven.iter().flat_map(WovenSet::observed));
            published.replace(woven, &mut self.retired);
            tracepoint.raise(is_woven);
            self.changed = true;
        }
    }

    /// None while the query may not run here.
    fn knot(&mut self, linked: LinkedAdvice) -> Option<WovenAdvice> {
        let gate = self.governor.running(linked.advice.query).filter(|_| !self.is_off())?;
        let needs_baggage = linked.advice.needs_baggage();
        let program = match CompiledAdvice::of(&linked, &mut self.shapes).map(Box::new) {
            Some(routine) if needs_baggage => Executor::InRequest(routine),
            Some(routine) => Executor::Plain(routine),
            None => Executor::Interpreted,
        };
        let place = self.place(linked.advice.query);
        let query = linked.advice.query.to_u64();
        Some(WovenAdvice { linked, gate, needs_baggage, query, place, program })
    }

    /// A place that no other query has as long as this one is wanted.
    fn place(&mut self, query: QueryId) -> usize {
        let known = self.places.iter().position(|holder| *holder == Some(query));
        let place = known.or_else(|| self.places.iter().position(Option::is_none));
        let place = place.unwrap_or(self.places.len());
        self.places.resize(self.places.len().max(place + 1), None);
        self.places[place] = Some(query);
        place
    }
}

fn problem(advice: &Advice, error: &AgentError) -> WeaveProblem {
    WeaveProblem { query: advice.query, tracepoint: advice.tracepoint.clone(), message: error.to_string() }
}
