//! Which carriers this thread is inside of, and what was current outside of each.

use pivot_baggage::{Baggage, current};
use std::cell::{Cell, RefCell};

/// A span: the subscriber's number and the span's id.
pub(crate) type SpanKey = (usize, u64);

#[derive(Debug)]
struct EnteredCarrier {
    /// The span that was entered.
    via: SpanKey,
    /// The one whose request that is.
    carrier: SpanKey,
    /// The application's span at that time.
    under: Option<u64>,
    depth: u32,
    outside: Option<Baggage>,
}

thread_local! {
    static INSIDE: RefCell<Vec<EnteredCarrier>> = const { RefCell::new(Vec::new()) };
    /// The carrier that this thread has come out of, if that was the last that it did with any.
    static LEFT: Cell<Option<SpanKey>> = const { Cell::new(None) };
}

fn with<R>(f: impl FnOnce(&mut Vec<EnteredCarrier>) -> R) -> Option<R> {
    // A thread that ends is inside of nothing.
    INSIDE.try_with(|inside| inside.try_borrow_mut().ok().map(|mut inside| f(&mut inside))).ok().flatten()
}

/// The thread goes into a request, which `take` gives, unless it is in there.
pub(crate) fn enter(
    via: SpanKey,
    carrier: SpanKey,
    under: Option<u64>,
    take: impl FnOnce() -> Option<Baggage>,
) {
    with(|inside| {
        LEFT.set(None);
        if let Some(again) = inside.iter_mut().find(|entry| entry.via == via) {
            again.depth += 1;
        } else if inside.iter().all(|entry| entry.carrier != carrier) {
            let outside = current::attach(take());
            inside.push(EnteredCarrier { via, carrier, under, depth: 1, outside });
        }
    });
}

/// The thread comes out, with the request as it is now; None if it stays, or was not in there.
/// OpenSpans may be left in another order than the reverse.
pub(crate) fn exit(via: SpanKey) -> Option<(SpanKey, Option<Baggage>)> {
    with(|inside| {
        let at = inside.iter().rposition(|entry| entry.via == via)?;
        inside[at].depth -= 1;
        if inside[at].depth > 0 {
            return None;
        }
        let EnteredCarrier { carrier, outside, .. } = inside.remove(at);
        LEFT.set(Some(carrier));
        // What was current in there is outside of the one that was entered next.
        let request = match inside.get_mut(at) {
            Some(next) => std::mem::replace(&mut next.outside, outside),
            None => current::attach(outside),
        };
        Some((carrier, request))
    })
    .flatten()
}

/// The carrier that this thread entered last, and the application's span at that time.
pub(crate) fn innermost(number: usize) -> Option<(u64, Option<u64>)> {
    with(|inside| {
        let last = inside.last().filter(|last| last.carrier.0 == number)?;
        Some((last.carrier.1, last.under))
    })
    .flatten()
}

/// Whether the thread has just come out of that carrier.
pub(crate) fn has_left(carrier: SpanKey) -> bool {
    LEFT.try_with(|left| left.get() == Some(carrier)).is_ok_and(|left| left)
}
