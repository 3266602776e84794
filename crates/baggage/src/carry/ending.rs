//! Where a branch that ends elsewhere leaves its baggage, for whoever waits for it.
//!
//! However the branch ends, by returning, by a panic or by being cancelled, its end happened before
//! the return of whoever waited for that end, and so did all that it packed.

use super::current::{fork, join, run_in};
use crate::baggage::{Baggage, JoinOutcome};
use crate::sync::{Arc, Mutex};
use std::sync::PoisonError;

/// A place for the baggage of one branch, shared between the branch and whoever waits for it.
#[derive(Debug, Clone, Default)]
pub struct Ending(Arc<Mutex<Option<Baggage>>>);

impl Ending {
    /// A place where nothing lies yet.
    pub fn new() -> Ending {
        Ending::default()
    }

    /// Leaves the baggage of the branch that ends.
    pub fn leave(&self, baggage: Baggage) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(baggage);
    }

    /// Takes what was left; None if the branch has not ended, carried nothing, or was taken before.
    pub fn take(&self) -> Option<Baggage> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Joins what was left, if anything was, into the current request.
    #[track_caller]
    pub fn join(&self) -> Option<JoinOutcome> {
        let baggage = self.take()?;
        Some(join(baggage))
    }
}

/// Leaves a baggage when it is dropped, thus also when the code between panics.
struct LeaveOnDrop<'a>(Option<Baggage>, &'a Ending);

impl Drop for LeaveOnDrop<'_> {
    fn drop(&mut self) {
        if let Some(baggage) = self.0.take() {
            self.1.leave(baggage);
        }
    }
}

/// A closure that runs in a branch of the current request, wherever it is called, and where that
/// branch leaves its baggage. The branch forks here; outside a request the closure runs as it is.
#[track_caller]
pub fn carried<T>(work: impl FnOnce() -> T) -> (impl FnOnce() -> T, Ending) {
    let (branch, ending) = (fork(), Ending::new());
    let left = ending.clone();
    let carried = move || {
        if branch.is_none() {
            return work();
        }
        let mut leave = LeaveOnDrop(branch, &left);
        run_in(&mut leave.0, work)
    };
    (carried, ending)
}
