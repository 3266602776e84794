//! The identity of this process, for the default fields `host`, `process` and `pid`.
//!
//! It may be set while events run, so it lies behind a lock. Events do not take that lock: each thread has a copy,
//! and renews it when a version number has changed. The copy has texts of its own, because threads that cloned one
//! `Arc` would all write to its reference count.

use crate::run::cells::{Cell, Cells};
use std::cell;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, RwLock};

/// The values of the default fields `host`, `process` and `pid`.
#[derive(Debug, Clone)]
pub struct ProcessIdentity {
    /// The host.
    pub host: Arc<str>,
    /// The process name.
    pub process: Arc<str>,
    /// The process id.
    pub pid: u32,
}

/// The identity that was set last.
static IDENTITY: RwLock<Option<ProcessIdentity>> = RwLock::new(None);

/// Counts changes of the identity, by which threads notice that their copies are outdated.
static VERSION: AtomicU32 = AtomicU32::new(0);

impl ProcessIdentity {
    /// Returns the identity of this process under these names.
    pub fn new(host: &str, process: &str) -> ProcessIdentity {
        ProcessIdentity { host: host.into(), process: process.into(), pid: std::process::id() }
    }
}

/// Replaces the identity that events see. Advice that is woven was decided for the one before; see
/// [`set_identity`](crate::set_identity).
pub(crate) fn replace_identity(identity: ProcessIdentity) {
    let mut current = IDENTITY.write().unwrap_or_else(std::sync::PoisonError::into_inner);
    *current = Some(identity);
    VERSION.fetch_add(1, Ordering::Release);
}

/// Returns the identity of this process.
pub fn identity() -> ProcessIdentity {
    let current = IDENTITY.read().unwrap_or_else(std::sync::PoisonError::into_inner);
    current.clone().unwrap_or_else(|| ProcessIdentity::new("unknown", "unknown"))
}

thread_local! {
    /// The thread's own copy of the identity, and the version that it is of.
    static COPIED: cell::Cell<Option<(u32, ProcessIdentity)>> = const { cell::Cell::new(None) };
    /// The name of the thread, or its id if it has none.
    static THREAD: Arc<str> = {
        let thread = std::thread::current();
        thread.name().map_or_else(|| format!("{:?}", thread.id()).into(), Arc::from)
    };
}

/// Returns the host's name.
pub(crate) fn host(cells: &mut Cells) -> Cell {
    copied(|copied| cells.text(&copied.host))
}

/// Returns the process's name.
pub(crate) fn process(cells: &mut Cells) -> Cell {
    copied(|copied| cells.text(&copied.process))
}

/// Returns the process's id.
pub(crate) fn pid() -> Cell {
    copied(|copied| Cell::i64(copied.pid.into()))
}

/// Reads this thread's copy of the identity, after renewing it if the identity has changed.
fn copied<R>(read: impl FnOnce(&ProcessIdentity) -> R) -> R {
    let version = VERSION.load(Ordering::Acquire);

    // Taken out while it is read, as a cell gives no reference to its content.
    let copied = COPIED.try_with(|slot| slot.take().filter(|(of, _)| *of == version));
    let copied = copied.ok().flatten().unwrap_or_else(|| (version, private_copy(&identity())));
    let result = read(&copied.1);

    // This fails while the thread ends; then every event makes a copy of its own.
    let _ = COPIED.try_with(|slot| slot.set(Some(copied)));
    result
}

/// Copies an identity with its texts, so that no two threads count references to the same text.
fn private_copy(identity: &ProcessIdentity) -> ProcessIdentity {
    ProcessIdentity { pid: identity.pid, ..ProcessIdentity::new(&identity.host, &identity.process) }
}

/// Returns the name of this thread, or its id if it has none; null while the thread ends.
pub(crate) fn thread(cells: &mut Cells) -> Cell {
    THREAD.try_with(|name| cells.text(name)).unwrap_or(Cell::NULL)
}
