//! Who this process is, for the default fields.

use crate::run::cells::{Cell, Cells};
use std::cell;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, RwLock};

/// Host, process name and process id as queries see them.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The host.
    pub host: Arc<str>,
    /// The process name.
    pub process: Arc<str>,
    /// The process id.
    pub pid: u32,
}

static IDENTITY: RwLock<Option<Identity>> = RwLock::new(None);

/// Rises when the identity changes.
static VERSION: AtomicU32 = AtomicU32::new(0);

impl Identity {
    /// The identity of this process under these names.
    pub fn new(host: &str, process: &str) -> Identity {
        Identity { host: host.into(), process: process.into(), pid: std::process::id() }
    }
}

/// Says who this process is. Events before this have `unknown` as host and process.
pub fn set_identity(identity: Identity) {
    let mut current = IDENTITY.write().unwrap_or_else(std::sync::PoisonError::into_inner);
    *current = Some(identity);
    VERSION.fetch_add(1, Ordering::Release);
}

/// The identity of this process.
pub fn identity() -> Identity {
    let current = IDENTITY.read().unwrap_or_else(std::sync::PoisonError::into_inner);
    current.clone().unwrap_or_else(|| Identity::new("unknown", "unknown"))
}

thread_local! {
    /// A thread's own copy, so that no two threads count references to the same text.
    static COPIED: cell::Cell<Option<(u32, Identity)>> = const { cell::Cell::new(None) };
    static THREAD: Arc<str> = {
        let thread = std::thread::current();
        thread.name().map_or_else(|| format!("{:?}", thread.id()).into(), Arc::from)
    };
}

/// The host's name.
pub(crate) fn host(cells: &mut Cells) -> Cell {
    copied(|copied| cells.text(&copied.host))
}

/// The process's name.
pub(crate) fn process(cells: &mut Cells) -> Cell {
    copied(|copied| cells.text(&copied.process))
}

/// The process's id.
pub(crate) fn pid() -> Cell {
    copied(|copied| Cell::i64(copied.pid.into()))
}

fn copied<R>(read: impl FnOnce(&Identity) -> R) -> R {
    let version = VERSION.load(Ordering::Acquire);
    let copy = || {
        let identity = identity();
        (version, Identity::new(&identity.host, &identity.process))
    };

    let copied = COPIED.try_with(|slot| slot.take().filter(|(of, _)| *of == version));
    let copied = copied.ok().flatten().unwrap_or_else(copy);

    let result = read(&copied.1);
    // A thread that ends makes its copies anew.
    let _ = COPIED.try_with(|slot| slot.set(Some(copied)));
    result
}

/// The name of this thread, or its id if it has none.
pub(crate) fn thread(cells: &mut Cells) -> Cell {
    THREAD.try_with(|name| cells.text(name)).unwrap_or(Cell::NULL)
}
