//! Work on rayon's thread pool, in branches of the current request. Needs the feature `rayon`.
//!
//! Every piece of work is a branch, forked where it is spawned and joined where rayon waits for it.
//! Parallel iterators divide their work themselves: use [`pivot_baggage::Fan`] for those.

use pivot_baggage::{BranchEnding, carried};
use std::sync::{Mutex, PoisonError};

/// Runs two closures as [`rayon::join`] does, each in a branch of the current request.
#[track_caller]
pub fn join<A: Send, B: Send>(a: impl FnOnce() -> A + Send, b: impl FnOnce() -> B + Send) -> (A, B) {
    let ((a, a_ending), (b, b_ending)) = (carried(a), carried(b));
    let outputs = rayon::join(a, b);

    a_ending.join();
    b_ending.join();
    outputs
}

/// Runs a closure that may spawn work, as [`rayon::in_place_scope`] does. The closure runs on this
/// thread, in the request. What it spawns runs in branches, which have ended and joined when this
/// returns.
pub fn scope<'scope, T>(work: impl FnOnce(&PoolScope<'_, 'scope>) -> T) -> T {
    let endings = Mutex::new(Vec::new());
    let result = rayon::in_place_scope(|inner| work(&PoolScope { inner, endings: &endings }));

    for ending in endings.into_inner().unwrap_or_else(PoisonError::into_inner) {
        ending.join();
    }
    result
}

/// Spawns work that ends before [`scope`] returns.
#[derive(Debug)]
pub struct PoolScope<'a, 'scope> {
    inner: &'a rayon::Scope<'scope>,
    endings: &'a Mutex<Vec<BranchEnding>>,
}

impl<'scope> PoolScope<'_, 'scope> {
    /// Spawns work that runs in a branch of the current request.
    #[track_caller]
    pub fn spawn(&self, work: impl FnOnce() + Send + 'scope) {
        let (work, ending) = carried(work);
        self.endings.lock().unwrap_or_else(PoisonError::into_inner).push(ending);
        self.inner.spawn(|_| work());
    }
}
