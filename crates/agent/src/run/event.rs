//! From an event to the advice woven at it.
//!
//! Field expressions are user code: they run first, outside any borrow of the baggage. A panic in one
//! of them costs that query this tuple, and puts the query away.

use crate::report::thread_slot::Inside;
use crate::report::thread_table::{Local, Packed, Table};
use crate::run::cells::{Cell, Cells, Fields};
use crate::run::interpreter::{Effect, run};
use crate::run::ir::Routine;
use crate::run::sample::{self, Look, Stopwatch};
use crate::site::declaration::Declaration;
use crate::site::default_field::default_cell;
use crate::weave::name_linker::Source;
use crate::weave::published::Published;
use crate::weave::woven::{Knot, Program, Short, Woven};
use pivot_advice::{Errors, Loss, Value};
use pivot_baggage::Baggage;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Lets all advice run that is woven at a tracepoint.
#[inline(always)]
pub(crate) fn fire(tracepoint: &'static Declaration, published: &'static Published, fields: Fields<'_>) {
    let Some(mut inside) = Inside::enter() else { return };
    let is_timed = inside.is_timed();
    let (table, proof) = inside.parts();
    // Only now: what is read while this thread is marked as inside is not freed before it has left.
    let woven = published.get(proof);
    if is_timed {
        let left_out = fire_timed(tracepoint, fields, woven, table);
        return inside.leave_out(left_out);
    }
    let Some(mut short) = woven.straight.as_deref() else {
        return fire_others(tracepoint, fields, woven, table);
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
fn run_short(fields: Fields<'_>, short: &Short, table: &mut Table) {
    let Short { straight, standing, place, .. } = short;
    // A panic ends one advice, not those behind it.
    let run = catch_unwind(AssertUnwindSafe(|| match table.known(*place, straight.address) {
        Some((local, cells)) if standing.looks_at_all() => {
            local.part.cost.events = local.part.cost.events.wrapping_add(1);
            if !straight.run(fields, cells, local) {
                run_sampled(short.tracepoint, fields, &short.knot, false, table);
            }
        }
        _ => run_at_length(fields, short, table),
    }));
    if let Err(panic) = run {
        panicked(panic, short.tracepoint, &short.knot, table);
    }
}

/// Runs advice in its other form, after which its shortest may find what it adds to.
#[cold]
#[inline(never)]
fn run_at_length(fields: Fields<'_>, short: &Short, table: &mut Table) {
    let knot = &*short.knot;
    let (local, ..) = table.local(knot.place, knot.query);
    local.rows.takes(&short.straight.shape);
    run_knot(short.tracepoint, fields, knot, false, table);
}

#[inline(never)]
fn fire_others(tracepoint: &'static Declaration, fields: Fields<'_>, woven: &Woven, table: &mut Table) {
    fire_all(tracepoint, fields, woven, table, |_, _| {});
}

/// Runs any number of advices. Calls after each.
#[inline(always)]
fn fire_all(
    tracepoint: &'static Declaration,
    fields: Fields<'_>,
    woven: &Woven,
    table: &mut Table,
    mut after: impl FnMut(&mut Table, &Knot),
) {
    for knot in &woven.advice {
        let run = AssertUnwindSafe(|| run_knot(tracepoint, fields, knot, woven.packs_later, table));
        if let Err(panic) = catch_unwind(run) {
            panicked(panic, tracepoint, knot, table);
        }
        after(table, knot);
    }
    if woven.packs_later {
        pack_later(table);
    }
}

/// Runs all advice and measures it. Tells how many events are left out until the next one is measured.
#[cold]
#[inline(never)]
fn fire_timed(tracepoint: &'static Declaration, fields: Fields<'_>, woven: &Woven, table: &mut Table) -> u32 {
    let mut stopwatch = Stopwatch::start();
    let mut lap = |table: &mut Table, knot: &Knot| {
        let busy_ns = stopwatch.lap_ns();
        let (local, ..) = table.local(knot.place, knot.query);
        local.part.cost.busy_ns = local.part.cost.busy_ns.saturating_add(busy_ns);
    };
    if woven.straight.is_none() {
        fire_all(tracepoint, fields, woven, table, lap);
    } else {
        let mut next = woven.straight.as_deref();
        while let Some(short) = next {
            run_short(fields, short, table);
            lap(table, &short.knot);
            next = short.next.as_deref();
        }
    }
    stopwatch.stop()
}

#[inline(always)]
fn run_knot(
    tracepoint: &'static Declaration,
    fields: Fields<'_>,
    knot: &Knot,
    packs_later: bool,
    table: &mut Table,
) {
    let (local, cells, later) = table.local(knot.place, knot.query);
    local.part.cost.events = local.part.cost.events.wrapping_add(1);
    if knot.standing.looks_at_all() {
        match &knot.program {
            Program::Plain(routine) => return run_plain(routine, tracepoint.name, fields, cells, local),
            Program::InRequest(routine) => {
                let later = packs_later.then_some(later);
                if run_in_request(routine, tracepoint, fields, cells, local, later, false) {
                    return;
                }
            }
            Program::Interpreted => {}
        }
    }
    run_sampled(tracepoint, fields, knot, packs_later, table);
}

#[inline(always)]
fn run_plain(
    routine: &Routine,
    tracepoint: &'static str,
    fields: Fields<'_>,
    cells: &mut Cells,
    local: &mut Local,
) {
    let mut errors = Errors::default();
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
    fields: Fields<'_>,
    knot: &Knot,
    packs_later: bool,
    table: &mut Table,
) {
    let (local, cells, later) = table.local(knot.place, knot.query);
    let weight = knot.standing.weight();
    if weight == 0 {
        return;
    }
    let Some(look) = sample::look(weight, knot.needs_baggage) else {
        local.part.loss.throttled = local.part.loss.throttled.saturating_add(1);
        return;
    };
    match &knot.program {
        Program::Plain(routine) if look.is_all() => {
            run_plain(routine, tracepoint.name, fields, cells, local);
        }
        Program::InRequest(routine) if look.is_all() => {
            let later = packs_later.then_some(later);
            run_in_request(routine, tracepoint, fields, cells, local, later, true);
        }
        // What stands for several is weighed, which routines do not do.
        _ => interpret(knot, look, tracepoint, fields, cells, local, packs_later.then_some(later)),
    }
}

/// Runs advice that reads or writes the baggage. False, and nothing was done, if it is not `decided`
/// that it looks at every request, and the request is one of a sample.
#[inline(always)]
fn run_in_request(
    routine: &Routine,
    tracepoint: &'static Declaration,
    fields: Fields<'_>,
    cells: &mut Cells,
    local: &mut Local,
    later: Option<&mut Packed>,
    decided: bool,
) -> bool {
    let mut errors = Errors::default();
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
    knot: &Knot,
    look: Look,
    tracepoint: &'static Declaration,
    fields: Fields<'_>,
    cells: &mut Cells,
    local: &mut Local,
    later: Option<&mut Packed>,
) {
    let value = |source: &Source| {
        cells.begin(0);
        let cell = match source {
            Source::Exported(index) => fields(*index, cells),
            Source::Default(field) => default_cell(*field, tracepoint.name, cells),
            Source::Lacking => Cell::NULL,
        };
        cells.value(cell)
    };
    let observed: Vec<Value> = knot.linked.sources.iter().map(value).collect();
    let mut loss = Loss::default();
    let step = |baggage: Option<&mut Baggage>| {
        match run(&knot.linked, observed, baggage.as_deref(), knot.standing.since(), &mut loss) {
            Some(Effect::Emit(emission)) => local.part.add(&emission, look),
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
    let ended = if knot.needs_baggage { pivot_baggage::with_current(step) } else { step(None) };
    if !ended {
        outside(tracepoint, local);
    }
    local.part.loss.merge(&loss);
}

/// Counts a tuple that was packed outside any request, and names its call site while somebody looks for
/// those.
#[cold]
fn outside(tracepoint: &'static Declaration, local: &mut Local) {
    local.part.loss.outside_request = local.part.loss.outside_request.saturating_add(1);
    if pivot_baggage::leaks::is_watching() {
        let exports = tracepoint.exports();
        pivot_baggage::leaks::outside(&exports.tracepoint, &exports.file, exports.line);
    }
}

/// Packs what must not be seen at this very event.
#[cold]
#[inline(never)]
fn pack_later(table: &mut Table) {
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
fn panicked(panic: Box<dyn Any + Send>, tracepoint: &'static Declaration, knot: &Knot, table: &mut Table) {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("?");
    knot.standing.quarantine(format!("at `{}`: {text}", tracepoint.name));
    let (local, ..) = table.local(knot.place, knot.query);
    local.part.loss.errors = local.part.loss.errors.saturating_add(1);
    // What was thrown is user code too: to drop it may panic, and what that throws is not dropped.
    if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
        std::mem::forget(again);
    }
}
