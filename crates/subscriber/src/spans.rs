//! Spans that are open: those that advice wants to see the end of, and those that carry a request.
//!
//! A span that the application's subscriber does not want gets an id of ours. `tracing-subscriber`'s
//! registry uses all 64 bits of an id, but the lower 38 are a place in memory: none reaches the range
//! that ours are taken from before there are 2^37 spans in one thread.

use crate::site::Site;
use crate::visit::Pick;
use pivot_advice::Value;
use pivot_agent::Export;
use pivot_baggage::{Baggage, current};
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tracing_core::span::{Attributes, Id, Record};

const OURS: u64 = 0b11 << 36;
const COUNTED: u64 = (1 << 36) - 1;
const SHARDS: usize = 16;

static NEXT: AtomicU64 = AtomicU64::new(0);

/// A new id of ours.
pub(crate) fn own_id() -> Id {
    Id::from_u64(OURS | (NEXT.fetch_add(1, Ordering::Relaxed) & COUNTED))
}

/// Whether an id is ours.
pub(crate) fn is_own(id: &Id) -> bool {
    id.into_u64() & !COUNTED == OURS
}

/// A span.
#[derive(Debug)]
pub(crate) struct Open {
    site: &'static Site,
    /// Values that the end observes, by the index of their field.
    values: Vec<(usize, Value)>,
    opened: Instant,
    entered: Option<Instant>,
    depth: u32,
    busy: Duration,
    /// Handles on it, if its id is ours; the application's subscriber counts its own.
    handles: usize,
    carried: Option<Carried>,
}

/// The request of a carrier.
#[derive(Debug)]
struct Carried {
    /// Its branch, or, while it is entered, what was current outside.
    baggage: Option<Baggage>,
    /// Whether it is a branch of a request that may still go on.
    forked: bool,
}

/// Whether a span carries a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Carrier {
    Yes,
    No,
}

/// All spans of one subscriber that somebody waits for.
#[derive(Debug, Default)]
pub(crate) struct Spans {
    count: AtomicUsize,
    shards: [Mutex<HashMap<u64, Open>>; SHARDS],
}

impl Spans {
    fn shard(&self, id: &Id) -> MutexGuard<'_, HashMap<u64, Open>> {
        let shard = id.into_u64().wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 60;
        self.shards[shard as usize % SHARDS].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// None, quickly, if nobody waits for any span.
    fn with<R>(&self, id: &Id, f: impl FnOnce(&mut Open) -> R) -> Option<R> {
        if self.count.load(Ordering::Relaxed) == 0 {
            return None;
        }
        self.shard(id).get_mut(&id.into_u64()).map(f)
    }

    pub(crate) fn open(&self, id: &Id, site: &'static Site, attributes: &Attributes<'_>, carrier: Carrier) {
        let observes = |index| site.exit.is_some_and(|exit| exit.observes(index));
        let indices = (0..site.metadata.fields().len()).filter(|index| observes(*index));
        let values = indices.map(|index| (index, evaluated(index, |pick| attributes.record(pick))));
        let carried = (carrier == Carrier::Yes).then(|| match current::fork() {
            Some(branch) => Carried { baggage: Some(branch), forked: true },
            None => Carried { baggage: Some(Baggage::new()), forked: false },
        });
        let open = Open {
            site,
            values: values.collect(),
            opened: Instant::now(),
            entered: None,
            depth: 0,
            busy: Duration::ZERO,
            handles: 1,
            carried,
        };
        self.count.fetch_add(1, Ordering::Relaxed);
        if self.shard(id).insert(id.into_u64(), open).is_some() {
            self.count.fetch_sub(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn record(&self, id: &Id, record: &Record<'_>) {
        self.with(id, |open| {
            for (index, value) in &mut open.values {
                let recorded = evaluated(*index, |pick| record.record(pick));
                if !recorded.is_null() {
                    *value = recorded;
                }
            }
        });
    }

    pub(crate) fn enter(&self, id: &Id) {
        self.with(id, |open| {
            open.depth += 1;
            if open.depth == 1 {
                open.entered = Some(Instant::now());
                open.swap();
            }
        });
    }

    pub(crate) fn exit(&self, id: &Id) {
        self.with(id, |open| {
            open.depth = open.depth.saturating_sub(1);
            if open.depth == 0
                && let Some(entered) = open.entered.take()
            {
                open.busy += entered.elapsed();
                open.swap();
            }
        });
    }

    /// One more handle on a span of ours.
    pub(crate) fn clone(&self, id: &Id) {
        self.with(id, |open| open.handles += 1);
    }

    /// One handle less on a span of ours; true if it was the last.
    pub(crate) fn release(&self, id: &Id) -> bool {
        self.with(id, |open| {
            open.handles = open.handles.saturating_sub(1);
            open.handles == 0
        })
        .unwrap_or(false)
    }

    /// The span is closed: its end is an event.
    pub(crate) fn close(&self, id: &Id) {
        if self.count.load(Ordering::Relaxed) == 0 {
            return;
        }
        let Some(open) = self.shard(id).remove(&id.into_u64()) else { return };
        self.count.fetch_sub(1, Ordering::Relaxed);
        open.end();
    }
}

impl Open {
    /// The thread's request for the span's, and back again.
    fn swap(&mut self) {
        if let Some(carried) = &mut self.carried {
            carried.baggage = current::attach(carried.baggage.take());
        }
    }

    fn end(mut self) {
        let carried = self.carried.take();
        let (forked, baggage) = carried.map_or((false, None), |carried| (carried.forked, carried.baggage));
        // The end belongs to the span's request.
        let outside = baggage.map(|baggage| current::attach(Some(baggage)));
        self.fire();
        if let Some(outside) = outside {
            let branch = current::attach(outside);
            if let Some(branch) = branch.filter(|_| forked && pivot_baggage::in_request()) {
                current::join(branch);
            }
        }
    }

    fn fire(&self) {
        let Some(exit) = self.site.exit.filter(|exit| exit.is_woven()) else { return };
        let elapsed = self.opened.elapsed();
        let own = self.site.metadata.fields().len();
        exit.fire(&|index| {
            if index < own {
                let found = self.values.iter().find(|(known, _)| *known == index);
                return found.map_or(Value::Null, |(_, value)| value.clone());
            }
            match exit.fields().get(index).map(|(name, _)| *name) {
                Some("level") => level(self.site),
                Some("elapsed") => elapsed.export(),
                Some("busy") => self.busy.export(),
                Some("idle") => elapsed.saturating_sub(self.busy).export(),
                _ => Value::Null,
            }
        });
    }
}

/// A value that is kept for the end of the span. Formatting is the application's code, and a panic in
/// it is kept from the application: then there is no value.
fn evaluated(index: usize, record: impl FnOnce(&mut Pick)) -> Value {
    catch_unwind(AssertUnwindSafe(|| Pick::from(index, record))).unwrap_or_default()
}

/// The level of a callsite.
pub(crate) fn level(site: &Site) -> Value {
    Value::str(site.metadata.level().as_str())
}
