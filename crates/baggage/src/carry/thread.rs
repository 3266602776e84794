//! Threads that belong to the request that starts them.
//!
//! Functions and types look like those of [`std::thread`]. A thread runs in a branch of the request, and
//! waiting for it joins the branch, however it ended.

use crate::carry::ending::{BranchEnding, carried};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// Starts a thread that runs in a branch of the current request.
#[track_caller]
pub fn spawn<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    let (work, ending) = carried(work);
    JoinHandle { inner: thread::spawn(work), ending }
}

/// A thread that was started.
#[derive(Debug)]
pub struct JoinHandle<T> {
    inner: thread::JoinHandle<T>,
    ending: BranchEnding,
}

impl<T> JoinHandle<T> {
    /// Waits for the thread and joins its branch into the current request.
    #[track_caller]
    pub fn join(self) -> thread::Result<T> {
        let result = self.inner.join();
        self.ending.join();
        result
    }

    /// Whether the thread has ended.
    pub fn is_finished(&self) -> bool {
        self.inner.is_finished()
    }
}

/// The endings of the threads of a scope.
type Endings = Arc<Mutex<Vec<BranchEnding>>>;

/// Runs `work`, which may start threads that borrow; waits for all of them and joins their branches.
pub fn scope<'env, T>(work: impl for<'scope> FnOnce(&ThreadScope<'scope, 'env>) -> T) -> T {
    let endings = Endings::default();
    let result = thread::scope(|inner| work(&ThreadScope { inner, endings: endings.clone() }));

    // All threads have ended. Those that somebody waited for have left nothing any more.
    for ending in endings.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
        ending.join();
    }
    result
}

/// Starts threads that end before the scope does.
#[derive(Debug)]
pub struct ThreadScope<'scope, 'env: 'scope> {
    inner: &'scope thread::Scope<'scope, 'env>,
    endings: Endings,
}

impl<'scope> ThreadScope<'scope, '_> {
    /// Starts a thread that runs in a branch of the current request.
    #[track_caller]
    pub fn spawn<T: Send + 'scope>(
        &self,
        work: impl FnOnce() -> T + Send + 'scope,
    ) -> ScopedJoinHandle<'scope, T> {
        let (work, ending) = carried(work);
        self.endings.lock().unwrap_or_else(PoisonError::into_inner).push(ending.clone());
        ScopedJoinHandle { inner: self.inner.spawn(work), ending }
    }
}

/// A thread of a scope. The end of the scope joins those that nobody waited for.
#[derive(Debug)]
pub struct ScopedJoinHandle<'scope, T> {
    inner: thread::ScopedJoinHandle<'scope, T>,
    ending: BranchEnding,
}

impl<T> ScopedJoinHandle<'_, T> {
    /// Waits for the thread and joins its branch into the current request.
    #[track_caller]
    pub fn join(self) -> thread::Result<T> {
        let result = self.inner.join();
        self.ending.join();
        result
    }
}
