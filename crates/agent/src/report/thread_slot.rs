//! A thread's slot in the agent: whether the thread is inside an event, and the two tables that it adds to.
//!
//! Events take no lock and do no atomic read-modify-write. Two textbook techniques make that possible, and both rest on
//! the slot's epoch, which is odd while its thread is inside an event:
//!
//! * **Quiescent-state-based reclamation.** Woven advice is replaced by a swap of a pointer, and the old set is freed
//!   when every thread has been seen outside an event since: [`quiesce`].
//! * **Double-buffered tables.** A drain turns each thread to its other table, and takes the one before once the thread
//!   has been seen outside an event since: [`drain_tables`].
//!
//! ```text
//! thread    epoch 6   7 ─── event, adds to table A ─── 8   9 ── event, adds to table B ── 10
//! drain          turn A→B   fence   ..waits while 7..  ▲ takes A
//! ```
//!
//! The thread stores its epoch and then loads a pointer; the other side stores a pointer and then loads the epoch. Each
//! must see the other's store, which takes a fence on both sides: an asymmetric one, see [`fence`]. An event
//! that goes on for too long is waited for once; then its table is left to a later drain.
//!
//! Slots are leaked, and handed to later threads when theirs end. There are as many as there were threads at once.

use crate::report::fence;
use crate::report::thread_table::ThreadTable;
use std::cell::{Cell, UnsafeCell};
use std::marker::PhantomData;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long draining and weaving wait for one event to end: far longer than a busy machine keeps a thread from running.
/// An event whose field expressions take longer is waited for once, and from then on delays only its own rows.
const PATIENCE: Duration = Duration::from_secs(2);

/// What the agent keeps for a thread. Aligned so that no two threads write to one cache line, nor to the one that is
/// fetched along with it.
#[repr(align(128))]
pub(crate) struct ThreadSlot {
    /// Odd while the thread is inside an event. Written by the thread alone.
    epoch: AtomicUsize,
    /// The table that events add to. Written by the drain alone.
    table: AtomicPtr<ThreadTable>,
    /// How many events are left until one is timed. Written by the thread alone.
    until_timed: AtomicU32,
    tables: [UnsafeCell<ThreadTable>; 2],
    /// Whether the thread has ended: then nobody writes here until the slot is handed on.
    ended: AtomicBool,
    /// How many events were skipped because a field expression of another event hit them.
    skipped: AtomicUsize,
    /// The epoch of an event that a drain stopped waiting for, plus one; 0 if there is none. Written by the drain alone.
    late: AtomicUsize,
}

// SAFETY: the tables are the only part that is not atomic. The one that `table` points to is touched
// by the owning thread alone, between its two writes of `epoch`; the other one by the holder of
// `DRAINING` alone, after it has seen the thread outside since it turned `table`.
unsafe impl Sync for ThreadSlot {}

/// Why a thread has no slot.
#[derive(Clone, Copy)]
enum NoSlot {
    /// The thread has hit no tracepoint yet.
    New,
    /// The thread is ending: its destructors run.
    Gone,
    /// The thread works for the agent, whose own events are not to be seen, or runs in a forked child.
    Exempt,
}

thread_local! {
    static SLOT: Cell<Option<&'static ThreadSlot>> = const { Cell::new(None) };
    static NO_SLOT: Cell<NoSlot> = const { Cell::new(NoSlot::New) };
    static SLOT_GUARD: SlotGuard = const { SlotGuard };
}

/// Gives the slot back when the thread ends: a thread-local with a destructor.
struct SlotGuard;

impl Drop for SlotGuard {
    fn drop(&mut self) {
        NO_SLOT.set(NoSlot::Gone);
        if let Some(slot) = SLOT.take() {
            slot.ended.store(true, Ordering::Release);
        }
    }
}

/// All slots of the process.
struct SlotRegistry {
    /// Those of threads, ended ones included until a drain has taken what they left.
    all: Vec<&'static ThreadSlot>,
    /// Those that the next new thread may have.
    free: Vec<&'static ThreadSlot>,
}

static SLOTS: Mutex<SlotRegistry> = Mutex::new(SlotRegistry { all: Vec::new(), free: Vec::new() });

/// Held while tables are taken: a slot has one drain at a time.
static DRAINING: Mutex<()> = Mutex::new(());

/// Whether this process was forked from one that had an agent: then no thread gets a slot any more.
static CLOSED: AtomicBool = AtomicBool::new(false);

/// Returns whether no thread gets a slot any more.
pub(crate) fn is_closed() -> bool {
    CLOSED.load(Ordering::Relaxed)
}

/// Events that no slot has counted, because their threads were ending.
static SKIPPED: AtomicUsize = AtomicUsize::new(0);

fn slots() -> std::sync::MutexGuard<'static, SlotRegistry> {
    SLOTS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The thread is inside an event until this is dropped.
pub(crate) struct EventGuard {
    slot: &'static ThreadSlot,
    thread: PhantomData<*const ()>,
}

impl EventGuard {
    /// Enters an event. Returns `None`, and counts the event as skipped, if the thread is inside one already or ends.
    #[inline(always)]
    pub(crate) fn enter() -> Option<EventGuard> {
        let slot = match SLOT.get() {
            Some(slot) => slot,
            None => claim_slot()?,
        };

        // A plain load and store: only this thread writes its epoch.
        let epoch = slot.epoch.load(Ordering::Relaxed);
        if epoch % 2 == 1 {
            return skipped_at(&slot.skipped);
        }
        slot.epoch.store(epoch.wrapping_add(1), Ordering::Relaxed);

        // Between the store above and the loads of what is woven and of the table; see the fence's page.
        fence::event_fence();
        Some(EventGuard { slot, thread: PhantomData })
    }

    /// Returns the table that this event adds to, and the proof that the thread is inside an event.
    #[inline(always)]
    pub(crate) fn table_and_proof(&mut self) -> (&mut ThreadTable, ReadGuard<'_>) {
        // SAFETY: this thread is inside, and `table` was read after it was marked so: a drain that has
        // turned `table` since then waits for the mark to go. It points to one of the slot's tables. There
        // is one `EventGuard` in a thread, and it is borrowed for as long as the table is.
        let table = unsafe { &mut *self.slot.table.load(Ordering::Acquire) };
        (table, ReadGuard(PhantomData))
    }

    /// Returns whether this event is to be timed, as one in many is, and counts it if not.
    #[inline(always)]
    pub(crate) fn is_timed(&self) -> bool {
        let left = self.slot.until_timed.load(Ordering::Relaxed);
        if left > 0 {
            self.slot.until_timed.store(left - 1, Ordering::Relaxed);
        }
        left == 0
    }

    /// Sets how many events are left out until the next one is timed.
    pub(crate) fn skip_timing(&self, events: u32) {
        self.slot.until_timed.store(events, Ordering::Relaxed);
    }
}

/// Proof that this thread is inside an event, for as long as the value lives.
#[derive(Clone, Copy)]
pub(crate) struct ReadGuard<'a>(PhantomData<(&'a (), *const ())>);

impl Drop for EventGuard {
    #[inline(always)]
    fn drop(&mut self) {
        let epoch = self.slot.epoch.load(Ordering::Relaxed);
        self.slot.epoch.store(epoch.wrapping_add(1), Ordering::Release);
    }
}

#[cold]
fn skipped_at<T>(count: &AtomicUsize) -> Option<T> {
    count.fetch_add(1, Ordering::Relaxed);
    None
}

/// Gives this thread a slot, or returns `None` if it may have none.
#[cold]
#[inline(never)]
fn claim_slot() -> Option<&'static ThreadSlot> {
    match NO_SLOT.get() {
        NoSlot::New if is_closed() => {
            NO_SLOT.set(NoSlot::Exempt);
            return None;
        }
        NoSlot::New => {}
        NoSlot::Gone => return skipped_at(&SKIPPED),
        NoSlot::Exempt => return None,
    }

    // Touched for its destructor, which gives the slot back.
    if SLOT_GUARD.try_with(|_| ()).is_err() {
        NO_SLOT.set(NoSlot::Gone);
        return skipped_at(&SKIPPED);
    }

    let mut slots = slots();
    let slot = slots.free.pop().unwrap_or_else(|| {
        let slot: &'static ThreadSlot = Box::leak(Box::new(ThreadSlot {
            epoch: AtomicUsize::new(0),
            table: AtomicPtr::default(),
            until_timed: AtomicU32::new(0),
            tables: Default::default(),
            ended: AtomicBool::new(false),
            skipped: AtomicUsize::new(0),
            late: AtomicUsize::new(0),
        }));
        slot.table.store(slot.tables[0].get(), Ordering::Release);
        slot
    });

    slot.until_timed.store(0, Ordering::Relaxed);
    slot.ended.store(false, Ordering::Release);
    slots.all.push(slot);
    SLOT.set(Some(slot));
    Some(slot)
}

/// Leaves the next `events` events of this thread untimed, for counts of instructions: under an emulator every event takes long,
/// so that all of them would be timed.
pub fn leave_untimed(events: u32) {
    if let Some(slot) = SLOT.get().or_else(claim_slot) {
        slot.until_timed.store(events, Ordering::Relaxed);
    }
}

/// Exempts this thread, which works for the agent: its events run no advice.
pub fn exempt_this_thread() {
    if SLOT.get().is_none() && matches!(NO_SLOT.get(), NoSlot::New) {
        NO_SLOT.set(NoSlot::Exempt);
    }
}

/// Gives no thread a slot from now on and takes this one's away: the process was forked. Neither locks nor allocates.
#[cfg(target_os = "linux")]
pub(crate) fn close() {
    CLOSED.store(true, Ordering::Relaxed);
    SLOT.set(None);
    NO_SLOT.set(NoSlot::Exempt);
}

/// Returns whether an event on this thread would now run advice.
pub fn takes_events() -> bool {
    match SLOT.get() {
        Some(slot) => slot.epoch.load(Ordering::Relaxed).is_multiple_of(2),
        None => matches!(NO_SLOT.get(), NoSlot::New) && !is_closed(),
    }
}

/// Returns how many events were skipped, because a field expression of another event hit them or because their thread
/// was ending.
pub fn skipped_events() -> u64 {
    let here: usize = slots().all.iter().map(|slot| slot.skipped.load(Ordering::Relaxed)).sum::<usize>();
    let freed: usize = slots().free.iter().map(|slot| slot.skipped.load(Ordering::Relaxed)).sum::<usize>();
    (here + freed + SKIPPED.load(Ordering::Relaxed)) as u64
}

/// Waits until every event has ended that may have seen what was published before the call. Returns false if one went on
/// for too long: then what it may have seen must be kept.
pub(crate) fn quiesce() -> bool {
    let all = slots().all.clone();
    fence::process_fence();
    let deadline = Instant::now() + PATIENCE;
    all.into_iter().all(|slot| wait_until_outside(slot, deadline).is_ok())
}

/// Takes the table of every thread, and calls `each` with it. What events add from now on is for the next drain.
pub(crate) fn drain_tables(mut each: impl FnMut(ThreadTable)) {
    let _serial = DRAINING.lock().unwrap_or_else(PoisonError::into_inner);
    let all = slots().all.clone();

    // Before the tables are turned: a thread that ends later leaves its table to the next drain.
    let ended: Vec<bool> = all.iter().map(|slot| slot.ended.load(Ordering::Acquire)).collect();

    // What earlier drains could not wait for, before the tables it is in come into use again.
    all.iter().filter(|slot| late_event_ended(slot)).for_each(|slot| each(take_inactive(slot)));

    all.iter().for_each(|slot| swap_tables(slot));
    fence::process_fence();
    let deadline = Instant::now() + PATIENCE;
    for (slot, ended) in all.into_iter().zip(ended) {
        if slot.late.load(Ordering::Relaxed) != 0 {
            continue;
        }
        if let Err(epoch) = wait_until_outside(slot, deadline) {
            slot.late.store(epoch.wrapping_add(1), Ordering::Relaxed);
            continue;
        }
        each(take_inactive(slot));

        // Its second table too, and then the slot is free: nobody will add to it.
        if ended {
            swap_tables(slot);
            each(take_inactive(slot));
            release_slot(slot);
        }
    }
}

/// Returns whether an event has ended that an earlier drain stopped waiting for, and forgets it then.
fn late_event_ended(slot: &ThreadSlot) -> bool {
    let late = slot.late.load(Ordering::Relaxed);
    let came = late != 0 && slot.epoch.load(Ordering::Acquire) != late.wrapping_sub(1);
    if came {
        slot.late.store(0, Ordering::Relaxed);
    }
    came
}

/// Turns a thread to its other table, unless a late event may still add to that.
fn swap_tables(slot: &ThreadSlot) {
    if slot.late.load(Ordering::Relaxed) == 0 {
        slot.table.store(inactive_table(slot), Ordering::Release);
    }
}

/// Waits until the thread has left the event that it is in, if it is in one. The epoch of an event that goes on for too
/// long is the error.
fn wait_until_outside(slot: &ThreadSlot, deadline: Instant) -> Result<(), usize> {
    let epoch = slot.epoch.load(Ordering::Acquire);
    if epoch % 2 == 1 && slot.late.load(Ordering::Relaxed) == epoch.wrapping_add(1) {
        return Err(epoch);
    }

    // The epoch only has to change: a thread that is inside again is inside another event, which began later.
    let mut spins = 0_u32;
    while epoch % 2 == 1 && slot.epoch.load(Ordering::Acquire) == epoch {
        if Instant::now() > deadline {
            return Err(epoch);
        }
        spins += 1;
        if spins < 100 { std::hint::spin_loop() } else { std::thread::sleep(Duration::from_micros(50)) }
    }
    Ok(())
}

/// Returns the table that the thread does not add to.
fn inactive_table(slot: &ThreadSlot) -> *mut ThreadTable {
    let [one, two] = slot.tables.each_ref().map(UnsafeCell::get);
    if slot.table.load(Ordering::Relaxed) == one { two } else { one }
}

/// Takes the table that the thread does not add to.
fn take_inactive(slot: &ThreadSlot) -> ThreadTable {
    // SAFETY: `DRAINING` is held, and the thread has been outside since it was turned to the other
    // table, or has ended; see `Sync`.
    std::mem::take(unsafe { &mut *inactive_table(slot) })
}

/// Hands the slot of a thread that has ended to the next new thread.
fn release_slot(slot: &'static ThreadSlot) {
    let mut slots = slots();
    slots.all.retain(|other| !std::ptr::eq(*other, slot));
    slots.free.push(slot);
}
