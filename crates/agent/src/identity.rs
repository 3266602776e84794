//! Who this process is, for the default fields.

use pivot_advice::Value;
use std::cell::RefCell;
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

/// A thread's own copy, so that no two threads count references to the same text.
struct Copied {
    version: u32,
    host: Value,
    process: Value,
    pid: Value,
}

thread_local! {
    static COPIED: RefCell<Option<Copied>> = const { RefCell::new(None) };
    static THREAD: Value = {
        let thread = std::thread::current();
        thread.name().map_or_else(|| Value::str(format!("{:?}", thread.id())), Value::str)
    };
}

/// The host's name.
pub(crate) fn host() -> Value {
    copied(|copied| copied.host.clone())
}

/// The process's name.
pub(crate) fn process() -> Value {
    copied(|copied| copied.process.clone())
}

/// The process's id.
pub(crate) fn pid() -> Value {
    copied(|copied| copied.pid.clone())
}

fn copied(read: fn(&Copied) -> Value) -> Value {
    let version = VERSION.load(Ordering::Acquire);
    let copy = || {
        let identity = identity();
        let (host, process) = (Value::str(&identity.host), Value::str(&identity.process));
        Copied { version, host, process, pid: Value::I64(identity.pid.into()) }
    };
    let value = COPIED.try_with(|slot| {
        let mut slot = slot.try_borrow_mut().ok()?;
        let current = slot.take().filter(|copied| copied.version == version);
        Some(read(slot.insert(current.unwrap_or_else(copy))))
    });
    value.ok().flatten().unwrap_or_default()
}

/// The name of this thread, or its id if it has none.
pub(crate) fn thread_name() -> Value {
    THREAD.try_with(Value::clone).unwrap_or_default()
}
