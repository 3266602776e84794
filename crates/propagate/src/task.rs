//! Requests that begin in this process, and tasks that belong to them.
//!
//! What a task packs is seen by its request once the task is awaited, and not at all if it never is.

use pin_project_lite::pin_project;
use pivot_baggage::{Baggage, FutureExt, current};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::task::{AbortHandle, JoinError};

/// Runs a future as a new request.
pub async fn request<F: Future>(future: F) -> F::Output {
    future.in_baggage(Baggage::begin()).await.0
}

/// Spawns a task that runs in a branch of the current request; outside any, the task is outside too.
///
/// Panics outside a tokio runtime, as [`tokio::spawn`] does.
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    let inner = match current::fork() {
        None => tokio::spawn(async { (future.await, None) }),
        Some(branch) => tokio::spawn(async {
            let (output, baggage) = future.in_baggage(branch).await;
            (output, Some(baggage))
        }),
    };
    JoinHandle { inner }
}

pin_project! {
    /// A spawned task; awaiting it joins its branch into the request that awaits.
    ///
    /// Dropping it lets the task run on by itself.
    #[derive(Debug)]
    pub struct JoinHandle<T> {
        #[pin]
        inner: tokio::task::JoinHandle<(T, Option<Baggage>)>,
    }
}

impl<T> JoinHandle<T> {
    /// Cancels the task at its next `.await`.
    pub fn abort(&self) {
        self.inner.abort();
    }

    /// Cancels the task from elsewhere.
    pub fn abort_handle(&self) -> AbortHandle {
        self.inner.abort_handle()
    }

    /// Whether the task has ended.
    pub fn is_finished(&self) -> bool {
        self.inner.is_finished()
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let (output, baggage) = ready!(self.project().inner.poll(cx))?;
        baggage.map(current::join);
        Poll::Ready(Ok(output))
    }
}
