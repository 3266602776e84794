//! What a connection to a frontend, an operator and the application may ask of weaving.
//!
//! Weaving is serial, behind one lock, so that the last call wins everywhere.

use crate::report::fork::is_forked;
use crate::site::process_identity::{ProcessIdentity, replace_identity};
use crate::site::tracepoint::Tracepoint;
use crate::weave::listeners;
use crate::weave::weaver::{finish, weaver};
use pivot_advice::{Advice, QueryCost, QueryId, QueryStatus, Value, WeaveProblem};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

static IS_GOVERNED: AtomicBool = AtomicBool::new(false);

/// Weaves exactly these advices: all others are unwoven, and a tracepoint at which nothing changes is not touched.
/// Returns the advices that cannot be woven in this process, and why.
///
/// When it returns, no event that saw what was woven before is on its way any more; see [`drain`](crate::drain).
pub fn weave(desired: &[Advice]) -> Vec<WeaveProblem> {
    weave_since(desired, &BTreeMap::new())
}

/// Weaves exactly these advices, as [`weave`](fn@crate::weave) does, of queries that came with these generations.
///
/// A request that began before its query's generation (see [`pivot_baggage::request_generation`]) may have passed
/// tracepoints at which the query was not woven yet, so that nothing happened before is uncertain in it.
pub fn weave_since(desired: &[Advice], since: &BTreeMap<QueryId, u64>) -> Vec<WeaveProblem> {
    let mut weaver = weaver();
    let problems = weaver.set_desired(desired, since);

    finish(weaver);
    problems
}

/// Sets the identity of this process. Events before this have `unknown` as host and process.
///
/// Conditions on host, process and process id are decided when advice is woven, so what is woven is decided anew.
pub fn set_identity(identity: ProcessIdentity) {
    replace_identity(identity);
    // In a forked child the lock may be held by a thread that does not exist there.
    if is_forked() {
        return;
    }

    let mut weaver = weaver();
    weaver.identity_changed();
    finish(weaver);
}

/// Unweaves everything and weaves nothing more, until [`enable`].
pub fn disable() {
    set_disabled(true);
}

/// Weaves again what a frontend wants, after [`disable`].
pub fn enable() {
    set_disabled(false);
}

/// Returns whether weaving is switched off in this process.
pub fn is_disabled() -> bool {
    weaver().is_disabled()
}

fn set_disabled(disabled: bool) {
    // In a forked child the lock may be held by a thread that does not exist there.
    if is_forked() {
        return;
    }

    let mut weaver = weaver();
    if weaver.set_disabled(disabled) {
        finish(weaver);
    }
}

/// Unweaves everything until the next [`weave`](fn@crate::weave), because no frontend was heard from for too long.
/// Meanwhile the queries that were woven are among the [`suspended_queries`].
pub fn lapse() {
    let mut weaver = weaver();
    weaver.lapse();
    finish(weaver);
}

/// Returns whether advice that is woven at a tracepoint may come to something at events of which `known` returns the
/// values of some exported fields: if not, such events need not be made.
pub fn may_come_to_something(tracepoint: &'static Tracepoint, known: impl Fn(&str) -> Option<Value>) -> bool {
    weaver().may_come_to_something(tracepoint, known)
}

/// Returns how every query that a frontend wants woven is doing in this process.
pub fn statuses() -> Vec<QueryStatus> {
    weaver().statuses()
}

/// Returns since when each query is woven that has a tracepoint in this process.
pub fn woven_since() -> BTreeMap<QueryId, Instant> {
    weaver().woven_since()
}

/// Returns the queries that a frontend wants woven and that do not run here although their tracepoints exist here:
/// they are resting or quarantined, or weaving is switched off or has lapsed.
pub fn suspended_queries() -> Vec<QueryId> {
    weaver().suspended_queries()
}

/// Returns the smallest generation that brought a query which would pack here and is suspended, or `None` if there
/// is no such query. No request that passes through this process meets all advice of that generation.
pub fn suspended_since() -> Option<u64> {
    weaver().suspended_since()
}

/// Makes a query sample one request in `requests`, until its budget says otherwise.
pub fn sample_one_in(query: QueryId, requests: u32) {
    weaver().sample_one_in(query, requests);
}

/// Enforces CPU budgets, given what queries cost in the last `elapsed_ns`. A query beyond its budget samples fewer
/// requests from now on, or rests; one that was quarantined is unwoven.
pub fn govern(costs: &BTreeMap<QueryId, QueryCost>, elapsed_ns: u64) {
    // Not every second, but only after a change: to finish one may mean to wait for an event.
    let mut weaver = weaver();
    if weaver.govern(costs, elapsed_ns) {
        finish(weaver);
    } else {
        drop(weaver);
    }

    // The listeners may weave, so the lock is released by now.
    IS_GOVERNED.store(true, Ordering::Relaxed);
    listeners::GOVERNED.call();
}

/// Stops enforcing CPU budgets: [`govern`] is not called any more.
pub fn stop_governing() {
    IS_GOVERNED.store(false, Ordering::Relaxed);
    listeners::GOVERNED.call();
}

/// Returns whether CPU budgets are enforced, about every second, until [`stop_governing`].
pub fn is_governed() -> bool {
    IS_GOVERNED.load(Ordering::Relaxed)
}
