//! Questions of this thread that advice has answered with yes, until their event comes.
//!
//! ```text
//! enabled!  log_enabled! ─┐                                      ┌─▶ the next event of that target takes it
//!                         ├─▶ Tracepoint::ask ─▶ OpenQuestion ───┤
//! check inside of event! ─┘        └─▶ no: no event              └─▶ dropped: the thread has moved on
//! ```
//!
//! A question whose event does not come must not leak into a later event. So it is dropped when the thread leaves
//! the span in which it was asked, or works for another request by the time of the event.

use crate::callsite::woven_targets::TargetTracepoints;
use pivot_agent::{ExpectedEvent, FieldWork, QuestionKind, Tracepoint};
use pivot_baggage::current::{CurrentRequest, current_request};
use std::cell::{Cell, RefCell};

/// The most questions that a thread keeps: an event's fields may pass events of their own, whose fields may too.
const MAX_OPEN: usize = 8;

/// A question whose event has not come yet.
#[derive(Debug)]
struct OpenQuestion {
    /// The address of the [`TargetTracepoints`] that it is about.
    target: usize,
    /// The address of the check, or of the event's own callsite.
    asker: usize,
    kind: QuestionKind,
    /// How often the check asks again before the application has its answer.
    repeats: u8,
    /// The request that was current.
    request: CurrentRequest,
    /// How many spans were entered since and not left.
    depth: u32,
    expected: ExpectedEvent,
}

thread_local! {
    /// Whether there are open questions. Events look here first, since most threads have none.
    static ANY_OPEN: Cell<bool> = const { Cell::new(false) };
    static OPEN: RefCell<Vec<OpenQuestion>> = const { RefCell::new(Vec::new()) };
    /// Whether work for the fields of a span is being measured.
    static IN_FIELDS: Cell<bool> = const { Cell::new(false) };
    /// That work, and the address of the tracepoint of the span's beginning.
    static SPAN_FIELDS: RefCell<Option<(usize, FieldWork)>> = const { RefCell::new(None) };
}

/// Runs with the open questions of this thread; `None` on a thread that is ending.
fn with_open<R>(f: impl FnOnce(&mut Vec<OpenQuestion>) -> R) -> Option<R> {
    let result = OPEN.try_with(|open| {
        let mut open = open.try_borrow_mut().ok()?;
        let result = f(&mut open);
        ANY_OPEN.set(!open.is_empty());
        Some(result)
    });
    result.ok().flatten()
}

/// Answers a check of the application: whether advice at these tracepoints looks at the event that it asks for. A
/// check that asks several times for one answer gets the same one, `repeats` times.
pub(crate) fn ask(
    asker: usize,
    target: &TargetTracepoints,
    tracepoints: &[&'static Tracepoint],
    repeats: u8,
) -> bool {
    if ANY_OPEN.get() && is_repetition(asker) {
        return true;
    }
    let target = target.address();
    // Its event did not come.
    with_open(|open| open.retain(|question| question.target != target));

    let kind = QuestionKind::Explicit;
    let Some(expected) = Tracepoint::ask(tracepoints, kind) else { return false };
    let request = current_request();
    keep(OpenQuestion { target, asker, kind, repeats, request, depth: 0, expected });
    true
}

/// Answers the check that the macro of an event makes, unless the application has asked for the event already.
pub(crate) fn ask_in_macro(target: &TargetTracepoints, tracepoint: &'static Tracepoint) -> bool {
    let (target, asker) = (target.address(), std::ptr::from_ref(tracepoint).addr());
    if ANY_OPEN.get() && is_expected(target) {
        return true;
    }

    let kind = QuestionKind::InMacro;
    let Some(expected) = Tracepoint::ask(&[tracepoint], kind) else { return false };
    // The event follows at once, so it is in the same request.
    let request = CurrentRequest::Outside;
    keep(OpenQuestion { target, asker, kind, repeats: 0, request, depth: 0, expected });
    true
}

/// Returns what was decided about an event at a tracepoint when it was asked for, or `None` if it was not.
pub(crate) fn take_expected(
    target: &TargetTracepoints,
    tracepoint: &'static Tracepoint,
) -> Option<ExpectedEvent> {
    if !ANY_OPEN.get() {
        return None;
    }

    let (target, asker) = (target.address(), std::ptr::from_ref(tracepoint).addr());
    let now = current_request();
    with_open(|open| {
        let found = open.iter().rposition(|question| match question.kind {
            QuestionKind::InMacro => question.asker == asker,
            QuestionKind::Explicit => question.target == target && now.may_continue(question.request),
        })?;
        // Those after it were asked while the event was made, and their events did not come.
        open.truncate(found + 1);
        open.pop().map(|question| question.expected)
    })?
}

/// Begins to measure what the application does for the fields of a span that it makes next. `enter` is the tracepoint of
/// its beginning.
pub(crate) fn begin_fields(enter: &'static Tracepoint) {
    if let Some(work) = FieldWork::begin() {
        let asker = std::ptr::from_ref(enter).addr();
        let _ended = SPAN_FIELDS.try_with(|fields| fields.replace(Some((asker, work))));
        IN_FIELDS.set(true);
    }
}

/// Returns the work for the fields of a span that is made now, if it was measured.
#[inline]
pub(crate) fn end_fields(enter: &'static Tracepoint) -> Option<FieldWork> {
    if IN_FIELDS.get() { take_fields(enter) } else { None }
}

#[cold]
fn take_fields(enter: &'static Tracepoint) -> Option<FieldWork> {
    IN_FIELDS.set(false);
    let (asker, work) = SPAN_FIELDS.try_with(RefCell::take).ok().flatten()?;
    // Of another span, if that was not made after all.
    (asker == std::ptr::from_ref(enter).addr()).then_some(work)
}

/// Notes that this thread has entered a span.
#[inline]
pub(crate) fn entered_span() {
    if ANY_OPEN.get() {
        go_deeper();
    }
}

#[cold]
fn go_deeper() {
    with_open(|open| open.iter_mut().for_each(|question| question.depth += 1));
}

/// Notes that this thread has left a span. Questions that were asked inside are dropped.
#[inline]
pub(crate) fn left_span() {
    if ANY_OPEN.get() {
        drop_inner();
    }
}

#[cold]
fn drop_inner() {
    with_open(|open| {
        open.retain_mut(|question| {
            let is_inside = question.depth > 0;
            question.depth = question.depth.saturating_sub(1);
            is_inside
        });
    });
}

fn keep(question: OpenQuestion) {
    with_open(|open| {
        if open.len() == MAX_OPEN {
            open.remove(0);
        }
        open.push(question);
    });
}

/// Returns whether the newest question is this check's, which asks once more for the same answer.
fn is_repetition(asker: usize) -> bool {
    let repeated = with_open(|open| {
        let last = open.last_mut().filter(|last| last.asker == asker && last.repeats > 0);
        last.map(|last| last.repeats -= 1)
    });
    repeated.flatten().is_some()
}

/// Returns whether the application has asked for an event of this target, and was told that somebody looks.
fn is_expected(target: usize) -> bool {
    let now = current_request();
    let expected = with_open(|open| {
        open.iter().any(|question| {
            question.kind == QuestionKind::Explicit
                && question.target == target
                && now.may_continue(question.request)
        })
    });
    expected.unwrap_or(false)
}
