//! The state of a frontend as its tasks share it: behind one lock that is never held while anybody waits.
//!
//! Streams, calls and the ticking task take the lock for short changes. Computing rows (see
//! [`select`](crate::select)), and reading from or writing to connections, happen outside.

use crate::select::SelectEngine;
use crate::state::FrontendState;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::sync::watch;

/// Everything that the tasks of a frontend share.
#[derive(Debug)]
pub(crate) struct SharedState {
    state: Mutex<FrontendState>,
    engine: Arc<SelectEngine>,
    /// Becomes true when all streams are to end.
    stopping: watch::Sender<bool>,
}

impl SharedState {
    /// Makes the state of a running frontend.
    pub(crate) fn new(state: FrontendState) -> SharedState {
        SharedState {
            state: Mutex::new(state),
            engine: Arc::new(SelectEngine::new()),
            stopping: watch::channel(false).0,
        }
    }

    /// Computes results with another engine.
    #[cfg(test)]
    pub(crate) fn with_engine(self, engine: SelectEngine) -> SharedState {
        SharedState { engine: Arc::new(engine), ..self }
    }

    /// Locks the state. A panic elsewhere leaves it usable, because every change is small.
    pub(crate) fn lock(&self) -> MutexGuard<'_, FrontendState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns what makes rows of groups.
    pub(crate) fn engine(&self) -> Arc<SelectEngine> {
        self.engine.clone()
    }

    /// Ends all streams.
    pub(crate) fn stop(&self) {
        self.stopping.send_replace(true);
        self.lock().registry.close();
    }

    /// Returns a signal that becomes true when streams are to end.
    pub(crate) fn stopping(&self) -> watch::Receiver<bool> {
        self.stopping.subscribe()
    }
}

/// Returns the time, in nanoseconds since the Unix epoch.
pub(crate) fn now_ns() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}
