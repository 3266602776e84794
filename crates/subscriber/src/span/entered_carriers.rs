//! The carriers that this thread is inside of, and what was current before it entered each.
//!
//! A stack, but spans may be left in another order than they were entered. Then what was current outside
//! moves down, so that the thread is left in the request of the carrier that it is still inside of:
//!
//! ```text
//! enter a, enter b      outside of a: nothing   outside of b: a's request   current: b's request
//! exit a                                        outside of b: nothing       current: b's request
//! exit b                                                                    current: nothing
//! ```

use pivot_baggage::{Baggage, CarriedRequest, current};
use std::cell::{Cell, RefCell};
use std::sync::Arc;

/// A span in this process: the number of the subscriber and the span's id.
pub(crate) type SpanKey = (usize, u64);

/// One carrier that the thread is inside of.
#[derive(Debug)]
struct EnteredCarrier {
    /// The span that was entered: the carrier, or an alias of it.
    entered: SpanKey,
    /// The span whose request it is.
    carrier: SpanKey,
    carried: Arc<CarriedRequest>,
    /// The application's current span at that time.
    app_span: Option<u64>,
    /// How many times it was entered and not left.
    depth: u32,
    /// The request that was current before.
    outside: Option<Baggage>,
}

thread_local! {
    static ENTERED: RefCell<Vec<EnteredCarrier>> = const { RefCell::new(Vec::new()) };
    /// How many spans are in the stack, and the newest of them. Most spans that a thread enters and leaves are not
    /// there, which a look at this tells.
    static NEWEST: Cell<(usize, SpanKey)> = const { Cell::new((0, (0, 0))) };
    /// The carrier that this thread has left, if that was the last it did with any.
    static JUST_LEFT: Cell<Option<SpanKey>> = const { Cell::new(None) };
}

/// Returns whether the thread may be inside of a carrier by way of a span.
#[inline]
pub(crate) fn may_be_entered(entered: SpanKey) -> bool {
    match NEWEST.get() {
        (0, _) => false,
        (1, newest) => newest == entered,
        _ => true,
    }
}

/// Notes what is in the stack now.
fn note_newest(stack: &[EnteredCarrier]) {
    let newest = stack.last().map_or((0, 0), |newest| newest.entered);
    NEWEST.set((stack.len(), newest));
}

/// Runs with the thread's stack; `None` on a thread that is ending, which is inside of nothing, and in code
/// that is called from here.
fn with_entered<R>(f: impl FnOnce(&mut Vec<EnteredCarrier>) -> R) -> Option<R> {
    let result = ENTERED.try_with(|entered| entered.try_borrow_mut().ok().map(|mut entered| f(&mut entered)));
    result.ok().flatten()
}

/// Notes that this thread has entered a span that leads to no carrier.
#[inline]
pub(crate) fn note_another() {
    JUST_LEFT.set(None);
}

/// Enters a span again by which the thread is inside of a carrier, as recursion does. Returns whether it is.
#[inline]
pub(crate) fn enter_again(entered: SpanKey) -> bool {
    JUST_LEFT.set(None);
    may_be_entered(entered) && is_entered_again(entered)
}

fn is_entered_again(entered: SpanKey) -> bool {
    let again = with_entered(|stack| {
        let again = stack.iter_mut().find(|inside| inside.entered == entered);
        again.map(|again| again.depth += 1).is_some()
    });
    again.unwrap_or(false)
}

/// Enters the request of a carrier by way of a span by which the thread is not inside of any. If it is inside
/// of that carrier already, by way of another span, nothing changes.
pub(crate) fn enter(entered: SpanKey, carrier: SpanKey, carried: Arc<CarriedRequest>, app_span: Option<u64>) {
    with_entered(|stack| {
        if stack.iter().all(|inside| inside.carrier != carrier) {
            let outside = current::attach(carried.enter());
            stack.push(EnteredCarrier { entered, carrier, carried, app_span, depth: 1, outside });
            NEWEST.set((stack.len(), entered));
        }
    });
}

/// A carrier that the thread has left, and the request as the thread leaves it.
#[derive(Debug)]
pub(crate) struct LeftCarrier {
    pub(crate) carried: Arc<CarriedRequest>,
    pub(crate) request: Option<Baggage>,
}

/// Leaves a span. Returns the carrier that the thread left by it, or `None` if it stays inside, or was not
/// inside of any by way of that span.
#[inline]
pub(crate) fn exit(entered: SpanKey) -> Option<LeftCarrier> {
    if may_be_entered(entered) { exit_carrier(entered) } else { None }
}

fn exit_carrier(entered: SpanKey) -> Option<LeftCarrier> {
    let left = with_entered(|stack| {
        // A task enters its carrier and leaves it, and nothing in between: then there is nothing to move down.
        if let [only] = stack.as_mut_slice()
            && only.entered == entered
            && only.depth == 1
        {
            let EnteredCarrier { carrier, carried, outside, .. } = stack.pop()?;
            NEWEST.set((0, (0, 0)));
            JUST_LEFT.set(Some(carrier));
            return Some(LeftCarrier { carried, request: current::attach(outside) });
        }

        let at = stack.iter().rposition(|inside| inside.entered == entered)?;
        stack[at].depth -= 1;
        if stack[at].depth > 0 {
            return None;
        }

        let EnteredCarrier { carrier, carried, outside, .. } = stack.remove(at);
        note_newest(stack);
        JUST_LEFT.set(Some(carrier));

        // If another was entered later, it holds this one's request as what was current outside.
        let request = match stack.get_mut(at) {
            Some(next) => std::mem::replace(&mut next.outside, outside),
            None => current::attach(outside),
        };
        Some(LeftCarrier { carried, request })
    });
    left.flatten()
}

/// The carrier that a thread entered last and has not left.
#[derive(Debug, Clone)]
pub(crate) struct ThreadCarrier {
    pub(crate) carrier: u64,
    pub(crate) carried: Arc<CarriedRequest>,
    /// The application's current span when it was entered.
    pub(crate) app_span: Option<u64>,
}

/// Returns the carrier that this thread is innermost inside of, if it is one of this subscriber's.
pub(crate) fn innermost(subscriber: usize) -> Option<ThreadCarrier> {
    let innermost = with_entered(|stack| {
        let last = stack.last().filter(|last| last.carrier.0 == subscriber)?;
        Some(ThreadCarrier {
            carrier: last.carrier.1,
            carried: Arc::clone(&last.carried),
            app_span: last.app_span,
        })
    });
    innermost.flatten()
}

/// Returns whether the thread has just left that carrier, and entered or left no other since.
pub(crate) fn has_just_left(carrier: SpanKey) -> bool {
    JUST_LEFT.try_with(|left| left.get() == Some(carrier)).unwrap_or(false)
}
