//! Counts of what the baggage of this process has lost, by cause. Nothing is lost silently.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counts of lost baggage since the process began, by cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Losses {
    /// Baggage refused by a join because a copy of it had been joined before.
    pub duplicate: u64,
    /// Baggage refused by a join because it belongs to another request, or had been detached.
    pub foreign: u64,
    /// Bags dropped because another bag of the same key had another shape.
    pub mismatched: u64,
    /// Groups and temporal bags left behind, because baggage would have been too long to travel.
    pub overflowed: u64,
    /// Encoded baggage that could not be read.
    pub malformed: u64,
    /// Packs, unpacks and joins outside any request.
    pub outside: u64,
    /// Messages that went without baggage, because it must not leave to that peer.
    pub withheld: u64,
    /// Encoded baggage that was refused because it does not carry the right signature.
    pub unsigned: u64,
}

/// The count of one cause.
#[derive(Debug)]
pub(crate) struct LossCounter(AtomicU64);

impl LossCounter {
    const fn new() -> LossCounter {
        LossCounter(AtomicU64::new(0))
    }

    fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }

    #[cold]
    pub(crate) fn add(&self, count: u64) {
        self.0.fetch_add(count, Relaxed);
    }
}

pub(crate) static DUPLICATE: LossCounter = LossCounter::new();
pub(crate) static FOREIGN: LossCounter = LossCounter::new();
pub(crate) static MISMATCHED: LossCounter = LossCounter::new();
pub(crate) static OVERFLOWED: LossCounter = LossCounter::new();
pub(crate) static MALFORMED: LossCounter = LossCounter::new();
pub(crate) static OUTSIDE: LossCounter = LossCounter::new();
pub(crate) static WITHHELD: LossCounter = LossCounter::new();
static UNSIGNED: LossCounter = LossCounter::new();

/// Counts encoded baggage that does not carry the right signature.
pub fn note_unsigned() {
    UNSIGNED.add(1);
}

/// Counts encoded baggage that could not be read on its way to [`crate::Baggage::decode`].
pub fn note_malformed() {
    MALFORMED.add(1);
}

/// Counts bags that were lost because their shapes did not fit.
pub(crate) fn note_mismatches(mismatches: u64) {
    if mismatches > 0 {
        MISMATCHED.add(mismatches);
    }
}

/// Returns what was lost so far in this process.
pub fn losses() -> Losses {
    Losses {
        duplicate: DUPLICATE.get(),
        foreign: FOREIGN.get(),
        mismatched: MISMATCHED.get(),
        overflowed: OVERFLOWED.get(),
        malformed: MALFORMED.get(),
        outside: OUTSIDE.get(),
        withheld: WITHHELD.get(),
        unsigned: UNSIGNED.get(),
    }
}
