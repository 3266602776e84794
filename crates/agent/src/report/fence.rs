//! An asymmetric fence: of two sides that must see each other's stores, only the rare one pays.
//!
//! ```text
//! event                                weaving, draining
//! store  epoch = inside                store  pointer = new set or table
//! event_fence   (compiler fence)       process_fence   (membarrier)
//! load   pointer                       load   epoch of every thread
//! ```
//!
//! This is Dekker's pattern: without fences both sides may load the old value, because a processor keeps stores in a
//! buffer while it loads, and then a set that an event reads would be freed. An ordinary fence costs an event some
//! nanoseconds each time. Linux can make a fence happen in every running thread of the process at once
//! (`membarrier`, private expedited), so that events need to stop only the compiler from reordering. Elsewhere, and
//! where the call is forbidden, both sides use an ordinary fence.

use std::sync::atomic::{AtomicBool, Ordering, compiler_fence, fence};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

/// Whether events execute a fence of their own. They do until it is known that they need not.
static EVENTS_FENCE: AtomicBool = AtomicBool::new(true);

/// Decided once, before the first weaving or draining.
static DECIDED: OnceLock<()> = OnceLock::new();

/// Far longer than the store of another processor takes to be seen.
const STORE_DELAY: Duration = Duration::from_millis(20);

/// The event's side, between its store and its load.
#[inline(always)]
pub(crate) fn event_fence() {
    if EVENTS_FENCE.load(Ordering::Relaxed) {
        fence(Ordering::SeqCst);
    } else {
        compiler_fence(Ordering::SeqCst);
    }
}

/// The other side. After it, every thread either shows what it stored before its own [`event_fence`], or will load after
/// it what was stored here before.
pub(crate) fn process_fence() {
    static SERIAL: Mutex<()> = Mutex::new(());
    let _serial = SERIAL.lock().unwrap_or_else(PoisonError::into_inner);
    DECIDED.get_or_init(|| EVENTS_FENCE.store(!membarrier::register(), Ordering::SeqCst));
    fence(Ordering::SeqCst);
    if !EVENTS_FENCE.load(Ordering::Relaxed) && !membarrier::run() {
        // It was there and is forbidden now. Events fence from here on, and those on their way are
        // given far longer than a store needs to reach the other processors.
        EVENTS_FENCE.store(true, Ordering::SeqCst);
        std::thread::sleep(STORE_DELAY);
    }
}

/// Makes events fence on their own, as where the system has no `membarrier`: for sandboxes that kill a
/// process over this call. Without effect once something was woven or drained.
pub fn use_fences() {
    DECIDED.get_or_init(|| EVENTS_FENCE.store(true, Ordering::SeqCst));
}

/// Returns whether events execute a fence of their own in this process.
#[doc(hidden)]
pub fn is_fenced() -> bool {
    EVENTS_FENCE.load(Ordering::Relaxed)
}

#[cfg(target_os = "linux")]
mod membarrier {
    const PRIVATE_EXPEDITED: libc::c_int = 1 << 3;
    const REGISTER_PRIVATE_EXPEDITED: libc::c_int = 1 << 4;

    fn call(command: libc::c_int) -> bool {
        // SAFETY: the call takes three integers and touches no memory of this process.
        unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) == 0 }
    }

    pub(super) fn register() -> bool {
        call(REGISTER_PRIVATE_EXPEDITED)
    }

    pub(super) fn run() -> bool {
        call(PRIVATE_EXPEDITED)
    }
}

#[cfg(not(target_os = "linux"))]
mod membarrier {
    pub(super) fn register() -> bool {
        false
    }

    pub(super) fn run() -> bool {
        false
    }
}
