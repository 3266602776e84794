//! Who is called when weaving or governing changes: the bridge for `tracing`, which has caches to rebuild then.

use std::sync::{Mutex, PoisonError};

/// Functions that are called together.
#[derive(Debug)]
pub(crate) struct ChangeListeners(Mutex<Vec<fn()>>);

/// Called after weaving has changed.
pub(crate) static CHANGED: ChangeListeners = ChangeListeners(Mutex::new(Vec::new()));

/// Called after CPU budgets were enforced, and when that stops.
pub(crate) static GOVERNED: ChangeListeners = ChangeListeners(Mutex::new(Vec::new()));

impl ChangeListeners {
    fn add(&self, listener: fn()) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(listener);
    }

    pub(crate) fn call(&self) {
        // Cloned, because a listener may weave or add a listener.
        let listeners = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        listeners.into_iter().for_each(|listener| listener());
    }
}

/// Calls `listener` after weaving has changed, on the thread that wove.
pub fn on_change(listener: fn()) {
    CHANGED.add(listener);
}

/// Calls `listener` after CPU budgets were enforced, on the thread that did, and when that stops.
pub fn on_govern(listener: fn()) {
    GOVERNED.add(listener);
}
