//! How many agents export something, while they come and go.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A number of agents. Its copies are one number, so that a catalogue of which there are copies need not be changed
/// when an agent comes that has nothing new.
#[derive(Clone, Default)]
pub struct ExporterCount(Arc<AtomicUsize>);

impl ExporterCount {
    /// Returns the number.
    pub fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// Counts one more agent.
    pub fn increment(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts one agent less, of those that were counted.
    pub fn decrement(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl std::fmt::Debug for ExporterCount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.get().fmt(f)
    }
}

impl PartialEq for ExporterCount {
    fn eq(&self, other: &ExporterCount) -> bool {
        self.get() == other.get()
    }
}

impl Eq for ExporterCount {}
