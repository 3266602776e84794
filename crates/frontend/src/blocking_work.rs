//! Where work runs that takes long or waits for the disk, so that connections need not wait for it.

use futures::FutureExt;
use std::panic::AssertUnwindSafe;
use tokio::runtime::Handle;

/// Where such work runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockingWork {
    /// On threads of its own.
    OnThreads,
    /// In the task that asks for it: for simulations, in which nothing may depend on how threads are scheduled.
    Inline,
}

/// The work has panicked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the work stopped with a panic")]
pub(crate) struct WorkPanicked;

impl BlockingWork {
    /// Runs work to its end, also if nobody waits for it any more. A panic ends it alone.
    pub(crate) async fn run<T: Send + 'static>(
        self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, WorkPanicked> {
        match self {
            BlockingWork::OnThreads => tokio::task::spawn_blocking(work).await.map_err(|_| WorkPanicked),
            BlockingWork::Inline => {
                std::panic::catch_unwind(AssertUnwindSafe(work)).map_err(|_| WorkPanicked)
            }
        }
    }

    /// Runs a future that computes for long between its pauses. A panic ends it alone.
    pub(crate) async fn run_future<T: Send + 'static>(
        self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, WorkPanicked> {
        match self {
            BlockingWork::OnThreads => {
                let runtime = Handle::current();
                self.run(move || runtime.block_on(work)).await
            }
            BlockingWork::Inline => AssertUnwindSafe(work).catch_unwind().await.map_err(|_| WorkPanicked),
        }
    }
}
