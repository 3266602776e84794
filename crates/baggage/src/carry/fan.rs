//! Work that fans out over the threads of a pool, of which nobody knows beforehand how it will be divided.
//!
//! A parallel iterator splits its work as threads are free. So branches are forked where the work runs, all
//! from one baggage that the caller has left, and what they pack is gathered in another, which is joined at
//! the end.

use super::current::{fork, join, run_in};
use crate::baggage::Baggage;
use crate::sync::{Mutex, MutexGuard};
use std::sync::PoisonError;

/// Branches of one request that are made as they are needed, and do not see each other:
///
/// ```
/// let fan = pivot_baggage::Fan::new();
/// std::thread::scope(|scope| {
///     (0..4).for_each(|_| drop(scope.spawn(|| fan.run(|| "an event in a branch of its own"))));
/// });
/// fan.join(); // what they packed happened before what follows
/// ```
#[derive(Debug)]
#[must_use = "what its branches pack is seen after it was joined"]
pub struct Fan {
    /// The baggage from which branches are forked.
    from: Mutex<Option<Baggage>>,
    /// The branches that ended, joined. Apart from `from`, so that later branches do not see them.
    ended: Mutex<Option<Baggage>>,
}

impl Fan {
    /// Returns a fan of the current request, whose branches see what happened so far.
    #[track_caller]
    #[allow(clippy::new_without_default, reason = "it depends on where it is called")]
    pub fn new() -> Fan {
        Fan { from: Mutex::new(fork()), ended: Mutex::new(None) }
    }

    /// Runs `work` in a branch of its own, or as it is, if there was no request to branch from.
    #[track_caller]
    pub fn run<T>(&self, work: impl FnOnce() -> T) -> T {
        let Some(branch) = self.fork() else { return work() };
        let mut running = FanBranch { branch: Some(branch), fan: self };
        run_in(&mut running.branch, work)
    }

    #[track_caller]
    fn fork(&self) -> Option<Baggage> {
        let mut from = lock(&self.from);
        let Some(from) = &mut *from else { return None };
        Some(from.fork())
    }

    /// Joins all its branches into the current request.
    #[track_caller]
    pub fn join(self) {
        let [from, ended] = [self.from, self.ended].map(|side| side.into_inner());
        for side in [from, ended] {
            if let Some(side) = side.unwrap_or_else(PoisonError::into_inner) {
                join(side);
            }
        }
    }
}

/// A branch that ends when it is dropped, thus also when its work panics.
struct FanBranch<'a> {
    branch: Option<Baggage>,
    fan: &'a Fan,
}

impl Drop for FanBranch<'_> {
    fn drop(&mut self) {
        let mut ended = lock(&self.fan.ended);
        match (&mut *ended, self.branch.take()) {
            (Some(ended), Some(branch)) => drop(ended.join(branch)),
            (none, branch) => *none = branch,
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
