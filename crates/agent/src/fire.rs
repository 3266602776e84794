//! From an event to the advice woven at it.
//!
//! Field expressions are user code: they run first, outside any borrow of the baggage. A panic in one
//! of them costs that query this tuple, and puts the query away.

use crate::emit::Table;
use crate::identity::{see_host, see_pid, see_process, see_thread};
use crate::interpret::{Effect, run};
use crate::lean::Lean;
use crate::link::{DefaultField, Source};
use crate::sample::{self, Look, Stopwatch};
use crate::thread::Inside;
use crate::tracepoint::Tracepoint;
use crate::view::{See, View};
use crate::weave::{Knot, Woven};
use pivot_advice::{BagKey, Groups, Keep, Loss, Value, codec};
use pivot_baggage::Baggage;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::SystemTime;

/// Lets all advice run that is woven at a tracepoint.
pub(crate) fn fire(tracepoint: &'static Tracepoint, field: &dyn Fn(usize, See<'_>)) {
    let Some(mut inside) = Inside::enter() else { return };
    let (table, proof) = inside.parts();
    // Only now: what is read while this thread is marked as inside is not freed before it has left.
    let Some(woven) = tracepoint.published().get(proof) else { return };
    let mut event = Event { tracepoint, field, table, stopwatch: Stopwatch::start() };
    if woven.needs_baggage { event.run_in_request(woven) } else { event.run(woven) }
}

struct Event<'a> {
    tracepoint: &'static Tracepoint,
    field: &'a dyn Fn(usize, See<'_>),
    table: &'a mut Table,
    stopwatch: Stopwatch,
}

type Packed = (BagKey, Keep, Vec<Groups>);

impl Event<'_> {
    /// Runs advice that leaves the baggage alone.
    fn run(&mut self, woven: &Woven) {
        for knot in &woven.advice {
            let begun = self.begin(knot);
            if let (Some(Look::ALL), Some(lean)) = (begun, &knot.lean) {
                self.run_lean(knot, lean);
                continue;
            }
            if let Some(observed) = begun.and_then(|look| self.observe(knot, look)) {
                self.step(knot, observed, None, &mut Vec::new());
            }
            self.account(knot);
        }
    }

    /// Runs advice in the short form.
    #[inline]
    fn run_lean(&mut self, knot: &Knot, lean: &Lean) {
        let (name, field, table) = (self.tracepoint.name(), self.field, &mut *self.table);
        let run = move || table.run(knot.linked.advice.query, lean, name, field);
        if let Err(panic) = catch_unwind(AssertUnwindSafe(run)) {
            self.panicked(knot, &*panic);
        }
        self.account_again(knot);
    }

    /// Runs advice of which some reads or writes the baggage.
    fn run_in_request(&mut self, woven: &Woven) {
        let mut observed = Vec::with_capacity(woven.advice.len());
        for knot in &woven.advice {
            observed.push(self.begin(knot).and_then(|look| self.observe(knot, look)));
            self.account(knot);
        }
        pivot_baggage::with_current(|mut baggage| {
            let mut packed = Vec::new();
            for (knot, observed) in woven.advice.iter().zip(observed) {
                if let Some(observed) = observed {
                    self.step(knot, observed, baggage.as_deref(), &mut packed);
                    self.account_again(knot);
                }
            }
            // Last of all: an event does not happen before itself.
            if let Some(baggage) = baggage.as_mut() {
                for (bag, keep, groups) in packed {
                    baggage.pack(bag, keep, groups);
                }
            }
        });
    }

    /// Whether an advice looks at this event, and for how many it stands.
    #[inline]
    fn begin(&mut self, knot: &Knot) -> Option<Look> {
        if !knot.standing.is_on() {
            return None;
        }
        let look = sample::look(knot.standing.weight(), knot.needs_baggage);
        if look.is_some() {
            return look;
        }
        let loss = &mut self.table.part(knot.linked.advice.query).loss;
        loss.throttled = loss.throttled.saturating_add(1);
        None
    }

    /// The observed values; none if an expression panicked.
    fn observe(&mut self, knot: &Knot, look: Look) -> Option<(Look, Vec<Value>)> {
        let values = || knot.linked.sources.iter().map(|source| self.value(*source)).collect();
        let observed = catch_unwind(AssertUnwindSafe(values));
        observed.map_err(|panic| self.panicked(knot, &*panic)).ok().map(|observed| (look, observed))
    }

    fn step(
        &mut self,
        knot: &Knot,
        (look, observed): (Look, Vec<Value>),
        baggage: Option<&Baggage>,
        packed: &mut Vec<Packed>,
    ) {
        let (table, tracepoint) = (&mut *self.table, self.tracepoint);
        let step = move || {
            let mut loss = Loss::default();
            let effect = run(&knot.linked, observed, baggage, knot.standing.since(), &mut loss);
            let part = table.part(knot.linked.advice.query);
            match effect {
                Some(Effect::Emit(emission)) => part.add(&emission, look),
                Some(Effect::Pack(..)) if baggage.is_none() => {
                    loss.outside_request += 1;
                    tell_of_leak(tracepoint);
                }
                Some(Effect::Pack(bag, keep, groups)) => {
                    let rows: usize = groups.iter().map(Groups::len).sum();
                    part.cost.packed = part.cost.packed.saturating_add(rows as u64);
                    let bytes = groups.iter().map(codec::size).sum::<usize>();
                    part.cost.packed_bytes = part.cost.packed_bytes.saturating_add(bytes as u64);
                    packed.push((bag, keep, groups));
                }
                None => {}
            }
            if !loss.is_zero() {
                part.loss.merge(&loss);
            }
        };
        if let Err(panic) = catch_unwind(AssertUnwindSafe(step)) {
            self.panicked(knot, &*panic);
        }
    }

    #[inline]
    fn account(&mut self, knot: &Knot) {
        let cost = &mut self.table.part(knot.linked.advice.query).cost;
        cost.events = cost.events.saturating_add(1);
        cost.busy_ns = cost.busy_ns.saturating_add(self.stopwatch.lap_ns());
    }

    #[inline]
    fn account_again(&mut self, knot: &Knot) {
        let busy_ns = self.stopwatch.lap_ns();
        if busy_ns > 0 {
            self.table.part(knot.linked.advice.query).cost.busy_ns += busy_ns;
        }
    }

    #[cold]
    fn panicked(&mut self, knot: &Knot, panic: &(dyn Any + Send)) {
        let text = panic.downcast_ref::<&str>().copied();
        let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("?");
        knot.standing.quarantine(format!("at `{}`: {text}", self.tracepoint.name()));
        let loss = &mut self.table.part(knot.linked.advice.query).loss;
        loss.errors = loss.errors.saturating_add(1);
    }

    fn value(&self, source: Source) -> Value {
        let mut value = Value::Null;
        let see: See<'_> = &mut |view| value = view.into_value();
        match source {
            Source::Exported(index) => (self.field)(index, see),
            Source::Default(field) => show_default(field, self.tracepoint.name(), see),
            Source::Lacking => {}
        }
        value
    }
}

/// Shows the value of a default field.
pub(crate) fn show_default(field: DefaultField, tracepoint: &'static str, see: See<'_>) {
    match field {
        DefaultField::Host => see_host(see),
        DefaultField::Process => see_process(see),
        DefaultField::Pid => see_pid(see),
        DefaultField::Thread => see_thread(see),
        DefaultField::Tracepoint => see(View::Str(tracepoint)),
        DefaultField::Time => see(View::Value(crate::Export::export(&SystemTime::now()))),
        DefaultField::Request => see(View::Value(request())),
    }
}

fn request() -> Value {
    pivot_baggage::with_current(|baggage| baggage.map(Baggage::request_or_begin))
        .map_or(Value::Null, request_id)
}

/// A request's id as queries see it.
pub fn request_id(id: u128) -> Value {
    Value::str(format!("{id:032x}"))
}

/// Names the call site of a tuple that was packed outside any request, while somebody looks for them.
#[cold]
fn tell_of_leak(tracepoint: &'static Tracepoint) {
    if pivot_baggage::leaks::watching() {
        let exports = tracepoint.exports();
        pivot_baggage::leaks::outside(&exports.tracepoint, &exports.file, exports.line);
    }
}
