//! From an event to the executors of the advice woven at its tracepoint; [`run`](crate::run) has a drawing.
//!
//! This is the hot path: what is `#[inline(always)]` here becomes one function with the kernels of fused advice, and
//! what happens rarely is a call to a function of its own, so that it takes no registers from the rest.
//!
//! Field expressions are user code. They run outside any borrow of the baggage, and a panic in one of them costs its
//! query this tuple and quarantines the query; the advice of other queries runs on.

use crate::report::thread_slot::EventGuard;
use crate::report::thread_table::ThreadTable;
use crate::run::cells::FieldReader;
use crate::run::slow_path;
use crate::run::stopwatch::Stopwatch;
use crate::weave::published::PublishedAdvice;
use crate::weave::woven::{Executor, WovenAdvice, WovenSet};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

/// Runs all advice that is woven at a tracepoint over one event.
#[inline(always)]
pub(crate) fn fire(published: &'static PublishedAdvice, fields: FieldReader<'_>) {
    let Some(mut guard) = EventGuard::enter() else { return };
    let is_timed = guard.is_timed();
    let (table, proof) = guard.table_and_proof();

    // Loaded after the guard has marked this thread as inside an event. Weaving waits for marked threads only, so a
    // set that was loaded before the mark could be freed while it runs.
    let set = published.get(proof);

    if is_timed {
        let left_out = run_timed(set, fields, table);
        return guard.skip_timing(left_out);
    }

    run_set(set, fields, table);
}

/// Runs all advice of a set over one event, without timing it. The caller has marked the thread as inside an event, as
/// [`fire`] does, or owns the set and the table, as tests and benches do.
#[inline(always)]
pub(crate) fn run_set(set: &WovenSet, fields: FieldReader<'_>, table: &mut ThreadTable) {
    // One comparison for the common case; a `match` over all three would cost it two.
    if let WovenSet::Immediate(first) = set {
        run_list(first, fields, table);
    } else {
        run_deferring(set, fields, table);
    }
}

/// Runs an advice and all those after it.
#[inline(always)]
fn run_list(first: &WovenAdvice, fields: FieldReader<'_>, table: &mut ThreadTable) {
    let mut advice = first;
    loop {
        run_contained(advice, fields, table);
        match advice.next.as_deref() {
            Some(next) => {
                // Most tracepoints have one advice. Told so, the compiler jumps less and spills no registers for what
                // only a next advice would need.
                unlikely();
                advice = next;
            }
            None => break,
        }
    }
}

/// Runs a set of which one advice unpacks what another one packs: the packs wait until all of it has run. An empty set
/// comes here too, if its last advice was unwoven just now; it runs nothing.
#[cold]
#[inline(never)]
fn run_deferring(set: &WovenSet, fields: FieldReader<'_>, table: &mut ThreadTable) {
    for advice in set.iter() {
        run_contained(advice, fields, table);
    }
    slow_path::apply_deferred_packs(table);
}

/// Runs a set with a stopwatch, which charges each query for its own advice. Returns how many events are left out
/// until the next one is timed.
#[cold]
#[inline(never)]
fn run_timed(set: &WovenSet, fields: FieldReader<'_>, table: &mut ThreadTable) -> u32 {
    run_timed_from(Stopwatch::start(), set, fields, table)
}

/// Runs a set with a stopwatch that runs already.
pub(crate) fn run_timed_from(
    mut stopwatch: Stopwatch,
    set: &WovenSet,
    fields: FieldReader<'_>,
    table: &mut ThreadTable,
) -> u32 {
    for advice in set.iter() {
        run_contained(advice, fields, table);
        charge_lap(&mut stopwatch, advice, table);
    }

    // Deferred packs come after the laps and are charged to nobody. They are little, and few sets defer them: other
    // advice packs while it runs, inside its lap.
    slow_path::apply_deferred_packs(table);
    stopwatch.stop()
}

/// Charges a query for the time since the last lap.
#[cold]
#[inline(never)]
fn charge_lap(stopwatch: &mut Stopwatch, advice: &WovenAdvice, table: &mut ThreadTable) {
    let busy_ns = stopwatch.lap_ns(Duration::MAX);
    table.query_table(advice.table_index, advice.query).report.cost.add_busy(busy_ns);
}

/// Runs one advice. A panic ends it, and not those after it.
#[inline(always)]
fn run_contained(advice: &WovenAdvice, fields: FieldReader<'_>, table: &mut ThreadTable) {
    let run = catch_unwind(AssertUnwindSafe(|| run_one(advice, fields, table)));
    if let Err(panic) = run {
        panicked(panic, advice, table);
    }
}

/// Runs one advice: by its fused kernel, if this thread's table is ready for that and the query keeps all requests,
/// otherwise by the slow path. There too goes an event that the kernel refuses, because it is in no request, or it has
/// to be decided whether the event's request is in the sample.
#[inline(always)]
fn run_one(advice: &WovenAdvice, fields: FieldReader<'_>, table: &mut ThreadTable) {
    let Executor::Fused(fused, _) = &advice.executor else {
        unlikely();
        return slow_path::run_unfused(advice, fields, table);
    };

    match table.prepared(advice.table_index, fused.schema_address) {
        Some((query_table, cells)) if advice.gate.keeps_all() => {
            query_table.report.cost.events = query_table.report.cost.events.wrapping_add(1);
            if !fused.run(fields, cells, query_table) {
                slow_path::run_refused(advice, fields, table);
            }
        }
        _ => slow_path::run_unprepared(advice, fields, table),
    }
}

/// Has the compiler lay out the branch that it is called in behind the others.
#[cold]
#[inline]
fn unlikely() {}

/// Quarantines the query whose advice panicked.
#[cold]
#[inline(never)]
fn panicked(panic: Box<dyn Any + Send>, advice: &WovenAdvice, table: &mut ThreadTable) {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("?");
    advice.gate.quarantine(format!("at `{}`: {text}", advice.tracepoint.name));

    table.query_table(advice.table_index, advice.query).report.count_errors(1);

    // The payload is user code too: dropping it may panic, and what that throws is not dropped.
    if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
        std::mem::forget(again);
    }
}
