//! A forked child has its parent's tables, and no thread that reports them: its events are nobody's.
//!
//! The child has only the thread that forked. Locks that other threads held then are never released in
//! it, so nothing of the agent may be asked there; what it was told before the fork stays as it is.

use crate::report::thread_slot;

/// Whether this process was forked from one that had an agent, and goes on without executing another
/// program.
pub fn is_forked() -> bool {
    thread_slot::is_closed()
}

/// Has children that are forked from now on know of it.
#[cfg(target_os = "linux")]
pub fn watch_forks() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    extern "C" fn in_child() {
        thread_slot::close();
    }
    ONCE.call_once(|| {
        // SAFETY: the handler is a function that lives as long as the program. It stores to a static and
        // to a thread-local without a destructor, and neither locks nor allocates.
        let _ = unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
    });
}

/// Forks are not noticed here.
#[cfg(not(target_os = "linux"))]
pub fn watch_forks() {}
