//! Futures that carry baggage.
//!
//! A task moves between threads and shares them with other tasks, so its baggage is moved into the slot of
//! the thread for each poll and out again after it, two moves of a pointer:
//!
//! ```text
//! thread 1   ── poll a ──┐ poll b ┐── poll a ──▶ ready: a's baggage goes to whoever polls, joins, or is left
//! slot          a        │ b      │   a
//! ```
//!
//! | made by                   | branch     | when the future is ready  | when it is dropped before     |
//! |---------------------------|------------|---------------------------|-------------------------------|
//! | [`FutureExt::in_baggage`] | given      | comes out with the output | ends with the future          |
//! | [`forked`]                | forks here | joins where it is polled  | rejoins where it is dropped   |
//! | [`carried_future`]        | forks here | is left in a [`BranchEnding`]  | is left in a [`BranchEnding`]      |
//!
//! A future that is dropped before it is ready is dropped inside its request, so that events of its
//! destructors belong to it.

use crate::baggage::Baggage;
use crate::carry::current::{fork, join, rejoin, run_in};
use crate::carry::ending::BranchEnding;
use pin_project_lite::pin_project;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// The fate of the baggage of a future that is dropped before it is ready.
#[derive(Debug)]
enum OnFutureDrop {
    /// The baggage ends with the future.
    End,
    /// The request ends with the future: whoever wanted the answer has gone.
    EndRequest,
    /// The baggage joins the request in which the future is dropped, if it is a branch of that.
    Rejoin,
    /// The baggage is left for whoever waits for the end.
    Leave(BranchEnding),
}

pin_project! {
    /// A future that runs in a request; resolves to its output and the request's baggage.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct InBaggage<F> {
        // Taken out when it is ready or dropped, in both cases inside the request.
        #[pin]
        future: Option<F>,
        baggage: Option<Baggage>,
        on_drop: OnFutureDrop,
    }

    impl<F> PinnedDrop for InBaggage<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if this.baggage.is_none() {
                return;
            }

            if this.future.is_some() {
                // Even if a destructor panics, the baggage goes where it belongs.
                let end = SettleOnDrop(this.baggage, this.on_drop);
                run_in(&mut *end.0, || this.future.set(None));
                drop(end);
            } else {
                drop(SettleOnDrop(this.baggage, this.on_drop));
            }
        }
    }
}

/// A guard that does with the baggage of a future what its [`OnFutureDrop`] says, also in a panic, and nothing
/// if the baggage was taken out before.
struct SettleOnDrop<'a>(&'a mut Option<Baggage>, &'a OnFutureDrop);

impl Drop for SettleOnDrop<'_> {
    fn drop(&mut self) {
        let Some(baggage) = self.0.take() else { return };
        match self.1 {
            OnFutureDrop::End => drop(baggage),
            OnFutureDrop::EndRequest => baggage.end_request(),
            OnFutureDrop::Rejoin => rejoin(baggage),
            OnFutureDrop::Leave(ending) => ending.leave(baggage),
        }
    }
}

impl<F: Future> InBaggage<F> {
    /// Makes the future the one that answers the request. If it is dropped before it is ready, as that of a
    /// server whose client has gone, then that is no leak but the end of the request.
    pub fn answering(mut self) -> InBaggage<F> {
        self.on_drop = OnFutureDrop::EndRequest;
        self
    }

    /// Polls in the request, if there is one. Once ready, returns the baggage as the future left it.
    fn poll_inside(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<(F::Output, Option<Baggage>)> {
        let mut this = self.project();
        let mut poll = || {
            let Some(future) = this.future.as_mut().as_pin_mut() else { return Poll::Pending };
            let output = ready!(future.poll(cx));
            // Dropped here, its destructors still run inside the request.
            this.future.set(None);
            Poll::Ready(output)
        };

        if this.baggage.is_none() {
            return poll().map(|output| (output, None));
        }

        let output = ready!(run_in(this.baggage, poll));
        Poll::Ready((output, this.baggage.take()))
    }
}

impl<F: Future> Future for InBaggage<F> {
    type Output = (F::Output, Baggage);

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.poll_inside(cx).map(|(output, baggage)| (output, baggage.unwrap_or_default()))
    }
}

/// Carries baggage with any future.
pub trait FutureExt: Future + Sized {
    /// Runs the future in the request of this baggage; resolves to the output and the baggage.
    fn in_baggage(self, baggage: Baggage) -> InBaggage<Self> {
        InBaggage { future: Some(self), baggage: Some(baggage), on_drop: OnFutureDrop::End }
    }
}

impl<F: Future> FutureExt for F {}

pin_project! {
    /// A future that runs in its own branch of the request.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct ForkedFuture<F> {
        #[pin]
        inside: InBaggage<F>,
    }
}

/// Runs a future in a branch of the current request, for concurrency within one task:
/// `join!(forked(a), forked(b))`, `FuturesUnordered`, `buffer_unordered`.
///
/// The branch forks here, not at the first poll, so that siblings made together never see each
/// other, whichever is polled and done first. It joins whatever request is current where it becomes
/// ready. If it is dropped before, such as the losers of a `select!`, it joins the request in which
/// it is dropped, if it is a branch of that: what it did happened before. Outside a request the
/// future runs as it is.
#[track_caller]
pub fn forked<F: Future>(future: F) -> ForkedFuture<F> {
    ForkedFuture {
        inside: InBaggage { future: Some(future), baggage: fork(), on_drop: OnFutureDrop::Rejoin },
    }
}

impl<F: Future> Future for ForkedFuture<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let (output, baggage) = ready!(self.project().inside.poll_inside(cx));
        baggage.map(join);
        Poll::Ready(output)
    }
}

pin_project! {
    /// A future that runs in its own branch of the request and may be polled anywhere.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct CarriedFuture<F> {
        #[pin]
        inside: InBaggage<F>,
        ending: BranchEnding,
    }
}

/// Returns a future that runs in a branch of the current request, wherever it is polled, and where that
/// branch leaves its baggage when the future is ready or dropped. The branch forks here, not at the first
/// poll.
#[track_caller]
pub fn carried_future<F: Future>(future: F) -> (CarriedFuture<F>, BranchEnding) {
    let ending = BranchEnding::new();
    let on_drop = OnFutureDrop::Leave(ending.clone());
    let inside = InBaggage { future: Some(future), baggage: fork(), on_drop };
    (CarriedFuture { inside, ending: ending.clone() }, ending)
}

impl<F: Future> Future for CarriedFuture<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let (output, baggage) = ready!(this.inside.poll_inside(cx));
        baggage.into_iter().for_each(|baggage| this.ending.leave(baggage));
        Poll::Ready(output)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::carry::current::{enter_request, in_request, with_current};
    use pivot_advice::{BagKey, Groups, QueryId, TemporalFilter, Value};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
    use tokio::task::yield_now;

    const KEY: BagKey = BagKey { query: QueryId { frontend: 1, number: 7 }, stage: 1 };

    fn pack(value: u64) {
        let mut rows = Groups::new(1, &[]);
        rows.entry(&[Value::U64(value)]).n = 1;
        with_current(|current| current.unwrap().pack(KEY, TemporalFilter::All, [rows]));
    }

    fn seen() -> u64 {
        with_current(|current| current.and_then(|baggage| baggage.unpack(KEY).map(|rows| rows.len() as u64)))
            .unwrap_or(0)
    }

    fn begun() -> Baggage {
        let mut baggage = Baggage::new();
        baggage.request_or_begin();
        baggage
    }

    fn block_on<F: Future>(future: F) -> F::Output {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    async fn pack_twice(value: u64) -> u64 {
        pack(value);
        yield_now().await;
        pack(value + 1);
        seen()
    }

    #[test]
    fn a_task_takes_its_baggage_from_thread_to_thread() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
        let tasks: Vec<_> = (0..64)
            .map(|_| {
                let work = async {
                    for value in 0..50 {
                        pack(value);
                        yield_now().await;
                    }
                    seen()
                };
                runtime.spawn(work.in_baggage(begun()))
            })
            .collect();
        for task in tasks {
            let (seen, baggage) = runtime.block_on(task).unwrap();
            assert_eq!((seen, baggage.unpack(KEY).unwrap().len()), (50, 50));
        }
    }

    #[test]
    fn a_poll_leaves_the_thread_as_it_was() {
        let scope = enter_request(Some(begun()));
        let (seen_inside, inner) = block_on(pack_twice(1).in_baggage(begun()));
        assert_eq!((seen_inside, seen()), (2, 0));
        assert_ne!(scope.finish().request(), inner.request());
    }

    #[test]
    fn concurrent_futures_do_not_see_each_other_and_are_seen_once_done() {
        let work = async {
            pack(0);
            let at_once = async {
                pack(9);
                seen()
            };
            let counts = tokio::join!(forked(at_once), forked(pack_twice(1)), forked(pack_twice(3)));
            (counts, seen())
        };
        let ((counts, after), baggage) = block_on(work.in_baggage(begun()));
        assert_eq!((counts, after), ((2, 3, 3), 6));
        assert_eq!((baggage.instance_count(), baggage.is_partial()), (0, false));
    }

    #[test]
    fn what_a_loser_of_select_packed_happened_before_it_was_dropped() {
        let work = async {
            pack(0);
            let never = async {
                pack(1);
                std::future::pending::<()>().await;
            };
            tokio::select! {
                biased;
                () = forked(never) => {}
                _ = forked(pack_twice(2)) => {}
            }
            seen()
        };
        let (after, baggage) = block_on(work.in_baggage(begun()));
        assert_eq!((after, baggage.instance_count(), baggage.is_partial()), (4, 0, false));
    }

    #[test]
    fn a_branch_that_is_dropped_in_another_request_harms_it_not() {
        let scope = enter_request(Some(begun()));
        let branch = forked(pack_twice(1));
        let _own = scope.finish();
        let scope = enter_request(Some(begun()));
        drop(branch);
        assert!(!scope.finish().is_partial());
    }

    #[test]
    fn a_carried_future_leaves_its_baggage_however_it_ends() {
        let scope = enter_request(Some(begun()));
        let (ready, ready_ending) = carried_future(pack_twice(1));
        let (dropped, dropped_ending) = carried_future(pack_twice(3));
        let elsewhere = std::thread::spawn(|| {
            let mut dropped = Box::pin(dropped);
            assert!(dropped.as_mut().poll(&mut Context::from_waker(std::task::Waker::noop())).is_pending());
            block_on(ready)
        });
        assert_eq!((elsewhere.join().unwrap(), seen()), (2, 0));
        assert_eq!((ready_ending.join(), seen()), (Some(crate::JoinOutcome::Merged), 2));
        assert_eq!(
            (dropped_ending.join(), ready_ending.join(), seen()),
            (Some(crate::JoinOutcome::Merged), None, 3)
        );
        assert_eq!(scope.finish().instance_count(), 0);
    }

    struct RequestSeenAtDrop(Arc<AtomicU64>);

    impl Drop for RequestSeenAtDrop {
        fn drop(&mut self) {
            self.0.store(seen(), Relaxed);
        }
    }

    fn check_destructor(end: impl Future<Output = ()> + Unpin) {
        let counted = Arc::new(AtomicU64::new(0));
        let guard = RequestSeenAtDrop(counted.clone());
        let work = async move {
            let _guard = guard;
            pack(1);
            end.await;
        };
        let polled = async {
            let mut work = Box::pin(work.in_baggage(begun()));
            std::future::poll_fn(|cx| Poll::Ready(work.as_mut().poll(cx).is_ready())).await
        };
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| block_on(polled)));
        drop(outcome);
        assert_eq!((counted.load(Relaxed), in_request()), (1, false));
    }

    #[test]
    fn destructors_run_inside_the_request_however_the_future_ends() {
        check_destructor(std::future::ready(()));
        check_destructor(std::future::pending());
        check_destructor(std::future::poll_fn(|_| std::panic::resume_unwind(Box::new(()))));
    }

    #[test]
    fn outside_a_request_a_forked_future_runs_as_it_is() {
        assert!(!block_on(forked(async { in_request() })));
    }
}
