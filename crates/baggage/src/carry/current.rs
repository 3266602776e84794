//! The baggage of the request that runs on this thread.
//!
//! A thread has one slot, a cell of one pointer. Baggage is moved out of it and back into it, never borrowed,
//! so code that runs while it is in use finds no request, instead of a panic:
//!
//! ```text
//! enter_request(a)     slot: a           the scope keeps what was there before
//!   with_current(f)    slot: empty       f has a; whatever it calls is outside the request
//!                      slot: a           also if f panics
//!   run_in(b, work)    slot: b           work runs in b, and a is kept aside
//!                      slot: a
//! scope ends           slot: before
//! ```
//!
//! A scope belongs to its thread and must not be held across an `.await`: a future carries its own baggage,
//! see [`crate::carry::future`].

use crate::baggage::{Baggage, JoinOutcome};
use crate::causality::request_generation::is_carrying;
use crate::losses;
use crate::sync::thread_local;
use std::cell::Cell;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;

thread_local! {
    // A slot with a destructor has to be asked, at each access, whether the thread is ending. Without one it
    // is a load. Baggage that is current when a thread ends is that of a scope that was forgotten, and is not
    // dropped.
    static CURRENT: Cell<Option<ManuallyDrop<Baggage>>> = const { Cell::new(None) };
}

/// Runs `work` in the request of a baggage, or outside any. Afterwards the thread is where it was, and the
/// baggage is what `work` left of it, also if `work` panics.
#[inline]
pub fn run_in<T>(baggage: &mut Option<Baggage>, work: impl FnOnce() -> T) -> T {
    struct SwapBackOnDrop<'a>(&'a mut Option<Baggage>);
    impl Drop for SwapBackOnDrop<'_> {
        #[inline]
        fn drop(&mut self) {
            swap(self.0);
        }
    }

    swap(baggage);
    let _swap = SwapBackOnDrop(baggage);
    work()
}

/// Exchanges a baggage for what is current, without a copy of either that the compiler would have to drop.
#[inline(always)]
fn swap(baggage: &mut Option<Baggage>) {
    let here = baggage.take();
    // What was taken leaves None behind, so there is nothing to drop.
    let _none = ManuallyDrop::new(std::mem::replace(baggage, attach(here)));
}

/// Makes a baggage current, or no request at all, and returns what was current before.
#[inline]
pub fn attach(baggage: Option<Baggage>) -> Option<Baggage> {
    let before = CURRENT.with(|current| current.replace(baggage.map(ManuallyDrop::new)));
    before.map(ManuallyDrop::into_inner)
}

/// Returns the current baggage, to be taken elsewhere. Afterwards the thread is outside any request.
#[inline]
pub fn capture() -> Option<Baggage> {
    attach(None)
}

/// Begins a request on this thread, or goes on with one that arrived, until the scope ends.
pub fn enter_request(arrived: Option<Baggage>) -> RequestScope {
    let previous = attach(Some(arrived.unwrap_or_else(Baggage::begin)));
    RequestScope { previous, open: true, thread: PhantomData }
}

/// A request that runs on this thread until the scope ends. Scopes end in reverse order.
#[derive(Debug)]
#[must_use = "the request ends when the scope is dropped"]
pub struct RequestScope {
    previous: Option<Baggage>,
    open: bool,
    thread: PhantomData<*const ()>,
}

impl RequestScope {
    /// Ends the scope and returns the baggage of the request, to be sent or joined.
    pub fn finish(mut self) -> Baggage {
        self.end().unwrap_or_default()
    }

    fn end(&mut self) -> Option<Baggage> {
        self.open = false;
        attach(self.previous.take())
    }
}

impl Drop for RequestScope {
    fn drop(&mut self) {
        if self.open {
            drop(self.end());
        }
    }
}

/// Puts the baggage back that was taken out of the slot, also when the code between panics.
struct RestoreCurrent(Option<Baggage>);

impl Drop for RestoreCurrent {
    fn drop(&mut self) {
        let left_behind = attach(self.0.take());
        if left_behind.is_some() {
            forget_scope(left_behind);
        }
    }
}

/// Puts the baggage back that was lent from the slot, also when the code between panics. It keeps the
/// reference to the slot, so that [`with_current`] looks it up once.
struct LentBaggage<'a> {
    slot: &'a Cell<Option<ManuallyDrop<Baggage>>>,
    baggage: Option<ManuallyDrop<Baggage>>,
}

impl Drop for LentBaggage<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        let left_behind = self.slot.replace(self.baggage.take());
        if left_behind.is_some() {
            forget_scope(left_behind.map(ManuallyDrop::into_inner));
        }
    }
}

/// Ends a scope that was forgotten while the baggage was in use.
#[cold]
#[inline(never)]
fn forget_scope(baggage: Option<Baggage>) {
    drop(baggage);
}

/// Runs `f` with the current baggage, or returns `None` outside any request.
fn inside<R>(f: impl FnOnce(&mut Baggage) -> R) -> Option<R> {
    let mut current = RestoreCurrent(Some(capture()?));
    current.0.as_mut().map(f)
}

/// Runs `f` with the current baggage, or with `None` outside any request, which is counted.
///
/// While `f` runs, the thread is outside the request.
#[inline]
pub fn with_current<R>(f: impl FnOnce(Option<&mut Baggage>) -> R) -> R {
    CURRENT.with(|slot| {
        let mut lent = LentBaggage { slot, baggage: slot.take() };
        let mut meets_others = false;
        match &lent.baggage {
            None => losses::OUTSIDE.add(1),
            Some(baggage) => meets_others = baggage.has_home(),
        }

        // What others who work for the request have packed happened before, and what `f` packs they may see.
        if meets_others {
            lent.baggage.iter_mut().for_each(|baggage| baggage.fetch_news());
        }
        let result = f(lent.baggage.as_deref_mut());
        if meets_others {
            lent.baggage.iter_mut().for_each(|baggage| baggage.publish_packed());
        }
        result
    })
}

/// Whether a request runs on this thread.
#[inline]
pub fn in_request() -> bool {
    CURRENT.with(|slot| {
        let current = slot.take();
        let is_in_request = current.is_some();
        slot.set(current);
        is_in_request
    })
}

/// The identity of the request that runs on a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CurrentRequest {
    /// No request runs.
    Outside,
    /// A request runs that has no id yet.
    Unnamed,
    /// The request with this id runs.
    Named(u128),
}

impl CurrentRequest {
    /// Returns whether this may be the request that ran when `before` was taken. A request without an id may have got one
    /// since.
    pub fn may_continue(self, before: CurrentRequest) -> bool {
        use CurrentRequest::{Named, Outside, Unnamed};
        match (before, self) {
            (Outside, Outside) | (Unnamed, Unnamed | Named(_)) => true,
            (Named(before), Named(now)) => before == now,
            _ => false,
        }
    }
}

/// Returns which request runs on this thread. Nothing is counted outside any.
pub fn current_request() -> CurrentRequest {
    match inside(|current| current.request()) {
        None => CurrentRequest::Outside,
        Some(None) => CurrentRequest::Unnamed,
        Some(Some(request)) => CurrentRequest::Named(request),
    }
}

/// Returns the id of the current request as queries see it in the field `request`: 32 hexadecimal digits. `None`
/// outside any request.
///
/// A request gets its id when it is first asked for, here or by a query, and keeps it in every process that it reaches.
pub fn request_id() -> Option<String> {
    inside(|current| format!("{:032x}", current.request_or_begin()))
}

/// Whether a branch that forks from the current request would carry anything.
pub fn fork_would_carry() -> bool {
    inside(|current| is_carrying() || !current.has_no_id()).is_some_and(|carries| carries)
}

/// Returns a branch of the current request, or `None` outside any.
#[track_caller]
pub fn fork() -> Option<Baggage> {
    let mut current = RestoreCurrent(Some(capture()?));
    // Not `map`: a leak is reported at the caller, which `track_caller` does not see through a closure.
    let Some(baggage) = &mut current.0 else { return None };
    if baggage.has_home() {
        baggage.fetch_news();
    }
    Some(baggage.fork())
}

/// Joins a branch into the current request.
#[track_caller]
pub fn join(branch: Baggage) -> JoinOutcome {
    let mut current = RestoreCurrent(capture());
    match &mut current.0 {
        Some(current) => current.join(branch),
        None => {
            losses::OUTSIDE.add(1);
            JoinOutcome::Outside
        }
    }
}

/// Joins a branch that was given up into the current request, if it is one of its branches: whatever it
/// packed happened before. Elsewhere it is lost.
pub fn rejoin(branch: Baggage) {
    inside(|current| current.can_join(&branch).then(|| current.join(branch)));
}

/// Notes that something that happened before in the current request is missing.
pub fn mark_partial() {
    inside(Baggage::mark_partial);
}

/// Notes that a reply to the current request came without the baggage of its call; see
/// [`Baggage::note_bare_reply`].
pub fn note_bare_reply() {
    inside(Baggage::note_bare_reply);
}

/// Returns a branch of the current request for a message without a reply, or `None` outside any.
pub fn detach() -> Option<Baggage> {
    inside(|current| {
        if current.has_home() {
            current.fetch_news();
        }
        current.detach()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    fn begun() -> (Baggage, u128) {
        let mut baggage = Baggage::new();
        let request = baggage.request_or_begin();
        (baggage, request)
    }

    fn current_request() -> Option<u128> {
        inside(|current| current.request()).flatten()
    }

    #[test]
    fn scopes_restore_what_was_current() {
        let ((outer, a), (inner, b)) = (begun(), begun());
        let outer = enter_request(Some(outer));
        let inner = enter_request(Some(inner));
        assert_eq!(current_request(), Some(b));
        assert_eq!(inner.finish().request(), Some(b));
        assert_eq!(current_request(), Some(a));
        drop(outer);
        assert!(!in_request());
    }

    #[test]
    fn a_request_without_baggage_is_still_a_request() {
        let scope = enter_request(None);
        assert!(in_request() && current_request().is_none());
        assert!(scope.finish().has_no_id());
    }

    #[test]
    fn code_that_runs_inside_finds_no_request_and_no_panic() {
        let (baggage, request) = begun();
        let _scope = enter_request(Some(baggage));
        with_current(|current| {
            assert!(current.is_some() && !in_request() && fork().is_none());
            assert_eq!(join(begun().0), JoinOutcome::Outside);
            drop(enter_request(None));
        });
        assert_eq!(current_request(), Some(request));
    }

    #[test]
    fn a_panic_leaves_the_request_current() {
        let (baggage, request) = begun();
        let _scope = enter_request(Some(baggage));
        let panicked =
            catch_unwind(AssertUnwindSafe(|| with_current(|_| std::panic::resume_unwind(Box::new(())))));
        assert!(panicked.is_err());
        assert_eq!(current_request(), Some(request));
    }

    #[test]
    fn a_request_keeps_the_id_that_was_asked_for_first() {
        assert_eq!(request_id(), None);
        let scope = enter_request(None);
        let id = request_id().unwrap_or_default();
        assert!(id.len() == 32 && id.chars().all(|digit| digit.is_ascii_hexdigit()), "{id}");
        assert_eq!(request_id().as_deref(), Some(id.as_str()));
        assert_eq!(scope.finish().request(), u128::from_str_radix(&id, 16).ok());
    }

    #[test]
    fn branches_of_the_current_request_join_it_and_detached_ones_do_not() {
        let _scope = enter_request(Some(begun().0));
        let (branch, detached) = (fork(), detach());
        assert_eq!(branch.map(join), Some(JoinOutcome::Merged));
        assert_eq!(detached.map(join), Some(JoinOutcome::Foreign));
        assert!(inside(|current| current.is_partial()).is_some_and(|partial| partial));
    }

    #[test]
    fn a_thread_that_ends_may_still_use_its_request() {
        struct Last;
        impl Drop for Last {
            fn drop(&mut self) {
                let scope = enter_request(None);
                let _maybe = (in_request(), fork());
                drop(scope);
            }
        }
        thread_local!(static LAST: Last = const { Last });
        let thread = std::thread::spawn(|| {
            LAST.with(|_| attach(Some(begun().0)));
            std::mem::forget(enter_request(None));
        });
        assert!(thread.join().is_ok());
    }
}
