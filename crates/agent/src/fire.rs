//! From an event to the advice woven at it.
//!
//! Field expressions are user code: they run first, outside any borrow of the baggage, and a panic in
//! one of them costs that query this one tuple.

use crate::emit::{Part, Parts, with_table};
use crate::identity::{Identity, identity, thread_name};
use crate::interpret::{Effect, run};
use crate::link::{DefaultField, Linked, Source};
use crate::tracepoint::Tracepoint;
use pivot_advice::{Loss, Value};
use pivot_baggage::Baggage;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

static SKIPPED: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// Events that were hit by a field expression of another event, and therefore skipped.
pub fn skipped() -> u64 {
    SKIPPED.load(Ordering::Relaxed)
}

/// Marks this thread as inside advice, until it is dropped.
struct Inside;

impl Inside {
    fn enter() -> Option<Inside> {
        let entered = INSIDE.try_with(|inside| !inside.replace(true)).unwrap_or(false);
        if !entered {
            SKIPPED.fetch_add(1, Ordering::Relaxed);
        }
        entered.then_some(Inside)
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        let _ = INSIDE.try_with(|inside| inside.set(false));
    }
}

pub(crate) fn fire(tracepoint: &'static Tracepoint, field: &dyn Fn(usize) -> Value) {
    let Some(_inside) = Inside::enter() else { return };
    with_table(|parts| {
        // Only now, with the table held: see `emit` on why a drain is enough after unweaving.
        let woven = tracepoint.woven();
        let Some(woven) = &*woven else { return };
        let event = Event { tracepoint, field, identity: identity() };
        event.run(&woven.advice, parts);
    });
}

struct Event<'a> {
    tracepoint: &'static Tracepoint,
    field: &'a dyn Fn(usize) -> Value,
    identity: Identity,
}

impl Event<'_> {
    fn run(&self, advice: &[Linked], parts: &mut Parts) {
        let observed: Vec<Option<Vec<Value>>> = advice.iter().map(|linked| self.observe(linked)).collect();
        pivot_baggage::with_current(|mut baggage| {
            let mut packed = Vec::new();
            for (linked, observed) in advice.iter().zip(observed) {
                let query = linked.advice.query;
                let mut loss = Loss::default();
                let effect = match observed {
                    Some(observed) => run(linked, observed, baggage.as_deref(), &mut loss),
                    None => {
                        loss.errors += 1;
                        None
                    }
                };
                match effect {
                    Some(Effect::Emit(emission)) => {
                        parts.entry(query).or_insert_with(Part::empty).add(&emission)
                    }
                    Some(Effect::Pack(..)) if baggage.is_none() => loss.outside_request += 1,
                    Some(Effect::Pack(bag, keep, groups)) => packed.push((bag, keep, groups)),
                    None => {}
                }
                if !loss.is_zero() {
                    parts.entry(query).or_insert_with(Part::empty).loss.merge(&loss);
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

    /// The observed values; none if an expression panicked.
    fn observe(&self, linked: &Linked) -> Option<Vec<Value>> {
        let values = || linked.sources.iter().map(|source| self.value(*source)).collect();
        catch_unwind(AssertUnwindSafe(values)).ok()
    }

    fn value(&self, source: Source) -> Value {
        match source {
            Source::Exported(index) => (self.field)(index),
            Source::Default(DefaultField::Host) => Value::Str(self.identity.host.clone()),
            Source::Default(DefaultField::Process) => Value::Str(self.identity.process.clone()),
            Source::Default(DefaultField::Pid) => Value::I64(self.identity.pid.into()),
            Source::Default(DefaultField::Thread) => thread_name(),
            Source::Default(DefaultField::Tracepoint) => Value::str(self.tracepoint.name()),
            Source::Default(DefaultField::Time) => crate::Export::export(&SystemTime::now()),
            Source::Default(DefaultField::Request) => request(),
        }
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
