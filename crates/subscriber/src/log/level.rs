//! Which records get to us at all: those up to `log::max_level()`.
//!
//! A record beyond that level costs the application one load. So the level is the application's own, but for two
//! reasons to raise it:
//!
//! | while | to | because |
//! |---|---|---|
//! | advice is woven at records of any target | the level of those that it may want | `log` has one level for all targets |
//! | a *burst* lasts | `Trace` | targets beyond the application's level have to become known |
//!
//! Advice without a condition on the level may want all of them.
//!
//! A burst begins when the logger is installed, when weaving has changed, and, while there is an agent, every
//! second. It ends with the first unwanted record that comes more than [`BURST_TIME`] after the burst's first, or
//! after [`BURST_RECORDS`]. So a program that logs little is seen whole, and one that logs much pays for little of
//! it, also if it works for its records.
//!
//! The application's own level is what it sets with `log::set_max_level`, before or after it installs the logger. As
//! long as it sets none, nobody can know what its logger wants, and the level stays `Trace`. (That it sets `Trace` later
//! cannot be seen while the level is raised to that.) A `tracing` subscriber
//! that gets the records says its level itself.

use crate::callsite::interest_rebuild;
use crate::log::targets;
use ::log::{Level, LevelFilter};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use std::time::{Duration, Instant};

/// The most unwanted records of one burst.
const BURST_RECORDS: u32 = 1_000;

/// How long a burst lasts from its first unwanted record.
const BURST_TIME: Duration = Duration::from_millis(5);

/// What decides about the level.
#[derive(Debug)]
struct LevelState {
    /// How many unwanted records the burst has left.
    left: u32,
    /// When the first unwanted record of the burst came.
    began: Option<Instant>,
    /// Whether the application has set another level, and `tracing` was not told yet.
    has_learned: bool,
}

static STATE: Mutex<LevelState> = Mutex::new(LevelState { left: 0, began: None, has_learned: false });

/// The application's own level, as its number.
static OWN: AtomicUsize = AtomicUsize::new(LevelFilter::Trace as usize);

/// The level that was set here last, as its number; beyond all before a logger was installed.
static SET: AtomicUsize = AtomicUsize::new(usize::MAX);

/// Whether a burst lasts.
static IN_BURST: AtomicBool = AtomicBool::new(false);

/// The number of the subscriber that gets the records, whose level is the application's.
static FOLLOWED: AtomicUsize = AtomicUsize::new(usize::MAX);

/// Returns the application's own level: its logger gets nothing beyond.
pub(crate) fn own() -> LevelFilter {
    level_of(OWN.load(Ordering::Relaxed))
}

/// Returns whether a record is within the application's own level.
pub(crate) fn is_within_own(level: Level) -> bool {
    level as usize <= OWN.load(Ordering::Relaxed) || is_set_by_application() && level <= learned()
}

/// Returns whether the level is not what was set here: then the application has set it.
fn is_set_by_application() -> bool {
    let set = SET.load(Ordering::Relaxed);
    set != usize::MAX && set != ::log::max_level() as usize
}

/// Takes over the level that the application has set, and returns its own.
#[cold]
fn learned() -> LevelFilter {
    state().learn();
    own()
}

/// Takes the level over after the logger was installed. An application that has not set a level wants every record,
/// as far as anybody knows.
pub(crate) fn begin() {
    static LISTEN: Once = Once::new();
    LISTEN.call_once(|| {
        pivot_agent::on_change(begin_burst);
        pivot_agent::on_govern(begin_burst);
    });

    let level = ::log::max_level();
    let own = if level == LevelFilter::Off { LevelFilter::Trace } else { level };
    OWN.store(own as usize, Ordering::Relaxed);
    SET.store(level as usize, Ordering::Relaxed);
    begin_burst();
}

/// Follows the level of the subscriber with this number from now on.
pub(crate) fn follow(subscriber: usize) {
    FOLLOWED.store(subscriber, Ordering::Relaxed);
}

/// Notes the level of a subscriber, which `tracing` has asked for.
pub(crate) fn note_hint(subscriber: usize, hint: Option<tracing_core::LevelFilter>) {
    static HINT: AtomicUsize = AtomicUsize::new(usize::MAX);
    let level = log_level(hint) as usize;
    if FOLLOWED.load(Ordering::Relaxed) == subscriber && HINT.swap(level, Ordering::Relaxed) != level {
        OWN.store(level, Ordering::Relaxed);
        state().apply();
    }
}

/// Notes that a record came that nobody wants.
pub(crate) fn note_unwanted() {
    if !IN_BURST.load(Ordering::Relaxed) {
        return;
    }
    // Whoever holds it is counting a record, too.
    let Ok(mut state) = STATE.try_lock() else { return };

    state.left = state.left.saturating_sub(1);
    let began = *state.began.get_or_insert_with(Instant::now);
    if state.left == 0 || began.elapsed() > BURST_TIME {
        IN_BURST.store(false, Ordering::Relaxed);
        state.learn();
        state.apply();
    }
}

/// Raises the level if advice was woven at records.
pub(crate) fn raise_if_woven() {
    state().apply();
}

/// Begins a burst, and learns whether the application has set another level.
fn begin_burst() {
    let mut state = state();
    state.learn();
    (state.left, state.began) = (BURST_RECORDS, None);
    IN_BURST.store(true, Ordering::Relaxed);
    state.apply();
    let has_learned = std::mem::take(&mut state.has_learned);
    drop(state);

    // `tracing` keeps what a subscriber has said that goes by this level.
    if has_learned {
        interest_rebuild::rebuild();
    }
}

fn state() -> MutexGuard<'static, LevelState> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

impl LevelState {
    /// Takes a level for the application's own that is not what was set here.
    fn learn(&mut self) {
        if is_set_by_application() {
            let level = ::log::max_level() as usize;
            OWN.store(level, Ordering::Relaxed);
            SET.store(level, Ordering::Relaxed);
            self.has_learned = true;
        }
    }

    /// Sets the level to what is needed now, once a logger was installed.
    fn apply(&mut self) {
        let set = SET.load(Ordering::Relaxed);
        let is_burst = IN_BURST.load(Ordering::Relaxed);
        let level = if is_burst { LevelFilter::Trace } else { own().max(targets::woven_level()) };
        if set != usize::MAX && set != level as usize {
            SET.store(level as usize, Ordering::Relaxed);
            ::log::set_max_level(level);
        }
    }
}

fn level_of(number: usize) -> LevelFilter {
    LevelFilter::iter().find(|level| *level as usize == number).unwrap_or(LevelFilter::Trace)
}

/// Returns the level of `log` for that of a subscriber, which wants everything if it names none.
fn log_level(hint: Option<tracing_core::LevelFilter>) -> LevelFilter {
    use tracing_core::LevelFilter as Hint;
    match hint {
        Some(Hint::OFF) => LevelFilter::Off,
        Some(Hint::ERROR) => LevelFilter::Error,
        Some(Hint::WARN) => LevelFilter::Warn,
        Some(Hint::INFO) => LevelFilter::Info,
        Some(Hint::DEBUG) => LevelFilter::Debug,
        _ => LevelFilter::Trace,
    }
}
