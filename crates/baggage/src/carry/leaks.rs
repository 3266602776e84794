//! The leak detector: where in the code baggage gets lost.
//!
//! It is a debug mode. While it is on, every branch remembers the place in the code that made it, and the
//! places where something went wrong are counted, the first thousand of them, and written to stderr: each the
//! first time, the tenth, the hundredth and so on, and at most ten lines in a second. While it is off, it costs
//! one relaxed load at a fork.

use pivot_advice::held_back_remark;
use std::collections::BTreeMap;
use std::fmt;
use std::io::Write;
use std::panic::Location;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// The most places that are kept.
const MAX_PLACES: usize = 1000;

static WATCHING: AtomicBool = AtomicBool::new(false);
static FOUND: Mutex<BTreeMap<LeakKey, u64>> = Mutex::new(BTreeMap::new());

/// Returns the name of the span that a thread is in.
static SPAN_NAMER: OnceLock<fn() -> Option<&'static str>> = OnceLock::new();

/// The most lines that are written in a second.
const MAX_LINES: u32 = 10;

/// The lines of this second: when it began, and how many there were.
static LINES: Mutex<Option<(Instant, u32)>> = Mutex::new(None);

/// A kind of leak and the place in the code, by which leaks are counted.
type LeakKey = (LeakKind, String);

/// The ways in which baggage gets lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum LeakKind {
    /// A branch that was made here ended without being joined, sent or detached: what it packed is
    /// lost, and its request cannot fold any more.
    Dropped,
    /// The baggage of one request was joined into another one here.
    Crossed,
    /// An event here found no request, though it had something to pack or to unpack.
    Outside,
    /// A message went without baggage, because it must not leave to that host.
    HeldBack,
    /// A reply came without baggage, from a peer that returns it otherwise.
    Unreturned,
}

/// One place where baggage was lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leak {
    /// How baggage was lost.
    pub kind: LeakKind,
    /// The place in the code, `file:line:column`; the name of the tracepoint, its place, and the thread and span of the
    /// event; or what is to be known of the peer.
    pub place: String,
    /// How often it happened.
    pub times: u64,
}

impl fmt::Display for Leak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Leak { kind, place, times } = self;
        let what = match kind {
            LeakKind::Dropped => "a branch ended without being joined, sent or detached; it was made at",
            LeakKind::Crossed => "the baggage of another request was joined at",
            LeakKind::Outside => "no request at an event that needs one,",
            LeakKind::HeldBack => "baggage that was held back",
            LeakKind::Unreturned => "a reply without baggage",
        };
        let times = if *times == 1 { String::new() } else { format!(" ({times} times)") };
        write!(f, "pivot: baggage got lost: {what} {place}{times}")
    }
}

/// Turns the leak detector on or off.
pub fn watch(watching: bool) {
    WATCHING.store(watching, Relaxed);
}

/// Whether the leak detector is on.
pub fn is_watching() -> bool {
    WATCHING.load(Relaxed)
}

/// Returns the leaks found since the last call, in the order of kinds and places.
pub fn leaks() -> Vec<Leak> {
    let found = std::mem::take(&mut *FOUND.lock().unwrap_or_else(PoisonError::into_inner));
    found.into_iter().map(|((kind, place), times)| Leak { kind, place, times }).collect()
}

/// Sets what returns the name of the span that this thread is in, for the places of events outside any request.
pub fn set_span_namer(namer: fn() -> Option<&'static str>) {
    // Whoever was first knows the spans of the whole process.
    let _ = SPAN_NAMER.set(namer);
}

/// Returns the name of the span that this thread is in, or `None` if it is in none, or nobody knows spans.
pub fn current_span() -> Option<&'static str> {
    SPAN_NAMER.get().and_then(|namer| namer())
}

/// Notes an event that ran outside any request, and had something to pack or to unpack: where it is, and in which
/// thread and span, of those that have names.
pub fn outside(tracepoint: &str, file: &str, line: u32) {
    if !is_watching() {
        return;
    }

    let mut place = format!("{tracepoint} at {file}:{line}");
    if let Some(thread) = std::thread::current().name() {
        place.push_str(&format!(", thread {thread}"));
    }
    if let Some(span) = current_span() {
        place.push_str(&format!(", span {span}"));
    }
    note(LeakKind::Outside, place);
}

/// Notes a message that went without baggage.
pub(crate) fn held_back(host: &str) {
    if is_watching() {
        note(LeakKind::HeldBack, held_back_remark(host));
    }
}

/// Notes a reply that came without the baggage that its peer returns otherwise.
pub(crate) fn unreturned(peer: &str) {
    if is_watching() {
        note(
            LeakKind::Unreturned,
            format!("a reply of {peer} lost its baggage: something removes our header"),
        );
    }
}

/// Returns the place in the code that makes a branch, if the detector is on.
#[track_caller]
pub(crate) fn origin() -> Option<&'static Location<'static>> {
    if is_watching() { Some(Location::caller()) } else { None }
}

/// Notes a branch that ended without being joined, sent or detached.
#[cold]
pub(crate) fn dropped(origin: &Location<'_>) {
    note(LeakKind::Dropped, origin.to_string());
}

/// Notes a branch of another request that was joined.
#[track_caller]
pub(crate) fn crossed() {
    if is_watching() {
        note(LeakKind::Crossed, Location::caller().to_string());
    }
}

fn note(kind: LeakKind, place: String) {
    let mut found = FOUND.lock().unwrap_or_else(PoisonError::into_inner);
    if found.len() >= MAX_PLACES && !found.contains_key(&(kind, place.clone())) {
        return;
    }
    let count = found.entry((kind, place.clone())).or_default();
    *count += 1;
    let times = *count;
    drop(found);

    let is_power_of_ten = 10_u64.pow(times.ilog10()) == times;
    if is_power_of_ten && may_write_line() {
        // Whoever has closed stderr reads the counts.
        let _ = writeln!(std::io::stderr().lock(), "{}", Leak { kind, place, times });
    }
}

/// Whether this second has room for another line, which is counted.
fn may_write_line() -> bool {
    let mut lines = LINES.lock().unwrap_or_else(PoisonError::into_inner);

    match &mut *lines {
        Some((begun, written)) if begun.elapsed() < Duration::from_secs(1) => {
            *written = written.saturating_add(1);
            *written <= MAX_LINES
        }
        second => {
            *second = Some((Instant::now(), 1));
            true
        }
    }
}
