//! From an event to the advice woven at it.
//!
//! Field expressions are user code: they run first, outside any borrow of the baggage. A panic in one
//! of them costs that query this tuple, and puts the query away.

use crate::report::thread_slot::EventGuard;
use crate::report::thread_table::{DeferredPacks, QueryTable, ThreadTable};
use crate::run::cells::{Cell, Cells, FieldReader};
use crate::run::interpreter::{self, Effect};
use crate::run::ir::CompiledAdvice;
use crate::run::sample::{self, SampleDecision, Stopwatch};
use crate::site::declaration::Declaration;
use crate::site::default_field::default_cell;
use crate::weave::name_linker::FieldSource;
use crate::weave::published::PublishedAdvice;
use crate::weave::woven::{Executor, FusedEntry, WovenAdvice, WovenSet};
use pivot_advice::{EvalErrors, LossCounts, Value};
use pivot_baggage::Baggage;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Lets all advice run that is woven at a tracepoint.
#[inline(always)]
pub(crate) fn fire(
    tracepoint: &'static Declaration,
    published: &'static PublishedAdvice,
    fields: FieldReader<'_>,
) {
    let Some(mut inside) = EventGuard::enter() else { return };
    let is_timed = inside.is_timed();
    let (table, proof) = inside.table_and_guard();
    // Only now: what is read while this thread is marked as inside is not freed before it has left.
    let set = published.get(proof);
    if is_timed {
        let left_out = fire_timed(tracepoint, fields, set, table);
        return inside.skip_timing(left_out);
    }
    let Some(mut short) = set.fused.as_deref() else {
        return fire_others(tracepoint, fields, set, table);
    };
    loop {
        run_short(fields, short, table);
        match short.next.as_deref() {
            Some(next) => short = next,
            None => break,
        }
    }
}

/// Runs advice in its shortest form.
#[inline(always)]
fn run_short(fields: FieldReader<'_>, short: &FusedEntry, table: &mut ThreadTable) {
    let FusedEntry { fused, gate, place, .. } = short;
    // A panic ends one advice, not those behind it.
    let run = catch_unwind(AssertUnwindSafe(|| match table.known(*place, fused.address) {
        Some((local, cells)) if gate.looks_at_all() => {
            local.part.cost.events = local.part.cost.events.wrapping_add(1);
            if !fused.run(fields, cells, local) {
                run_sampled(short.tracepoint, fields, &short.woven, false, table);
            }
        }
        _ => run_at_length(fields, short, table),
    }));
    if let Err(panic) = run {
        panicked(panic, short.tracepoint, &short.woven, table);
    }
}

/// Runs advice in its other form, after which its shortest may find what it adds to.
#[cold]
#[inline(never)]
fn run_at_length(fields: FieldReader<'_>, short: &FusedEntry, table: &mut ThreadTable) {
    let woven = &*short.woven;
    let (local, ..) = table.local(woven.place, woven.query);
    local.rows.takes(&short.fused.shape);
    run_woven(short.tracepoint, fields, woven, false, table);
}

#[inline(never)]
fn fire_others(
    tracepoint: &'static Declaration,
    fields: FieldReader<'_>,
    set: &WovenSet,
    table: &mut ThreadTable,
) {
    fire_all(tracepoint, fields, set, table, |_, _| {});
}

/// Runs any number of advices. Calls after each.
#[inline(always)]
fn fire_all(
    tracepoint: &'static Declaration,
    fields: FieldReader<'_>,
    set: &WovenSet,
    table: &mut ThreadTable,
    mut after: impl FnMut(&mut ThreadTable, &WovenAdvice),
) {
    for woven in &set.advice {
        let run = AssertUnwindSafe(|| run_woven(tracepoint, fields, woven, set.packs_later, table));
        if let Err(panic) = catch_unwind(run) {
            panicked(panic, tracepoint, woven, table);
        }
        after(table, woven);
    }
    if set.packs_later {
        pack_later(table);
    }
}

/// Runs all advice and measures it. Tells how many events are left out until the next one is measured.
#[cold]
#[inline(never)]
fn fire_timed(
    tracepoint: &'static Declaration,
    fields: FieldReader<'_>,
    set: &WovenSet,
    table: &mut ThreadTable,
) -> u32 {
    let mut stopwatch = Stopwatch::start();
    let mut lap = |table: &mut ThreadTable, woven: &WovenAdvice| {
        let busy_ns = stopwatch.lap_ns();
        let (local, ..) = table.local(woven.place, woven.query);
        local.part.cost.busy_ns = local.part.cost.busy_ns.saturating_add(busy_ns);
    };
    if set.fused.is_none() {
        fire_all(tracepoint, fields, set, table, lap);
    } else {
        let mut next = set.fused.as_deref();
        while let Some(short) = next {
            run_short(fields, short, table);
            lap(table, &short.woven);
            next = short.next.as_deref();
        }
    }
    stopwatch.stop()
}

#[inline(always)]
fn run_woven(
    tracepoint: &'static Declaration,
    fields: FieldReader<'_>,
    woven: &WovenAdvice,
    packs_later: bool,
    table: &mut ThreadTable,
) {
    let (local, cells, later) = table.local(woven.place, woven.query);
    local.part.cost.events = local.part.cost.events.wrapping_add(1);
    if woven.gate.looks_at_all() {
        match &woven.program {
            Executor::Plain(routine) => return run_plain(routine, tracepoint.name, fields, cells, local),
            Executor::InRequest(routine) => {
                let later = packs_later.then_some(later);
                if run_in_request(routine, tracepoint, fields, cells, local, later, false) {
                    return;
                }
            }
            Executor::Interpreted => {}
        }
    }
    run_sampled(tracepoint, fields, woven, packs_later, table);
}

#[inline(always)]
fn run_plain(
    routine: &CompiledAdvice,
    tracepoint: &'static str,
    fields: FieldReader<'_>,
    cells: &mut Cells,
    local: &mut QueryTable,
) {
    let mut errors = EvalErrors::default();
    if routine.begins(tracepoint, fields, cells, &mut errors) {
        routine.emit(1, &[], cells, local, &mut errors);
    }
    if errors.0 > 0 {
        local.part.loss.errors = local.part.loss.errors.saturating_add(errors.0);
    }
}

/// Runs advice if it looks at the event's request, of which there may be a sample.
#[inline(never)]
fn run_sampled(
    tracepoint: &'static Declaration,
    fields: FieldReader<'_>,
    woven: &WovenAdvice,
    packs_later: bool,
    table: &mut ThreadTable,
) {
    let (local, cells, later) = table.local(woven.place, woven.query);
    let weight = woven.gate.weight();
    if weight == 0 {
        return;
    }
    let Some(decision) = sample::decide(weight, woven.needs_baggage) else {
        local.part.loss.throttled = local.part.loss.throttled.saturating_add(1);
        return;
    };
    match &woven.program {
        Executor::Plain(routine) if decision.is_unsampled() => {
            run_plain(routine, tracepoint.name, fields, cells, local);
        }
        Executor::InRequest(routine) if decision.is_unsampled() => {
            let later = packs_later.then_some(later);
            run_in_request(routine, tracepoint, fields, cells, local, later, true);
        }
        // What stands for several is weighed, which routines do not do.
        _ => interpret(woven, decision, tracepoint, fields, cells, local, packs_later.then_some(later)),
    }
}

/// Runs advice that reads or writes the baggage. False, and nothing was done, if it is not `decided`
/// that it looks at every request, and the request is one of a sample.
#[inline(always)]
fn run_in_request(
    routine: &CompiledAdvice,
    tracepoint: &'static Declaration,
    fields: FieldReader<'_>,
    cells: &mut Cells,
    local: &mut QueryTable,
    later: Option<&mut DeferredPacks>,
    decided: bool,
) -> bool {
    let mut errors = EvalErrors::default();
    if routine.begins(tracepoint.name, fields, cells, &mut errors) {
        let ended = pivot_baggage::with_current(|baggage| match baggage {
            Some(baggage) if !decided && !sample::keeps_all(baggage) => None,
            baggage => Some(routine.ends(baggage, cells, local, later, &mut errors)),
        });
        match ended {
            Some(true) => {}
            Some(false) => outside(tracepoint, local),
            None => return false,
        }
    }
    if errors.0 > 0 {
        local.part.loss.errors = local.part.loss.errors.saturating_add(errors.0);
    }
    true
}

/// Runs advice that needs more than a routine can do.
#[cold]
#[inline(never)]
fn interpret(
    woven: &WovenAdvice,
    decision: SampleDecision,
    tracepoint: &'static Declaration,
    fields: FieldReader<'_>,
    cells: &mut Cells,
    local: &mut QueryTable,
    later: Option<&mut DeferredPacks>,
) {
    let value = |source: &FieldSource| {
        cells.begin(0);
        let cell = match source {
            FieldSource::Exported(index) => fields(*index, cells),
            FieldSource::Default(field) => default_cell(*field, tracepoint.name, cells),
            FieldSource::Missing => Cell::NULL,
        };
        cells.value(cell)
    };
    let observed: Vec<Value> = woven.linked.sources.iter().map(value).collect();
    let mut loss = LossCounts::default();
    let step = |baggage: Option<&mut Baggage>| {
        match interpreter::interpret(
            &woven.linked,
            observed,
            baggage.as_deref(),
            woven.gate.since(),
            &mut loss,
        ) {
            Some(Effect::Emit(emission)) => local.part.add(&emission, decision),
            Some(Effect::Pack(bag, keep, groups)) => {
                let Some(baggage) = baggage else { return false };
                groups.iter().for_each(|groups| local.part.cost.count_packed(groups));
                match later {
                    Some(later) => later.push((bag, keep, groups)),
                    None => drop(baggage.pack(bag, keep, groups)),
                }
            }
            Some(Effect::Lose(bag, keep)) => {
                let Some(baggage) = baggage else { return false };
                baggage.mark_lost(bag, keep);
            }
            None => {}
        }
        true
    };
    let ended = if woven.needs_baggage { pivot_baggage::with_current(step) } else { step(None) };
    if !ended {
        outside(tracepoint, local);
    }
    local.part.loss.merge(&loss);
}

/// Counts a tuple that was packed outside any request, and names its call site while somebody looks for
/// those.
#[cold]
fn outside(tracepoint: &'static Declaration, local: &mut QueryTable) {
    local.part.loss.outside_request = local.part.loss.outside_request.saturating_add(1);
    if pivot_baggage::leaks::is_watching() {
        let exports = tracepoint.exports();
        pivot_baggage::leaks::outside(&exports.tracepoint, &exports.file, exports.line);
    }
}

/// Packs what must not be seen at this very event.
#[cold]
#[inline(never)]
fn pack_later(table: &mut ThreadTable) {
    let later = std::mem::take(&mut table.later);
    if !later.is_empty() {
        pivot_baggage::with_current(|baggage| {
            let Some(baggage) = baggage else { return };
            for (bag, keep, groups) in later {
                baggage.pack(bag, keep, groups);
            }
        });
    }
}

/// Puts the query of the advice that ran away.
#[cold]
#[inline(never)]
fn panicked(
    panic: Box<dyn Any + Send>,
    tracepoint: &'static Declaration,
    woven: &WovenAdvice,
    table: &mut ThreadTable,
) {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("?");
    woven.gate.quarantine(format!("at `{}`: {text}", tracepoint.name));
    let (local, ..) = table.local(woven.place, woven.query);
    local.part.loss.errors = local.part.loss.errors.saturating_add(1);
    // What was thrown is user code too: to drop it may panic, and what that throws is not dropped.
    if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
        std::mem::forget(again);
    }
}
