//! An **asymmetric fence** between threads: only the rare side pays.
//!
//! An event marks its thread as inside and then reads what is woven; a weaver changes what is woven and then reads
//! who is inside. Each writes one variable and reads another. Without a fence between the two, a processor may let
//! the read pass its own write, which still sits in the store buffer, so that neither side sees the other's:
//!
//! ```text
//!   event                                weaver
//!   epoch = odd                          published = new set
//!   ── event_fence ──                    ── process_fence ──
//!   read published                       read epoch
//!
//!   forbidden outcome: the event reads the old set, and the weaver reads an even epoch and frees that set
//! ```
//!
//! Two ordinary `SeqCst` fences forbid that outcome, but the event's would cost about 20 cycles at every woven hit.
//! Linux has the system call `membarrier`: the weaver has the kernel interrupt every processor that runs a thread
//! of this process and execute a full fence there. Wherever that interrupt falls in the event, the outcome is
//! forbidden: before the event's write, the event reads the new set; after it, the weaver reads the odd epoch. All
//! that is left for the event is a fence for the compiler, which costs nothing.
//!
//! | `EVENTS_FENCE` | [`event_fence`] | [`process_fence`] | where |
//! |---|---|---|---|
//! | true | `SeqCst` fence | `SeqCst` fence | before the first weaving or drain; other systems; [`use_fences`] |
//! | false | compiler fence | `SeqCst` fence and `membarrier` | Linux since 4.14 |
//!
//! The flag goes to false once at most, before the first wait relies on it. It goes back to true only if a sandbox
//! forbids `membarrier` in the middle of a run.

use std::sync::atomic::{AtomicBool, Ordering, compiler_fence, fence};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

/// Whether events execute a fence of their own. They do until it is known that `membarrier` works.
static EVENTS_FENCE: AtomicBool = AtomicBool::new(true);

/// Whether [`EVENTS_FENCE`] was decided for this process: by the first [`process_fence`] or by [`use_fences`].
static DECIDED: OnceLock<()> = OnceLock::new();

/// A time far longer than the stores of another processor take to be seen, for the one wait that has no fence.
const STORE_DELAY: Duration = Duration::from_millis(20);

/// Orders, in an event, the mark of its thread before the reads of what is woven and of the thread's table. Costs
/// one load and an untaken branch where the system has `membarrier`.
#[inline(always)]
pub(crate) fn event_fence() {
    if EVENTS_FENCE.load(Ordering::Relaxed) {
        fence(Ordering::SeqCst);
    } else {
        compiler_fence(Ordering::SeqCst);
    }
}

/// Orders, in a weaver or a drain, what it has changed before its reads of all epochs. For every thread afterwards:
/// either what it wrote before its [`event_fence`] is visible here, or it reads after that fence what was written
/// here.
pub(crate) fn process_fence() {
    static SERIAL: Mutex<()> = Mutex::new(());
    let _serial = SERIAL.lock().unwrap_or_else(PoisonError::into_inner);

    // An event that still reads true fences once too often, which does no harm.
    DECIDED.get_or_init(|| EVENTS_FENCE.store(!membarrier::register(), Ordering::SeqCst));
    fence(Ordering::SeqCst);

    if !EVENTS_FENCE.load(Ordering::Relaxed) && !membarrier::run() {
        // `membarrier` worked before and is forbidden now. Events fence from here on, and those on their way are
        // given far longer than a store needs to reach the other processors.
        EVENTS_FENCE.store(true, Ordering::SeqCst);
        std::thread::sleep(STORE_DELAY);
    }
}

/// Makes events execute a fence of their own, as on systems without `membarrier`. For sandboxes that kill a process
/// over that system call. Without effect once something was woven or drained.
pub fn use_fences() {
    DECIDED.get_or_init(|| EVENTS_FENCE.store(true, Ordering::SeqCst));
}

/// Returns whether events execute a fence of their own in this process.
#[doc(hidden)]
pub fn is_fenced() -> bool {
    EVENTS_FENCE.load(Ordering::Relaxed)
}

/// The system call; its commands are those of `linux/membarrier.h`.
#[cfg(target_os = "linux")]
mod membarrier {
    const PRIVATE_EXPEDITED: libc::c_int = 1 << 3;
    const REGISTER_PRIVATE_EXPEDITED: libc::c_int = 1 << 4;

    fn call(command: libc::c_int) -> bool {
        // SAFETY: the call takes three integers and touches no memory of this process.
        unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) == 0 }
    }

    /// Announces that this process will use the expedited command. Returns false if the kernel refuses.
    pub(super) fn register() -> bool {
        call(REGISTER_PRIVATE_EXPEDITED)
    }

    /// Executes a fence in every running thread of this process. Returns false if the kernel refuses.
    pub(super) fn run() -> bool {
        call(PRIVATE_EXPEDITED)
    }
}

/// Stands in for the system call where there is none: it always refuses.
#[cfg(not(target_os = "linux"))]
mod membarrier {
    pub(super) fn register() -> bool {
        false
    }

    pub(super) fn run() -> bool {
        false
    }
}
