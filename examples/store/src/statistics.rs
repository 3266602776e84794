//! What a process really did, counted without the agent: the truth that tests compare with.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::{ProcessOptions, StoreError};

/// What one process did from its start on; the line in `<name>.stats.json`.
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
    /// The same per client application.
    pub apps: BTreeMap<String, AppSummary>,
}

/// What one process did for one client application.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppSummary {
    /// Operations done.
    pub operations: u64,
    /// Bytes of file content sent or received.
    pub bytes_read: u64,
    /// Bytes of file content written.
    pub bytes_written: u64,
}

impl ProcessSummary {
    /// Reads the statistics that the process at `path` left last.
    pub fn read(path: &Path) -> Result<ProcessSummary, StoreError> {
        let text = fs::read(path).map_err(|error| StoreError::disk(path, error))?;
        serde_json::from_slice(&text).map_err(|error| StoreError::disk(path, error.into()))
    }

    /// Replaces the file whole, so that no reader sees half a line.
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
    /// The counters of an application, kept from the first call on.
    pub(crate) fn app(&self, name: &str) -> Arc<AppCounters> {
        let mut apps = self.apps.lock().unwrap_or_else(PoisonError::into_inner);
        match apps.get(name) {
            Some(meter) => meter.clone(),
            None => apps.entry(name.to_owned()).or_default().clone(),
        }
    }

    pub(crate) fn by_app(&self) -> BTreeMap<String, AppSummary> {
        let apps = self.apps.lock().unwrap_or_else(PoisonError::into_inner);
        apps.iter().map(|(name, meter)| (name.clone(), meter.summary())).collect()
    }

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
    pub(crate) fn summary(&self) -> AppSummary {
        AppSummary {
            operations: self.operations.load(Ordering::Relaxed),
            bytes_read: self.read.load(Ordering::Relaxed),
            bytes_written: self.written.load(Ordering::Relaxed),
        }
    }
}
