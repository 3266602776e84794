//! A thread's slot in the agent: whether the thread is inside an event, and the two tables that its events add to.
//!
//! Two things must not be taken from a running event: the advice that it runs, and the table that it adds to. Both
//! are protected by **quiescent-state reclamation**, as in userspace RCU. Whoever wants to free or take something
//! first makes it unreachable, then waits until every thread has been outside an event once. A thread tells by the
//! `epoch` of its slot, which is odd while it is inside.
//!
//! ```text
//!   event (the thread that owns the slot)       weaver or drain (any other thread)
//!   1  epoch += 1, now odd                      1  publish new advice, or point `table` to the other table
//!   2  event_fence                              2  process_fence
//!   3  read the woven advice and `table`        3  read the `epoch` of every slot
//!   4  run the advice, add rows                 4  where it is odd, wait until it changes
//!   5  epoch += 1, now even (release)           5  free the old advice, or take the old table (acquire)
//! ```
//!
//! Each side writes, fences, and then reads what the other side writes. So at least one of them sees the other's
//! write: either the event reads the new pointer in step 3, or the waiter reads the odd epoch and waits. Release
//! and acquire in the last step hand over what the event wrote. [`fence`] makes step 2 free of cost for events.
//!
//! Only the owning thread writes `epoch`, so a load and a store are enough: an event executes no locked
//! read-modify-write instruction, which would cost it some 20 cycles, twice. The epoch counts, instead of being a
//! flag, so that a waiter which finds a busy thread inside a *later* event knows that the one it waits for has
//! ended.
//!
//! The tables are **double-buffered**, so that events never wait for a drain:
//!
//! ```text
//!   before     table ──▶ tables[0]   events add here
//!                        tables[1]   empty
//!   swap                 tables[0]   an event that began before may still add: wait for it, then take the rows
//!              table ──▶ tables[1]   events add here
//! ```
//!
//! A field expression may run for longer than a drain is willing to wait. Then the drain notes the epoch in `late`
//! and leaves the thread with the table that it has, and the rows behind the event come with a later drain.
//!
//! Slots are never freed. A thread claims one at its first woven event; when the thread has ended, and a drain has
//! taken both of its tables, the slot goes to the next new thread. So there are as many slots as there ever were
//! threads at once, and a reference to a slot is always valid.

use crate::report::fence;
use crate::report::thread_table::ThreadTable;
use std::cell::{Cell, UnsafeCell};
use std::marker::PhantomData;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long draining and weaving wait for one event to end: far longer than a busy machine keeps a thread from
/// running. An event that takes longer is waited for once, and from then on delays only its own rows.
const PATIENCE: Duration = Duration::from_secs(2);

/// The state of one thread, written by that thread and read by whoever weaves or drains.
///
/// The alignment keeps two threads from writing to one cache line, or to the neighbour that processors fetch along
/// with it.
#[repr(align(128))]
pub(crate) struct ThreadSlot {
    /// Counts entries and exits: odd while the thread is inside an event. Written by the thread alone.
    epoch: AtomicUsize,
    /// The table that events add to. Written by the drain alone.
    table: AtomicPtr<ThreadTable>,
    /// How many events go by until one is timed. Written by the thread alone.
    until_timed: AtomicU32,
    /// The table that events add to, and the one that a drain takes.
    tables: [UnsafeCell<ThreadTable>; 2],
    /// Whether the thread has ended: nobody adds to its tables until the slot is handed on.
    ended: AtomicBool,
    /// How many events were skipped because a field expression of another event hit them.
    skipped: AtomicUsize,
    /// One more than the epoch of the event for which a drain ran out of patience; 0 if there is none. Written by
    /// the drain alone.
    late: AtomicUsize,
}

// SAFETY: the tables are the only part that is not atomic. The one that `table` points to is touched
// by the owning thread alone, between its two writes of `epoch`; the other one by the holder of
// `DRAINING` alone, after it has seen the thread outside since it swapped `table`.
unsafe impl Sync for ThreadSlot {}

/// The reason why a thread has no slot.
#[derive(Clone, Copy)]
enum SlotRefusal {
    /// The thread has hit no woven tracepoint yet; it gets a slot at the first one.
    New,
    /// The thread is ending, and its thread-local destructors run.
    Gone,
    /// The thread works for the agent, whose own events are not observed, or runs in a forked child.
    Exempt,
}

thread_local! {
    // The slot lies in a cell without a destructor, so that the hot path need not ask whether it was destroyed. The
    // guard has the destructor instead; it is touched once, when the slot is claimed.
    static SLOT: Cell<Option<&'static ThreadSlot>> = const { Cell::new(None) };
    static NO_SLOT: Cell<SlotRefusal> = const { Cell::new(SlotRefusal::New) };
    /// Whether the thread works for the agent, in this process or the one that it was forked from.
    static IS_AGENTS: Cell<bool> = const { Cell::new(false) };
    static SLOT_GUARD: ThreadEndMarker = const { ThreadEndMarker };
}

/// Marks the thread's slot as ended when the thread ends.
struct ThreadEndMarker;

impl Drop for ThreadEndMarker {
    fn drop(&mut self) {
        NO_SLOT.set(SlotRefusal::Gone);
        if let Some(slot) = SLOT.take() {
            slot.ended.store(true, Ordering::Release);
        }
    }
}

/// The slots of all threads.
struct SlotRegistry {
    /// Slots of threads that live, or have ended since the last drain.
    all: Vec<&'static ThreadSlot>,
    /// Slots to be handed to new threads; their tables are empty.
    free: Vec<&'static ThreadSlot>,
}

static SLOTS: Mutex<SlotRegistry> = Mutex::new(SlotRegistry { all: Vec::new(), free: Vec::new() });

/// Held while tables are taken, so that one drain at a time owns the inactive tables.
static DRAINING: Mutex<()> = Mutex::new(());

/// Whether this process was forked from one that had an agent: then no thread gets a slot any more.
static CLOSED: AtomicBool = AtomicBool::new(false);

/// Returns whether this process was forked from one that had an agent, so that no thread gets a slot any more.
pub(crate) fn is_closed() -> bool {
    CLOSED.load(Ordering::Relaxed)
}

/// How many events were skipped in threads without a slot, because they were ending.
static SKIPPED: AtomicUsize = AtomicUsize::new(0);

/// Locks the registry of slots.
fn slots() -> std::sync::MutexGuard<'static, SlotRegistry> {
    SLOTS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Marks this thread as inside an event until it is dropped. There is at most one per thread.
pub(crate) struct EventGuard {
    slot: &'static ThreadSlot,
    // Not `Send`: only the owning thread may write to its slot.
    thread: PhantomData<*const ()>,
}

impl EventGuard {
    /// Marks this thread as inside an event. Returns `None`, and counts the event as skipped, if the thread is
    /// inside one already or is ending; `None` alone if the thread takes no events.
    #[inline(always)]
    pub(crate) fn enter() -> Option<EventGuard> {
        let slot = match SLOT.get() {
            Some(slot) => slot,
            None => claim_slot()?,
        };

        // Inside already: a field expression has hit a tracepoint. Its advice would borrow the table a second time.
        let epoch = slot.epoch.load(Ordering::Relaxed);
        if epoch % 2 == 1 {
            return skipped_at(&slot.skipped);
        }

        // The mark comes before anything that weaving or draining may take away is read.
        slot.epoch.store(epoch.wrapping_add(1), Ordering::Relaxed);
        fence::event_fence();
        Some(EventGuard { slot, thread: PhantomData })
    }

    /// Returns the table that this event adds to, and a proof that the thread is inside an event.
    #[inline(always)]
    pub(crate) fn table_and_proof(&mut self) -> (&mut ThreadTable, ReadGuard<'_>) {
        // SAFETY: this thread is inside, and `table` was read after it was marked so: a drain that has
        // swapped `table` since then waits for the mark to go. It points to one of the slot's tables. There
        // is one `EventGuard` in a thread, and it is borrowed for as long as the table is.
        let table = unsafe { &mut *self.slot.table.load(Ordering::Acquire) };
        (table, ReadGuard(PhantomData))
    }

    /// Returns whether this event is to be timed. Otherwise counts it as one of those that are left out.
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

/// A proof that this thread is inside an event: what is read with it stays valid for `'a`.
#[derive(Clone, Copy)]
pub(crate) struct ReadGuard<'a>(PhantomData<(&'a (), *const ())>);

impl Drop for EventGuard {
    #[inline(always)]
    fn drop(&mut self) {
        let epoch = self.slot.epoch.load(Ordering::Relaxed);
        self.slot.epoch.store(epoch.wrapping_add(1), Ordering::Release);
    }
}

/// Counts a skipped event. Returns `None`, so that the hot path can return the call.
#[cold]
fn skipped_at<T>(count: &AtomicUsize) -> Option<T> {
    count.fetch_add(1, Ordering::Relaxed);
    None
}

/// Gives this thread a slot. Returns `None` if it may have none, and counts the event if the thread is ending.
#[cold]
#[inline(never)]
fn claim_slot() -> Option<&'static ThreadSlot> {
    match NO_SLOT.get() {
        SlotRefusal::New if is_closed() => {
            NO_SLOT.set(SlotRefusal::Exempt);
            return None;
        }
        SlotRefusal::New => {}
        SlotRefusal::Gone => return skipped_at(&SKIPPED),
        SlotRefusal::Exempt => return None,
    }

    // Touching the guard registers its destructor. That fails while the thread's other destructors run: a slot
    // claimed then would never be marked as ended.
    if SLOT_GUARD.try_with(|_| ()).is_err() {
        NO_SLOT.set(SlotRefusal::Gone);
        return skipped_at(&SKIPPED);
    }

    let mut slots = slots();
    let slot = slots.free.pop().unwrap_or_else(new_slot);
    slot.until_timed.store(0, Ordering::Relaxed);
    slot.ended.store(false, Ordering::Release);

    // Registered before the first event can use it, or a drain and a weaver would not wait for that event.
    slots.all.push(slot);
    SLOT.set(Some(slot));
    Some(slot)
}

/// Makes a slot that lives as long as the program.
fn new_slot() -> &'static ThreadSlot {
    let slot: &'static ThreadSlot = Box::leak(Box::new(ThreadSlot {
        epoch: AtomicUsize::new(0),
        table: AtomicPtr::default(),
        until_timed: AtomicU32::new(0),
        tables: Default::default(),
        ended: AtomicBool::new(false),
        skipped: AtomicUsize::new(0),
        late: AtomicUsize::new(0),
    }));

    // It points into the slot itself, whose address is known only now.
    slot.table.store(slot.tables[0].get(), Ordering::Release);
    slot
}

/// Leaves the next `events` events of this thread untimed, for counts of instructions: under an emulator every
/// event takes long, so that all of them would be timed.
pub fn leave_untimed(events: u32) {
    if let Some(slot) = SLOT.get().or_else(claim_slot) {
        slot.until_timed.store(events, Ordering::Relaxed);
    }
}

/// Exempts this thread, which works for the agent: tracepoints that it hits run no advice. Without effect if the
/// thread has hit a woven tracepoint already.
pub fn exempt_this_thread() {
    IS_AGENTS.set(true);
    if SLOT.get().is_none() && matches!(NO_SLOT.get(), SlotRefusal::New) {
        NO_SLOT.set(SlotRefusal::Exempt);
    }
}

/// Marks a `tracing` subscriber that drops all that the agent's own threads trace: it returns a reference to this type when
/// it is asked to downcast to it.
#[derive(Debug)]
pub struct EndsAgentEvents;

/// Returns whether this thread works for the agent, so that what it logs is kept out of the application's log.
#[inline]
pub fn is_agents_thread() -> bool {
    IS_AGENTS.get()
}

/// Gives no thread a slot from now on, and takes this thread's slot away. Neither locks nor allocates, because it
/// runs in a child that was just forked.
#[cfg(target_os = "linux")]
pub(crate) fn close() {
    CLOSED.store(true, Ordering::Relaxed);
    SLOT.set(None);
    NO_SLOT.set(SlotRefusal::Exempt);
}

/// Returns whether a woven tracepoint that this thread hits now would run its advice.
pub fn takes_events() -> bool {
    match SLOT.get() {
        Some(slot) => slot.epoch.load(Ordering::Relaxed).is_multiple_of(2),
        None => matches!(NO_SLOT.get(), SlotRefusal::New) && !is_closed(),
    }
}

/// Returns whether this thread is inside an event, as it is while it reads the fields of one.
pub fn is_inside_event() -> bool {
    // A thread that is ending has no slot any more, and is inside no event.
    SLOT.get().is_some_and(|slot| !slot.epoch.load(Ordering::Relaxed).is_multiple_of(2))
}

/// Returns how many events were skipped, because a field expression of another event hit them or because their
/// thread was ending.
pub fn skipped_events() -> u64 {
    let slots = slots();
    let in_slots: usize =
        slots.all.iter().chain(&slots.free).map(|slot| slot.skipped.load(Ordering::Relaxed)).sum();
    (in_slots + SKIPPED.load(Ordering::Relaxed)) as u64
}

/// Waits until every event that may have read what the caller replaced has ended: a grace period, in the words of
/// RCU. Returns false if an event went on for too long; then what was replaced must be kept.
pub(crate) fn quiesce() -> bool {
    // Cloned, so that threads can claim slots meanwhile. A thread that claims one later reads what is new.
    let all = slots().all.clone();
    fence::process_fence();

    let deadline = Instant::now() + PATIENCE;
    all.into_iter().all(|slot| wait_until_outside(slot, deadline).is_ok())
}

/// Passes the rows that each thread has gathered to `each`. What events add from now on is for the next drain.
pub(crate) fn drain_tables(mut each: impl FnMut(ThreadTable)) {
    let _serial = DRAINING.lock().unwrap_or_else(PoisonError::into_inner);
    let all = slots().all.clone();

    // Read before the tables are swapped: a thread that ends later has added to both, and is left to the next
    // drain.
    let ended: Vec<bool> = all.iter().map(|slot| slot.ended.load(Ordering::Acquire)).collect();

    // Tables that earlier drains left behind, before the swap makes them the active ones.
    for slot in &all {
        if late_event_ended(slot) {
            each(take_inactive(slot));
        }
    }

    // All threads are swapped before the first wait, so one fence and one wait serve them all.
    for slot in &all {
        swap_tables(slot);
    }
    fence::process_fence();

    let deadline = Instant::now() + PATIENCE;
    for (slot, ended) in all.into_iter().zip(ended) {
        if slot.late.load(Ordering::Relaxed) != 0 {
            continue;
        }

        // The event may add to the inactive table for as long as it goes on: nobody touches that before.
        if let Err(epoch) = wait_until_outside(slot, deadline) {
            slot.late.store(epoch.wrapping_add(1), Ordering::Relaxed);
            continue;
        }
        each(take_inactive(slot));

        // Nobody adds to either table any more. Both must be empty before another thread gets the slot.
        if ended {
            swap_tables(slot);
            each(take_inactive(slot));
            release_slot(slot);
        }
    }
}

/// Returns whether an event that was late for an earlier drain has ended since, and forgets it if so.
fn late_event_ended(slot: &ThreadSlot) -> bool {
    let late = slot.late.load(Ordering::Relaxed);
    let has_ended = late != 0 && slot.epoch.load(Ordering::Acquire) != late.wrapping_sub(1);
    if has_ended {
        slot.late.store(0, Ordering::Relaxed);
    }
    has_ended
}

/// Points a thread to its other table, unless a late event may still add to that one.
fn swap_tables(slot: &ThreadSlot) {
    if slot.late.load(Ordering::Relaxed) == 0 {
        slot.table.store(inactive_table(slot), Ordering::Release);
    }
}

/// Waits until the event that the thread is in, if any, has ended. Fails with the epoch of an event that goes on
/// for too long.
fn wait_until_outside(slot: &ThreadSlot, deadline: Instant) -> Result<(), usize> {
    let epoch = slot.epoch.load(Ordering::Acquire);
    if epoch % 2 == 1 && slot.late.load(Ordering::Relaxed) == epoch.wrapping_add(1) {
        // An earlier drain has waited for this event in vain.
        return Err(epoch);
    }

    // The epoch only has to change: a thread that is inside again is inside another event, which began later. Most
    // events take less than a microsecond; a thread that was descheduled inside one takes far longer.
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

/// Returns the table that the thread's new events do not add to.
fn inactive_table(slot: &ThreadSlot) -> *mut ThreadTable {
    let [one, two] = slot.tables.each_ref().map(UnsafeCell::get);
    if slot.table.load(Ordering::Relaxed) == one { two } else { one }
}

/// Takes the rows of the inactive table, and leaves it empty.
fn take_inactive(slot: &ThreadSlot) -> ThreadTable {
    // SAFETY: `DRAINING` is held, and the thread has been outside an event since it was pointed to the other table,
    // or has ended; see `Sync`.
    std::mem::take(unsafe { &mut *inactive_table(slot) })
}

/// Makes the slot of an ended thread free for a new one.
fn release_slot(slot: &'static ThreadSlot) {
    let mut slots = slots();
    slots.all.retain(|other| !std::ptr::eq(*other, slot));
    slots.free.push(slot);
}
