//! [`SpanTable`]: finds spans by their ids.
//!
//! Threads enter and leave spans all the time, and few of these are here. Whether one may be is said by counters of all
//! ids that hash alike, which are read without a lock; this is a counting Bloom filter of one hash function.
//!
//! ```text
//! enter ─▶ counts[hash of the id] ─ 0 ─▶ nobody waits for it, and it leads nowhere
//!                    └─ else ─▶ shard: spans by id      behind one of 16 locks
//!                                      aliases by id
//! ```

use crate::span::tracked_span::TrackedSpan;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

const SHARDS: usize = 16;
const BUCKETS: usize = 1024;

/// Spans that somebody waits for, and spans of the application that lead to a carrier.
#[derive(Debug)]
pub(crate) struct SpanTable {
    shards: [Mutex<SpanShard>; SHARDS],
    counts: Box<[SpanCounts; BUCKETS]>,
}

/// How many spans there are whose ids have one hash.
#[derive(Debug, Default)]
struct SpanCounts {
    all: AtomicU32,
    /// Those that matter to a thread that enters them from within a request.
    inside: AtomicU32,
    /// Those that take the time that threads are inside.
    timed: AtomicU32,
    aliases: AtomicU32,
}

impl SpanCounts {
    /// Counts a span that is about to be added. It is counted before it is there, so that whoever finds a count of
    /// zero has missed nothing.
    fn add(&self, span: &TrackedSpan) {
        self.all.fetch_add(1, Ordering::Relaxed);
        self.inside.fetch_add(span.matters_inside().into(), Ordering::Relaxed);
        self.timed.fetch_add(span.is_timed().into(), Ordering::Relaxed);
    }

    fn remove(&self, span: &TrackedSpan) {
        self.all.fetch_sub(1, Ordering::Relaxed);
        self.inside.fetch_sub(span.matters_inside().into(), Ordering::Relaxed);
        self.timed.fetch_sub(span.is_timed().into(), Ordering::Relaxed);
    }
}

/// The spans behind one lock.
#[derive(Debug, Default)]
struct SpanShard {
    spans: HashMap<u64, TrackedSpan, SpreadsIds>,
    /// Spans that were handed on inside a carrier, with the carrier; `None` for those that were handed on inside
    /// several.
    aliases: HashMap<u64, Option<u64>, SpreadsIds>,
}

/// Returns the hash of an id, by Fibonacci hashing: ids count upwards, and the upper bits of the product are the well
/// mixed ones.
fn hash(id: u64) -> u64 {
    id.wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// Returns the number of an id's counters.
fn bucket(id: u64) -> usize {
    (hash(id) >> (u64::BITS - BUCKETS.trailing_zeros())) as usize
}

/// Hashes ids of spans, which nobody chooses who could want them to collide.
#[derive(Debug, Default)]
struct IdHasher(u64);

type SpreadsIds = BuildHasherDefault<IdHasher>;

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(self.0 ^ u64::from(*byte)));
    }

    fn write_u64(&mut self, id: u64) {
        // Tables find the place by the lower bits, which ids of one shard must not have in common.
        self.0 = hash(id).rotate_left(32);
    }
}

impl SpanTable {
    /// Returns an empty table.
    pub(crate) fn new() -> SpanTable {
        let counts = Box::new(std::array::from_fn(|_| SpanCounts::default()));
        SpanTable { shards: Default::default(), counts }
    }

    fn lock(&self, bucket: usize) -> MutexGuard<'_, SpanShard> {
        self.shards[bucket % SHARDS].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns whether a span may matter to a thread that enters it from within a request.
    #[inline]
    pub(crate) fn may_matter_inside(&self, id: u64) -> bool {
        self.counts[bucket(id)].inside.load(Ordering::Relaxed) > 0
    }

    /// Returns whether a span may take the time that threads are inside.
    #[inline]
    pub(crate) fn may_be_timed(&self, id: u64) -> bool {
        self.counts[bucket(id)].timed.load(Ordering::Relaxed) > 0
    }

    /// Runs with a span; `None` if nobody waits for it.
    pub(crate) fn with_span<R>(&self, id: u64, f: impl FnOnce(&mut TrackedSpan) -> R) -> Option<R> {
        self.with_counted(id, |counts| &counts.all, f)
    }

    /// Runs with a span; `None` if nobody waits for it, or it does not matter to a thread that enters it from within a
    /// request.
    pub(crate) fn with_span_inside<R>(&self, id: u64, f: impl FnOnce(&mut TrackedSpan) -> R) -> Option<R> {
        self.with_counted(id, |counts| &counts.inside, f)
    }

    /// Runs with a span; `None` if it does not take the time that threads are inside.
    pub(crate) fn with_timed<R>(&self, id: u64, f: impl FnOnce(&mut TrackedSpan) -> R) -> Option<R> {
        self.with_counted(id, |counts| &counts.timed, f)
    }

    /// Runs with a span unless there certainly is none: whoever has the id of an open span got it after the span was
    /// counted.
    #[inline(always)]
    fn with_counted<R>(
        &self,
        id: u64,
        count: impl FnOnce(&SpanCounts) -> &AtomicU32,
        f: impl FnOnce(&mut TrackedSpan) -> R,
    ) -> Option<R> {
        let bucket = bucket(id);
        if count(&self.counts[bucket]).load(Ordering::Relaxed) == 0 {
            return None;
        }
        self.lock(bucket).spans.get_mut(&id).map(f)
    }

    /// Adds a span.
    pub(crate) fn insert(&self, id: u64, span: TrackedSpan) {
        let bucket = bucket(id);
        self.counts[bucket].add(&span);
        let replaced = self.lock(bucket).spans.insert(id, span);
        replaced.iter().for_each(|span| self.counts[bucket].remove(span));
    }

    /// Removes a span, and where it led to. Returns it if somebody waits for it.
    pub(crate) fn remove(&self, id: u64) -> Option<TrackedSpan> {
        let bucket = bucket(id);
        let counts = &self.counts[bucket];

        if counts.aliases.load(Ordering::Relaxed) > 0 && self.lock(bucket).aliases.remove(&id).is_some() {
            counts.aliases.fetch_sub(1, Ordering::Relaxed);
        }
        if counts.all.load(Ordering::Relaxed) == 0 {
            return None;
        }

        let span = self.lock(bucket).spans.remove(&id);
        span.iter().for_each(|span| counts.remove(span));
        span
    }

    /// Notes that a span leads to a carrier. If it leads to another one already, it leads nowhere from now on. Returns
    /// whether it leads to the carrier.
    pub(crate) fn add_alias(&self, id: u64, carrier: u64) -> bool {
        let bucket = bucket(id);
        let mut shard = self.lock(bucket);
        let known = shard.aliases.entry(id).or_insert_with(|| {
            self.counts[bucket].aliases.fetch_add(1, Ordering::Relaxed);
            Some(carrier)
        });
        if *known != Some(carrier) {
            *known = None;
        }
        known.is_some()
    }

    /// Returns the carrier that a span leads to.
    pub(crate) fn alias(&self, id: u64) -> Option<u64> {
        let bucket = bucket(id);
        if self.counts[bucket].aliases.load(Ordering::Relaxed) == 0 {
            return None;
        }
        *self.lock(bucket).aliases.get(&id)?
    }
}
