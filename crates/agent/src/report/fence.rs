//! A fence between threads of which only the rare side pays.
//!
//! An event marks its thread as inside and then reads what is woven; weaving changes what is woven and
//! then reads who is inside. Each must see the other's write, which takes a fence on both sides. Linux
//! can have one side make a fence happen in every thread of the process (`membarrier`); elsewhere, and
//! where that call is forbidden, both sides use an ordinary one.

use std::sync::atomic::{AtomicBool, Ordering, compiler_fence, fence};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

/// Whether events need a fence of their own. Until it is known that they do not, they do.
static EVENTS_FENCE: AtomicBool = AtomicBool::new(true);

static DECIDED: OnceLock<()> = OnceLock::new();

/// How long stores of other processors may take to be seen, by far, if fences fail us late.
const STORE_DELAY: Duration = Duration::from_millis(20);

/// The event's side. Cheap.
#[inline(always)]
pub(crate) fn event_fence() {
    if EVENTS_FENCE.load(Ordering::Relaxed) {
        fence(Ordering::SeqCst);
    } else {
        compiler_fence(Ordering::SeqCst);
    }
}

/// The other side: after it, every thread either shows what it wrote before its own [`event_fence`], or
/// will see after it what was written here before.
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

/// Whether events pay for a fence in this process.
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
