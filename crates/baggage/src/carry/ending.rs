//! Where a branch that ends on another thread or task leaves its baggage, for whoever waits for it.
//!
//! However the branch ends, by returning, by a panic or by being cancelled, its end happened before the
//! return of whoever waited for that end, and so did all that it packed:
//!
//! ```text
//! here       carried(work) ── spawn ─────────────────────── wait ─ ending.join() ──▶
//! elsewhere                     └─ work, in a branch ─ leaves its baggage ┘
//! ```

use super::current::{fork, join, run_in};
use crate::baggage::{Baggage, JoinOutcome};
use crate::sync::{Arc, Mutex};
use std::sync::PoisonError;

/// The baggage of one branch once that has ended, shared between the branch and whoever waits for it.
#[derive(Debug, Clone, Default)]
pub struct BranchEnding(Arc<Mutex<Option<Baggage>>>);

impl BranchEnding {
    /// Returns an ending of a branch that has not ended.
    pub fn new() -> BranchEnding {
        BranchEnding::default()
    }

    /// Leaves the baggage of the branch that ends.
    pub fn leave(&self, baggage: Baggage) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(baggage);
    }

    /// Takes the baggage that the branch has left, or `None` if the branch has not ended, was outside any
    /// request, or was taken before.
    pub fn take(&self) -> Option<Baggage> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Joins what the branch has left, if anything, into the current request.
    #[track_caller]
    pub fn join(&self) -> Option<JoinOutcome> {
        let baggage = self.take()?;
        Some(join(baggage))
    }
}

/// Leaves a baggage when it is dropped, thus also when the code between panics.
struct HandOverOnDrop<'a>(Option<Baggage>, &'a BranchEnding);

impl Drop for HandOverOnDrop<'_> {
    fn drop(&mut self) {
        if let Some(baggage) = self.0.take() {
            self.1.leave(baggage);
        }
    }
}

/// Returns a closure that runs `work` in a branch of the current request, wherever it is called, and where
/// that branch leaves its baggage. The branch forks here, not when the closure is called. Outside a request
/// the closure is `work`.
#[track_caller]
pub fn carried<T>(work: impl FnOnce() -> T) -> (impl FnOnce() -> T, BranchEnding) {
    let (branch, ending) = (fork(), BranchEnding::new());
    let left = ending.clone();

    let carried = move || {
        if branch.is_none() {
            return work();
        }
        let mut leave = HandOverOnDrop(branch, &left);
        run_in(&mut leave.0, work)
    };

    (carried, ending)
}
