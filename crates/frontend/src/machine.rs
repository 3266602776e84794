//! What a frontend asks of the machine that it runs on: the time, chance, a disk, and threads.
//!
//! Servers use [`ThisMachine`]. A simulation brings a machine of its own, and with it runs the same frontend by a time, a
//! disk and dice that it decides on.

use crate::blocking_work::BlockingWork;
use pivot_protocol::{Clocks, SystemClocks};
use redb::{Database, DatabaseError};
use std::fmt::Debug;
use std::path::Path;

/// A machine that a frontend runs on.
pub trait Machine: Clocks + Debug + Send + Sync {
    /// Returns what tells this run of the machine from others, or nothing where that is not known.
    fn boot(&self) -> String;

    /// Returns a number that nobody can foretell, or `None` if there is no randomness.
    fn random(&self) -> Option<u32>;

    /// Opens the database in a file, which is made if there is none.
    fn open_database(&self, path: &Path) -> Result<Database, DatabaseError>;

    /// Whether there are files beside the database: without them there is no history.
    fn has_files(&self) -> bool;

    /// Returns where work runs that takes long or waits for the disk.
    fn blocking_work(&self) -> BlockingWork;
}

/// The machine of this process.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct ThisMachine;

impl Clocks for ThisMachine {
    fn steady_ns(&self) -> i64 {
        SystemClocks.steady_ns()
    }

    fn wall_ns(&self) -> i64 {
        SystemClocks.wall_ns()
    }
}

impl Machine for ThisMachine {
    fn boot(&self) -> String {
        let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        id.trim().to_owned()
    }

    fn random(&self) -> Option<u32> {
        getrandom::u32().ok()
    }

    fn open_database(&self, path: &Path) -> Result<Database, DatabaseError> {
        Database::create(path)
    }

    fn has_files(&self) -> bool {
        true
    }

    fn blocking_work(&self) -> BlockingWork {
        BlockingWork::OnThreads
    }
}
