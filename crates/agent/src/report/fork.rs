//! Notices that this process was forked, so that the child runs no advice.
//!
//! A forked child has a copy of its parent's tables, but no thread that would report them. It has only the thread
//! that forked: locks that other threads held at that moment are never released in it. So the child is told by a
//! flag, and nothing of the agent may lock there; what was woven before the fork stays woven and its events are
//! skipped.

use crate::report::thread_slot;

/// Returns whether this process was forked from one that had an agent, and goes on without executing another
/// program.
pub fn is_forked() -> bool {
    thread_slot::is_closed()
}

/// Has children that are forked from now on notice it, by a handler that `fork` calls in the child.
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

/// Does nothing: on this system forks are not noticed.
#[cfg(not(target_os = "linux"))]
pub fn watch_forks() {}
