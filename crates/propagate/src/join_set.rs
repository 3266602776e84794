//! [`JoinSet`]: a set of tasks, each in a branch of the request that spawned it.

use pivot_baggage::{BranchEnding, carried, carried_future};
use std::collections::HashMap;
use std::future::Future;
use tokio::task::{self, AbortHandle, Id, JoinError};

/// A set of tasks with the methods of [`tokio::task::JoinSet`]. Each task runs in a branch of the request
/// that spawned it. Taking a task out joins its branch into the current request, however the task ended.
#[derive(Debug)]
pub struct JoinSet<T> {
    inner: task::JoinSet<T>,
    /// Where the branch of each task is left when the task ends.
    endings: HashMap<Id, BranchEnding>,
}

impl<T> Default for JoinSet<T> {
    fn default() -> JoinSet<T> {
        JoinSet { inner: task::JoinSet::new(), endings: HashMap::new() }
    }
}

impl<T: Send + 'static> JoinSet<T> {
    /// Makes an empty set.
    pub fn new() -> JoinSet<T> {
        JoinSet::default()
    }

    /// Returns the number of tasks in the set.
    pub fn len(&self) -> usize {
        self.inner.len()
    }

    /// Returns whether the set has no task.
    pub fn is_empty(&self) -> bool {
        self.inner.is_empty()
    }

    /// Spawns a task that runs in a branch of the current request.
    #[track_caller]
    pub fn spawn(&mut self, future: impl Future<Output = T> + Send + 'static) -> AbortHandle {
        let (future, ending) = carried_future(future);
        let task = self.inner.spawn(future);
        self.endings.insert(task.id(), ending);
        task
    }

    /// Runs a closure that may block, in a branch of the current request.
    #[track_caller]
    pub fn spawn_blocking(&mut self, work: impl FnOnce() -> T + Send + 'static) -> AbortHandle {
        let (work, ending) = carried(work);
        let task = self.inner.spawn_blocking(work);
        self.endings.insert(task.id(), ending);
        task
    }

    /// Waits for the next task to end and joins its branch. Returns `None` if the set is empty.
    pub async fn join_next(&mut self) -> Option<Result<T, JoinError>> {
        let ended = self.inner.join_next_with_id().await?;
        Some(self.join_branch(ended))
    }

    /// Takes a task that has ended, if there is one, and joins its branch.
    pub fn try_join_next(&mut self) -> Option<Result<T, JoinError>> {
        let ended = self.inner.try_join_next_with_id()?;
        Some(self.join_branch(ended))
    }

    /// Joins the branch of a task that has ended. Panicked and cancelled tasks left one, too.
    fn join_branch(&mut self, ended: Result<(Id, T), JoinError>) -> Result<T, JoinError> {
        let id = ended.as_ref().map_or_else(JoinError::id, |(id, _)| *id);
        if let Some(ending) = self.endings.remove(&id) {
            ending.join();
        }
        ended.map(|(_, output)| output)
    }

    /// Cancels all tasks; they stay in the set until they are taken out.
    pub fn abort_all(&mut self) {
        self.inner.abort_all();
    }

    /// Waits for all tasks and returns their outputs. Panics if one of them did.
    pub async fn join_all(mut self) -> Vec<T> {
        let mut outputs = Vec::with_capacity(self.len());
        while let Some(result) = self.join_next().await {
            match result {
                Ok(output) => outputs.push(output),
                Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                Err(_) => {}
            }
        }
        outputs
    }

    /// Cancels all tasks, waits until they have ended, and joins what they did before.
    pub async fn shutdown(&mut self) {
        self.abort_all();
        while self.join_next().await.is_some() {}
    }
}
