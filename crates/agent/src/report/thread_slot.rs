//! A thread's slot in the agent: whether it is inside an event, and the tables that it adds to.
//!
//! The thread writes plainly, without locks and without read-modify-write. Whoever drains turns the
//! thread to its other table, and takes the one before once the thread has been seen outside: the same
//! wait that lets woven advice be freed. SlotRegistry are never freed but handed to later threads.

use crate::report::fence;
use crate::report::thread_table::ThreadTable;
use std::cell::{Cell, UnsafeCell};
use std::marker::PhantomData;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long draining and weaving wait for one event to end: far longer than a busy machine keeps a
/// thread from running. An event whose field expressions take longer is waited for once, and from then
/// on delays only itself: its rows come with the drain after its end.
const PATIENCE: Duration = Duration::from_secs(2);

/// A slot. No two threads write to one cache line, nor to the one that is fetched along with it.
#[repr(align(128))]
pub(crate) struct ThreadSlot {
    /// Odd while the thread is inside an event. Written by the thread alone.
    epoch: AtomicUsize,
    /// The table that events add to. Written by the drain alone.
    table: AtomicPtr<ThreadTable>,
    /// Events until one is measured. Written by the thread alone.
    left: AtomicU32,
    tables: [UnsafeCell<ThreadTable>; 2],
    /// The thread has ended; nobody will write here until the slot is handed on.
    ended: AtomicBool,
    /// Events that a field expression of another event hit.
    skipped: AtomicUsize,
    /// The turn in which the thread was seen when a drain ran out of patience, plus one.
    late: AtomicUsize,
}

// SAFETY: the tables are the only part that is not atomic. The one that `table` points to is touched
// by the owning thread alone, between its two writes of `epoch`; the other one by the holder of
// `DRAINING` alone, after it has seen the thread outside since it turned `table`.
unsafe impl Sync for ThreadSlot {}

/// What a thread is that has no slot.
#[derive(Clone, Copy)]
enum NoSlot {
    /// It has hit no tracepoint yet.
    New,
    /// Its destructors run.
    Gone,
    /// It belongs to the agent, whose own events are nobody's.
    Exempt,
}

thread_local! {
    static SLOT: Cell<Option<&'static ThreadSlot>> = const { Cell::new(None) };
    static NO_SLOT: Cell<NoSlot> = const { Cell::new(NoSlot::New) };
    static SLOT_GUARD: SlotGuard = const { SlotGuard };
}

/// Gives the slot back when the thread ends.
struct SlotGuard;

impl Drop for SlotGuard {
    fn drop(&mut self) {
        NO_SLOT.set(NoSlot::Gone);
        if let Some(slot) = SLOT.take() {
            slot.ended.store(true, Ordering::Release);
        }
    }
}

struct SlotRegistry {
    all: Vec<&'static ThreadSlot>,
    free: Vec<&'static ThreadSlot>,
}

static SLOTS: Mutex<SlotRegistry> = Mutex::new(SlotRegistry { all: Vec::new(), free: Vec::new() });

/// Held while tables are taken.
static DRAINING: Mutex<()> = Mutex::new(());

/// Whether this process was forked from one that had an agent: then no thread gets a slot any more.
static CLOSED: AtomicBool = AtomicBool::new(false);

/// Whether no thread gets a slot any more.
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
    /// Enters. None, and counted, if the thread is inside already or ends.
    #[inline(always)]
    pub(crate) fn enter() -> Option<EventGuard> {
        let slot = match SLOT.get() {
            Some(slot) => slot,
            None => claim_slot()?,
        };
        let epoch = slot.epoch.load(Ordering::Relaxed);
        if epoch % 2 == 1 {
            return skipped_at(&slot.skipped);
        }
        slot.epoch.store(epoch.wrapping_add(1), Ordering::Relaxed);
        fence::event_fence();
        Some(EventGuard { slot, thread: PhantomData })
    }

    /// The table that this event adds to, and the proof that it is inside.
    #[inline(always)]
    pub(crate) fn table_and_proof(&mut self) -> (&mut ThreadTable, ReadGuard<'_>) {
        // SAFETY: this thread is inside, and `table` was read after it was marked so: a drain that has
        // turned `table` since then waits for the mark to go. It points to one of the slot's tables. There
        // is one `EventGuard` in a thread, and it is borrowed for as long as the table is.
        let table = unsafe { &mut *self.slot.table.load(Ordering::Acquire) };
        (table, ReadGuard(PhantomData))
    }

    /// Whether this event is to be measured: one in many is. Counts it otherwise.
    #[inline(always)]
    pub(crate) fn is_timed(&self) -> bool {
        let left = self.slot.left.load(Ordering::Relaxed);
        if left > 0 {
            self.slot.left.store(left - 1, Ordering::Relaxed);
        }
        left == 0
    }

    /// Says how many events are not measured until the next one is.
    pub(crate) fn skip_timing(&self, events: u32) {
        self.slot.left.store(events, Ordering::Relaxed);
    }
}

/// While one of these lives, this thread is inside an event.
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

/// Gives this thread a slot, unless it may have none.
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
    if SLOT_GUARD.try_with(|_| ()).is_err() {
        NO_SLOT.set(NoSlot::Gone);
        return skipped_at(&SKIPPED);
    }
    let mut slots = slots();
    let slot = slots.free.pop().unwrap_or_else(|| {
        let slot: &'static ThreadSlot = Box::leak(Box::new(ThreadSlot {
            epoch: AtomicUsize::new(0),
            table: AtomicPtr::default(),
            left: AtomicU32::new(0),
            tables: Default::default(),
            ended: AtomicBool::new(false),
            skipped: AtomicUsize::new(0),
            late: AtomicUsize::new(0),
        }));
        slot.table.store(slot.tables[0].get(), Ordering::Release);
        slot
    });
    slot.left.store(0, Ordering::Relaxed);
    slot.ended.store(false, Ordering::Release);
    slots.all.push(slot);
    SLOT.set(Some(slot));
    Some(slot)
}

/// Leaves so many events of this thread untimed, for counts of instructions: under an emulator every event takes long,
/// so that all of them would be timed.
pub fn leave_untimed(events: u32) {
    if let Some(slot) = SLOT.get().or_else(claim_slot) {
        slot.left.store(events, Ordering::Relaxed);
    }
}

/// Says that this thread works for the agent: its events are no events.
pub fn exempt_this_thread() {
    if SLOT.get().is_none() && matches!(NO_SLOT.get(), NoSlot::New) {
        NO_SLOT.set(NoSlot::Exempt);
    }
}

/// Gives no thread a slot from now on, and takes this one out, whatever it was. Neither locks nor allocates.
#[cfg(target_os = "linux")]
pub(crate) fn close() {
    CLOSED.store(true, Ordering::Relaxed);
    SLOT.set(None);
    NO_SLOT.set(NoSlot::Exempt);
}

/// Whether an event that hits a tracepoint on this thread now would run its advice.
pub fn takes_events() -> bool {
    match SLOT.get() {
        Some(slot) => slot.epoch.load(Ordering::Relaxed).is_multiple_of(2),
        None => matches!(NO_SLOT.get(), NoSlot::New) && !is_closed(),
    }
}

/// Events that were skipped, because a field expression of another event hit them or because their
/// thread was ending.
pub fn skipped_events() -> u64 {
    let here: usize = slots().all.iter().map(|slot| slot.skipped.load(Ordering::Relaxed)).sum::<usize>();
    let freed: usize = slots().free.iter().map(|slot| slot.skipped.load(Ordering::Relaxed)).sum::<usize>();
    (here + freed + SKIPPED.load(Ordering::Relaxed)) as u64
}

/// Waits until every event that may have seen what was changed before has ended. False if one went
/// on for too long; then what it may have seen must be kept.
pub(crate) fn quiesce() -> bool {
    let all = slots().all.clone();
    fence::process_fence();
    let deadline = Instant::now() + PATIENCE;
    all.into_iter().all(|slot| wait_until_outside(slot, deadline).is_ok())
}

/// Takes every thread's table. What events add from now on is for the next time.
pub(crate) fn drain_tables(mut each: impl FnMut(ThreadTable)) {
    let _serial = DRAINING.lock().unwrap_or_else(PoisonError::into_inner);
    let all = slots().all.clone();
    // Before the tables are turned: a thread that ends later leaves its table to the next drain.
    let ended: Vec<bool> = all.iter().map(|slot| slot.ended.load(Ordering::Acquire)).collect();
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
        if ended {
            swap_tables(slot);
            each(take_inactive(slot));
            release_slot(slot);
        }
    }
}

/// Whether the event has ended by now for which an earlier drain had left a table behind.
fn late_event_ended(slot: &ThreadSlot) -> bool {
    let late = slot.late.load(Ordering::Relaxed);
    let came = late != 0 && slot.epoch.load(Ordering::Acquire) != late.wrapping_sub(1);
    if came {
        slot.late.store(0, Ordering::Relaxed);
    }
    came
}

/// Turns a thread to its other table, unless a table still waits behind an event that is late.
fn swap_tables(slot: &ThreadSlot) {
    if slot.late.load(Ordering::Relaxed) == 0 {
        slot.table.store(inactive_table(slot), Ordering::Release);
    }
}

/// Waits until the thread is outside the event that it was in, if it was in one. The turn of an event
/// that goes on for too long is an error.
fn wait_until_outside(slot: &ThreadSlot, deadline: Instant) -> Result<(), usize> {
    let epoch = slot.epoch.load(Ordering::Acquire);
    if epoch % 2 == 1 && slot.late.load(Ordering::Relaxed) == epoch.wrapping_add(1) {
        return Err(epoch);
    }
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

/// The table that the thread does not add to.
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

fn release_slot(slot: &'static ThreadSlot) {
    let mut slots = slots();
    slots.all.retain(|other| !std::ptr::eq(*other, slot));
    slots.free.push(slot);
}
