//! A thread's place in the agent: whether it is inside an event, and the tables that it adds to.
//!
//! The thread writes plainly, without locks and without read-modify-write. Whoever drains turns the
//! thread to its other table, and takes the one before once the thread has been seen outside: the same
//! wait that lets woven advice be freed. Places are never freed but handed to later threads.

use crate::report::fence;
use crate::report::thread_table::Table;
use std::cell::{Cell, UnsafeCell};
use std::marker::PhantomData;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long draining and weaving wait for one event to end: far longer than a busy machine keeps a
/// thread from running. An event whose field expressions take longer is waited for once, and from then
/// on delays only itself: its rows come with the drain after its end.
const PATIENCE: Duration = Duration::from_secs(2);

/// A place. No two threads write to one cache line, nor to the one that is fetched along with it.
#[repr(align(128))]
pub(crate) struct Place {
    /// Odd while the thread is inside an event. Written by the thread alone.
    turn: AtomicUsize,
    /// The table that events add to. Written by the drain alone.
    table: AtomicPtr<Table>,
    /// Events until one is measured. Written by the thread alone.
    left: AtomicU32,
    tables: [UnsafeCell<Table>; 2],
    /// The thread has ended; nobody will write here until the place is handed on.
    ended: AtomicBool,
    /// Events that a field expression of another event hit.
    skipped: AtomicUsize,
    /// The turn in which the thread was seen when a drain ran out of patience, plus one.
    late: AtomicUsize,
}

// SAFETY: the tables are the only part that is not atomic. The one that `table` points to is touched
// by the owning thread alone, between its two writes of `turn`; the other one by the holder of
// `DRAINING` alone, after it has seen the thread outside since it turned `table`.
unsafe impl Sync for Place {}

/// What a thread is that has no place.
#[derive(Clone, Copy)]
enum Without {
    /// It has hit no tracepoint yet.
    New,
    /// Its destructors run.
    Gone,
    /// It belongs to the agent, whose own events are nobody's.
    Exempt,
}

thread_local! {
    static HERE: Cell<Option<&'static Place>> = const { Cell::new(None) };
    static WITHOUT: Cell<Without> = const { Cell::new(Without::New) };
    static LEAVES: Leaves = const { Leaves };
}

/// Gives the place back when the thread ends.
struct Leaves;

impl Drop for Leaves {
    fn drop(&mut self) {
        WITHOUT.set(Without::Gone);
        if let Some(place) = HERE.take() {
            place.ended.store(true, Ordering::Release);
        }
    }
}

struct Places {
    all: Vec<&'static Place>,
    free: Vec<&'static Place>,
}

static PLACES: Mutex<Places> = Mutex::new(Places { all: Vec::new(), free: Vec::new() });

/// Held while tables are taken.
static DRAINING: Mutex<()> = Mutex::new(());

/// Whether this process was forked from one that had an agent: then no thread gets a place any more.
static CLOSED: AtomicBool = AtomicBool::new(false);

/// Whether no thread gets a place any more.
pub(crate) fn is_closed() -> bool {
    CLOSED.load(Ordering::Relaxed)
}

/// Events that no place has counted, because their threads were ending.
static SKIPPED: AtomicUsize = AtomicUsize::new(0);

fn places() -> std::sync::MutexGuard<'static, Places> {
    PLACES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The thread is inside an event until this is dropped.
pub(crate) struct Inside {
    place: &'static Place,
    thread: PhantomData<*const ()>,
}

impl Inside {
    /// Enters. None, and counted, if the thread is inside already or ends.
    #[inline(always)]
    pub(crate) fn enter() -> Option<Inside> {
        let place = match HERE.get() {
            Some(place) => place,
            None => settle()?,
        };
        let turn = place.turn.load(Ordering::Relaxed);
        if turn % 2 == 1 {
            return skipped_at(&place.skipped);
        }
        place.turn.store(turn.wrapping_add(1), Ordering::Relaxed);
        fence::light();
        Some(Inside { place, thread: PhantomData })
    }

    /// The table that this event adds to, and the proof that it is inside.
    #[inline(always)]
    pub(crate) fn parts(&mut self) -> (&mut Table, Proof<'_>) {
        // SAFETY: this thread is inside, and `table` was read after it was marked so: a drain that has
        // turned `table` since then waits for the mark to go. It points to one of the place's tables. There
        // is one `Inside` in a thread, and it is borrowed for as long as the table is.
        let table = unsafe { &mut *self.place.table.load(Ordering::Acquire) };
        (table, Proof(PhantomData))
    }

    /// Whether this event is to be measured: one in many is. Counts it otherwise.
    #[inline(always)]
    pub(crate) fn is_timed(&self) -> bool {
        let left = self.place.left.load(Ordering::Relaxed);
        if left > 0 {
            self.place.left.store(left - 1, Ordering::Relaxed);
        }
        left == 0
    }

    /// Says how many events are not measured until the next one is.
    pub(crate) fn leave_out(&self, events: u32) {
        self.place.left.store(events, Ordering::Relaxed);
    }
}

/// While one of these lives, this thread is inside an event.
#[derive(Clone, Copy)]
pub(crate) struct Proof<'a>(PhantomData<(&'a (), *const ())>);

impl Drop for Inside {
    #[inline(always)]
    fn drop(&mut self) {
        let turn = self.place.turn.load(Ordering::Relaxed);
        self.place.turn.store(turn.wrapping_add(1), Ordering::Release);
    }
}

#[cold]
fn skipped_at<T>(count: &AtomicUsize) -> Option<T> {
    count.fetch_add(1, Ordering::Relaxed);
    None
}

/// Gives this thread a place, unless it may have none.
#[cold]
#[inline(never)]
fn settle() -> Option<&'static Place> {
    match WITHOUT.get() {
        Without::New if is_closed() => {
            WITHOUT.set(Without::Exempt);
            return None;
        }
        Without::New => {}
        Without::Gone => return skipped_at(&SKIPPED),
        Without::Exempt => return None,
    }
    if LEAVES.try_with(|_| ()).is_err() {
        WITHOUT.set(Without::Gone);
        return skipped_at(&SKIPPED);
    }
    let mut places = places();
    let place = places.free.pop().unwrap_or_else(|| {
        let place: &'static Place = Box::leak(Box::new(Place {
            turn: AtomicUsize::new(0),
            table: AtomicPtr::default(),
            left: AtomicU32::new(0),
            tables: Default::default(),
            ended: AtomicBool::new(false),
            skipped: AtomicUsize::new(0),
            late: AtomicUsize::new(0),
        }));
        place.table.store(place.tables[0].get(), Ordering::Release);
        place
    });
    place.left.store(0, Ordering::Relaxed);
    place.ended.store(false, Ordering::Release);
    places.all.push(place);
    HERE.set(Some(place));
    Some(place)
}

/// Says that this thread works for the agent: its events are no events.
pub fn exempt_this_thread() {
    if HERE.get().is_none() && matches!(WITHOUT.get(), Without::New) {
        WITHOUT.set(Without::Exempt);
    }
}

/// Gives no thread a place from now on, and takes this one out, whatever it was. Neither locks nor allocates.
#[cfg(target_os = "linux")]
pub(crate) fn close() {
    CLOSED.store(true, Ordering::Relaxed);
    HERE.set(None);
    WITHOUT.set(Without::Exempt);
}

/// Whether an event that hits a tracepoint on this thread now would run its advice.
pub fn takes_events() -> bool {
    match HERE.get() {
        Some(place) => place.turn.load(Ordering::Relaxed).is_multiple_of(2),
        None => matches!(WITHOUT.get(), Without::New) && !is_closed(),
    }
}

/// Events that were skipped, because a field expression of another event hit them or because their
/// thread was ending.
pub fn skipped() -> u64 {
    let here: usize = places().all.iter().map(|place| place.skipped.load(Ordering::Relaxed)).sum::<usize>();
    let freed: usize = places().free.iter().map(|place| place.skipped.load(Ordering::Relaxed)).sum::<usize>();
    (here + freed + SKIPPED.load(Ordering::Relaxed)) as u64
}

/// Waits until every event that may have seen what was changed before has ended. False if one went
/// on for too long; then what it may have seen must be kept.
pub(crate) fn quiesce() -> bool {
    let all = places().all.clone();
    fence::heavy();
    let deadline = Instant::now() + PATIENCE;
    all.into_iter().all(|place| left(place, deadline).is_ok())
}

/// Takes every thread's table. What events add from now on is for the next time.
pub(crate) fn take(mut each: impl FnMut(Table)) {
    let _serial = DRAINING.lock().unwrap_or_else(PoisonError::into_inner);
    let all = places().all.clone();
    // Before the tables are turned: a thread that ends later leaves its table to the next drain.
    let ended: Vec<bool> = all.iter().map(|place| place.ended.load(Ordering::Acquire)).collect();
    all.iter().filter(|place| came_late(place)).for_each(|place| each(take_other(place)));
    all.iter().for_each(|place| turn_over(place));
    fence::heavy();
    let deadline = Instant::now() + PATIENCE;
    for (place, ended) in all.into_iter().zip(ended) {
        if place.late.load(Ordering::Relaxed) != 0 {
            continue;
        }
        if let Err(turn) = left(place, deadline) {
            place.late.store(turn.wrapping_add(1), Ordering::Relaxed);
            continue;
        }
        each(take_other(place));
        if ended {
            turn_over(place);
            each(take_other(place));
            hand_on(place);
        }
    }
}

/// Whether the event has ended by now for which an earlier drain had left a table behind.
fn came_late(place: &Place) -> bool {
    let late = place.late.load(Ordering::Relaxed);
    let came = late != 0 && place.turn.load(Ordering::Acquire) != late.wrapping_sub(1);
    if came {
        place.late.store(0, Ordering::Relaxed);
    }
    came
}

/// Turns a thread to its other table, unless a table still waits behind an event that is late.
fn turn_over(place: &Place) {
    if place.late.load(Ordering::Relaxed) == 0 {
        place.table.store(other(place), Ordering::Release);
    }
}

/// Waits until the thread is outside the event that it was in, if it was in one. The turn of an event
/// that goes on for too long is an error.
fn left(place: &Place, deadline: Instant) -> Result<(), usize> {
    let turn = place.turn.load(Ordering::Acquire);
    if turn % 2 == 1 && place.late.load(Ordering::Relaxed) == turn.wrapping_add(1) {
        return Err(turn);
    }
    let mut spins = 0_u32;
    while turn % 2 == 1 && place.turn.load(Ordering::Acquire) == turn {
        if Instant::now() > deadline {
            return Err(turn);
        }
        spins += 1;
        if spins < 100 { std::hint::spin_loop() } else { std::thread::sleep(Duration::from_micros(50)) }
    }
    Ok(())
}

/// The table that the thread does not add to.
fn other(place: &Place) -> *mut Table {
    let [one, two] = place.tables.each_ref().map(UnsafeCell::get);
    if place.table.load(Ordering::Relaxed) == one { two } else { one }
}

/// Takes the table that the thread does not add to.
fn take_other(place: &Place) -> Table {
    // SAFETY: `DRAINING` is held, and the thread has been outside since it was turned to the other
    // table, or has ended; see `Sync`.
    std::mem::take(unsafe { &mut *other(place) })
}

fn hand_on(place: &'static Place) {
    let mut places = places();
    places.all.retain(|other| !std::ptr::eq(*other, place));
    places.free.push(place);
}
