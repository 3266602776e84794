//! Who this process is, for the default fields.

use pivot_advice::Value;
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
}

/// The identity of this process.
pub fn identity() -> Identity {
    let current = IDENTITY.read().unwrap_or_else(std::sync::PoisonError::into_inner);
    current.clone().unwrap_or_else(|| Identity::new("unknown", "unknown"))
}

thread_local! {
    static THREAD: Value = {
        let thread = std::thread::current();
        thread.name().map_or_else(|| Value::str(format!("{:?}", thread.id())), Value::str)
    };
}

/// The name of this thread, or its id if it has none.
pub(crate) fn thread_name() -> Value {
    THREAD.try_with(Value::clone).unwrap_or_default()
}
