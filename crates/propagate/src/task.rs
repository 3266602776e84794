//! Requests that begin in this process, and tasks that belong to them.
//!
//! Spawning forks a branch of the current request, awaiting the [`JoinHandle`] joins it. So a request
//! sees what a task packed once it has awaited the task, however that ended, and never if it does not.

use crate::call_tracepoints::{self, CallEnd};
use pin_project_lite::pin_project;
use pivot_baggage::{Baggage, BranchEnding, FutureExt, carried, carried_future, current};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::task::{AbortHandle, JoinError};

/// Runs a future as a new request. Its beginning and its end are the tracepoints `pivot::request@enter` and
/// `pivot::request@exit`; the latter has the time it took, and tells a request that panicked or was dropped from one
/// that ended. What tasks do in the request later is counted as *after the answer*.
pub async fn request<F: Future>(future: F) -> F::Output {
    let observed = async {
        let mut call = call_tracepoints::begin_request();
        let output = future.await;
        call.end(CallEnd::Answered);
        output
    };
    let (output, baggage) = observed.in_baggage(Baggage::begin()).answering().await;
    baggage.end_request();
    output
}

/// Spawns a task that runs in a branch of the current request. Outside any request, so is the task.
///
/// Panics outside a tokio runtime, as [`tokio::spawn`] does.
#[track_caller]
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    let (future, ending) = carried_future(future);
    JoinHandle { inner: tokio::spawn(future), ending }
}

/// Runs a closure that may block on a thread of its own, in a branch of the current request.
///
/// Panics outside a tokio runtime, as [`tokio::task::spawn_blocking`] does.
#[track_caller]
pub fn spawn_blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    let (work, ending) = carried(work);
    JoinHandle { inner: tokio::task::spawn_blocking(work), ending }
}

/// Spawns a task that nobody awaits. It sees what happened before it was spawned; the request does not
/// see what it packs.
///
/// Panics outside a tokio runtime, as [`tokio::spawn`] does.
pub fn spawn_detached<F>(future: F) -> tokio::task::JoinHandle<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    match current::detach() {
        None => tokio::spawn(future),
        Some(baggage) => tokio::spawn(async { future.in_baggage(baggage).await.0 }),
    }
}

pin_project! {
    /// A handle of a spawned task. Awaiting it joins the task's branch into the request that awaits.
    /// Dropping it lets the task run on, and its branch is lost.
    #[derive(Debug)]
    pub struct JoinHandle<T> {
        #[pin]
        inner: tokio::task::JoinHandle<T>,
        ending: BranchEnding,
    }
}

impl<T> JoinHandle<T> {
    /// Cancels the task at its next `.await`.
    pub fn abort(&self) {
        self.inner.abort();
    }

    /// Returns a handle that cancels the task and can be sent elsewhere.
    pub fn abort_handle(&self) -> AbortHandle {
        self.inner.abort_handle()
    }

    /// Returns whether the task has ended.
    pub fn is_finished(&self) -> bool {
        self.inner.is_finished()
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let result = ready!(this.inner.poll(cx));
        this.ending.join();
        Poll::Ready(result)
    }
}
