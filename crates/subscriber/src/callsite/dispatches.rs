//! The dispatchers that hold our subscriber or layer, for threads that have no default dispatcher or may not use it now.

use std::sync::{Mutex, PoisonError};
use tracing_core::Dispatch;
use tracing_core::dispatcher::WeakDispatch;

static DISPATCHES: Mutex<Vec<WeakDispatch>> = Mutex::new(Vec::new());

/// Remembers a dispatcher, and forgets those that are gone.
pub(crate) fn remember(dispatch: &Dispatch) {
    let mut dispatches = DISPATCHES.lock().unwrap_or_else(PoisonError::into_inner);
    dispatches.retain(|dispatch| dispatch.upgrade().is_some());
    dispatches.push(dispatch.downgrade());
}

/// Returns the dispatcher that was remembered last, of those that are still there.
pub(crate) fn newest() -> Option<Dispatch> {
    // The lock is not held while subscribers are asked: one of them may make a dispatcher.
    let dispatches = DISPATCHES.lock().unwrap_or_else(PoisonError::into_inner);
    dispatches.iter().rev().find_map(WeakDispatch::upgrade)
}

/// Returns what is found with the first dispatcher that has it; `None` too while another thread adds one.
pub(crate) fn find<T>(find: impl Fn(&Dispatch) -> Option<T>) -> Option<T> {
    let dispatches: Vec<WeakDispatch> = DISPATCHES.try_lock().ok()?.clone();
    dispatches.iter().filter_map(WeakDispatch::upgrade).find_map(|dispatch| find(&dispatch))
}
