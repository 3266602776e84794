//! What a process really did, counted without Pivot: tests compare the answers of queries with it.
//!
//! [`ProcessCounters`] count while a process runs, [`ProcessSummary`] is what they said at one time, as JSON.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::{ProcessOptions, StoreError};

/// The counts of one process since its start: the line in `<name>.stats.json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessSummary {
    /// Logical host.
    pub host: String,
    /// Process name: the word of the role.
    pub process: String,
    /// Process id.
    pub pid: u32,
    /// Operations done: RPCs of a server, whole operations of a client.
    pub operations: u64,
    /// Operations that a client gave up.
    pub failed: u64,
    /// Bytes of file content sent by a data node, or received by a client.
    pub bytes_read: u64,
    /// Bytes of file content that a data node put on its disk, or that a client wrote (once, not per replica).
    pub bytes_written: u64,
    /// The counts per client application.
    pub apps: BTreeMap<String, AppCounts>,
}

/// The counts of one process for one client application.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppCounts {
    /// Operations done.
    pub operations: u64,
    /// Bytes of file content sent or received.
    pub bytes_read: u64,
    /// Bytes of file content written.
    pub bytes_written: u64,
}

impl ProcessSummary {
    /// Reads the statistics that a process left last in the file at `path`.
    pub fn read(path: &Path) -> Result<ProcessSummary, StoreError> {
        let text = fs::read(path).map_err(|error| StoreError::disk(path, error))?;
        serde_json::from_slice(&text).map_err(|error| StoreError::disk(path, error.into()))
    }

    /// Replaces the file as a whole, so that no reader sees half a line.
    pub(crate) fn write(&self, path: &Path) -> Result<(), StoreError> {
        let fresh = path.with_extension("part");
        let mut line = serde_json::to_vec(self).map_err(|error| StoreError::disk(path, error.into()))?;
        line.push(b'\n');

        fs::write(&fresh, line)
            .and_then(|()| fs::rename(&fresh, path))
            .map_err(|error| StoreError::disk(path, error))
    }
}

/// Counters of one process, one set for each client application.
#[derive(Debug, Default)]
pub(crate) struct ProcessCounters {
    /// Operations that a client gave up.
    pub(crate) failed: AtomicU64,
    apps: Mutex<BTreeMap<String, Arc<AppCounters>>>,
}

/// Counters for one client application.
#[derive(Debug, Default)]
pub(crate) struct AppCounters {
    pub(crate) operations: AtomicU64,
    pub(crate) read: AtomicU64,
    pub(crate) written: AtomicU64,
}

impl ProcessCounters {
    /// Returns the counters of an application, which begin with the first call.
    pub(crate) fn app(&self, name: &str) -> Arc<AppCounters> {
        let mut apps = self.apps.lock().unwrap_or_else(PoisonError::into_inner);
        match apps.get(name) {
            Some(counters) => counters.clone(),
            None => apps.entry(name.to_owned()).or_default().clone(),
        }
    }

    /// Returns what the process did so far per application.
    pub(crate) fn by_app(&self) -> BTreeMap<String, AppCounts> {
        let apps = self.apps.lock().unwrap_or_else(PoisonError::into_inner);
        apps.iter().map(|(name, counters)| (name.clone(), counters.summary())).collect()
    }

    /// Returns what the process did so far.
    pub(crate) fn summary(&self, options: &ProcessOptions) -> ProcessSummary {
        let apps = self.by_app();

        ProcessSummary {
            host: options.name.clone(),
            process: options.role.to_string(),
            pid: std::process::id(),
            operations: apps.values().map(|app| app.operations).sum(),
            failed: self.failed.load(Ordering::Relaxed),
            bytes_read: apps.values().map(|app| app.bytes_read).sum(),
            bytes_written: apps.values().map(|app| app.bytes_written).sum(),
            apps,
        }
    }
}

impl AppCounters {
    /// Returns what the process did so far for this application.
    pub(crate) fn summary(&self) -> AppCounts {
        AppCounts {
            operations: self.operations.load(Ordering::Relaxed),
            bytes_read: self.read.load(Ordering::Relaxed),
            bytes_written: self.written.load(Ordering::Relaxed),
        }
    }
}
