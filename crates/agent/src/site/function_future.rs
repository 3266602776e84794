//! How a function ends that returns a future: when the future does. `#[tracepoints]` expands to these.
//!
//! ```text
//!   async fn read(n: u64) -> T { body }
//!      ──▶ fn read(n: u64) -> impl Future<Output = T> {
//!              let call = PreparedCall::prepare(..);              evaluates the fields that are observed
//!              observe_future(async move { body }, call, ..)      first poll: @enter; end: @error, @exit
//!          }
//! ```
//!
//! The fields are evaluated when the function is called, since its future owns the arguments from then on. So the
//! future of the body stays what it is without the attribute, and one pointer is added, null if nothing is woven.

use crate::site::function::{BegunCall, FunctionOutcome, FunctionTracepoint, ObservedOutcome};
use pin_project_lite::pin_project;
use pivot_advice::Value;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// A call of a function that returns a future. Dropped before the end, it reports a panic.
#[derive(Debug)]
pub struct PreparedCall {
    /// Boxed, so that a call that nobody observes costs a future one word.
    observed: Option<Box<ObservedCall>>,
}

/// A call that is observed.
#[derive(Debug)]
struct ObservedCall {
    enter: FunctionTracepoint,
    call: BegunCall,
    progress: CallProgress,
}

/// Whether a call has begun.
#[derive(Debug, PartialEq, Eq)]
enum CallProgress {
    /// Nothing has run yet, and nothing was reported.
    Prepared,
    /// Its entry was reported, so its end will be.
    Begun,
}

impl PreparedCall {
    /// Prepares the call of a function with `fields` fields: evaluates those that are observed, if any of its
    /// tracepoints is woven.
    #[inline(always)]
    pub fn prepare(
        enter: FunctionTracepoint,
        exit: FunctionTracepoint,
        error: FunctionTracepoint,
        fields: usize,
        field: impl Fn(usize) -> Value,
    ) -> PreparedCall {
        let woven = enter.is_woven() || exit.is_woven() || error.is_woven();
        PreparedCall {
            observed: if woven { prepare_boxed(enter, exit, error, fields, &field) } else { None },
        }
    }

    /// Returns whether anything will be reported.
    #[inline(always)]
    pub fn is_observed(&self) -> bool {
        self.observed.is_some()
    }

    /// Reports the entry and takes the time, unless that was done before.
    #[inline(always)]
    pub fn begin(&mut self) {
        if let Some(observed) = &mut self.observed {
            observed.begin();
        }
    }

    /// Reports the end of a call that returned.
    #[inline(always)]
    fn finish(mut self, outcome: impl FnOnce(ObservedOutcome) -> FunctionOutcome) {
        if let Some(observed) = self.observed.take() {
            observed.call.returned(outcome);
        }
    }
}

impl Drop for PreparedCall {
    #[inline(always)]
    fn drop(&mut self) {
        if let Some(observed) = self.observed.take()
            && observed.progress == CallProgress::Begun
        {
            observed.call.abandoned();
        }
    }
}

/// Prepares a call. Returns `None` if this thread takes no events now.
#[cold]
#[inline(never)]
fn prepare_boxed(
    enter: FunctionTracepoint,
    exit: FunctionTracepoint,
    error: FunctionTracepoint,
    fields: usize,
    field: &dyn Fn(usize) -> Value,
) -> Option<Box<ObservedCall>> {
    let call = BegunCall::prepare(Some(enter), exit, error, fields, field)?;
    Some(Box::new(ObservedCall { enter, call, progress: CallProgress::Prepared }))
}

impl ObservedCall {
    #[cold]
    fn begin(&mut self) {
        if self.progress == CallProgress::Prepared {
            self.progress = CallProgress::Begun;
            self.call.entered(self.enter);
            self.call.take_time();
        }
    }
}

/// A call whose future is not being polled. Dropped, it reports that the call was cancelled.
#[derive(Debug)]
struct SuspendedCall(PreparedCall);

impl SuspendedCall {
    /// Takes the call out, for as long as its future is polled.
    #[inline(always)]
    fn resume(&mut self) -> PreparedCall {
        PreparedCall { observed: self.0.observed.take() }
    }
}

impl Drop for SuspendedCall {
    #[inline(always)]
    fn drop(&mut self) {
        if let Some(observed) = self.0.observed.take()
            && observed.progress == CallProgress::Begun
        {
            observed.call.cancelled();
        }
    }
}

/// Returns a future that reports when it begins and how it ends. `outcome` tells what of its output queries see.
#[inline(always)]
pub fn observe_future<T, F, O>(future: F, call: PreparedCall, outcome: O) -> FunctionFuture<F, O>
where
    F: Future<Output = T>,
    O: Fn(&T, ObservedOutcome) -> FunctionOutcome,
{
    FunctionFuture { future, call: SuspendedCall(call), outcome }
}

pin_project! {
    /// The future of a function with tracepoints.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct FunctionFuture<F, O> {
        // Before the call: what is dropped along with the future still belongs to the function.
        #[pin]
        future: F,
        call: SuspendedCall,
        outcome: O,
    }
}

impl<F, O> Future for FunctionFuture<F, O>
where
    F: Future,
    O: Fn(&F::Output, ObservedOutcome) -> FunctionOutcome,
{
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();

        // Outside the future while it runs: if it panics, the call is dropped as one that panicked.
        let mut call = this.call.resume();
        call.begin();
        let polled = this.future.poll(cx);
        if polled.is_pending() {
            this.call.0 = call;
            return Poll::Pending;
        }

        let output = ready!(polled);
        call.finish(|wanted| (this.outcome)(&output, wanted));
        Poll::Ready(output)
    }
}
