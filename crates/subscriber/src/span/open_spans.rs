//! OpenSpans that are open: those that advice wants to see the end of, and those that carry a request.
//!
//! A span that the application's subscriber does not want gets an id of ours. `tracing-subscriber`'s
//! registry uses all 64 bits of an id, but the lower 38 are a place in memory: none reaches the range
//! that ours are taken from before there are 2^37 spans in one thread.

use crate::callsite::tracepoints::CallsiteTracepoints;
use crate::field_visitor::FieldVisitor;
use crate::span::carried_request::CarriedRequest;
use crate::span::entered_carriers::{self, SpanKey};
use foldhash::fast::RandomState;
use pivot_advice::Value;
use pivot_agent::Export;
use pivot_baggage::current;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tracing_core::Metadata;
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
pub(crate) struct OpenSpan {
    site: &'static CallsiteTracepoints,
    /// Whether its end is an event: of one that began before the end was woven, nothing is known.
    ends: bool,
    /// Values that the end observes, by the index of their field.
    values: Vec<(usize, Value)>,
    opened: Instant,
    entered: Option<Instant>,
    depth: u32,
    busy: Duration,
    /// Handles on it, if its id is ours; the application's subscriber counts its own.
    handles: usize,
    carried: Option<CarriedRequest>,
}

type Shard = HashMap<u64, OpenSpan, RandomState>;

/// All spans of one subscriber that somebody waits for.
#[derive(Debug, Default)]
pub(crate) struct OpenSpans {
    number: usize,
    count: AtomicUsize,
    shards: [Mutex<Shard>; SHARDS],
    aliased: AtomicUsize,
    /// OpenSpans of the application that were opened inside a carrier and then handed on, with the carrier;
    /// with none if it was done inside several.
    aliases: Mutex<HashMap<u64, Option<u64>>>,
}

impl OpenSpans {
    pub(crate) fn new(number: usize) -> OpenSpans {
        OpenSpans { number, ..OpenSpans::default() }
    }

    fn key(&self, id: &Id) -> SpanKey {
        (self.number, id.into_u64())
    }

    fn shard(&self, id: u64) -> MutexGuard<'_, Shard> {
        let shard = id.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 60;
        self.shards[shard as usize % SHARDS].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// None, quickly, if nobody waits for any span.
    fn with<R>(&self, id: u64, f: impl FnOnce(&mut OpenSpan) -> R) -> Option<R> {
        if self.count.load(Ordering::Relaxed) == 0 {
            return None;
        }
        self.shard(id).get_mut(&id).map(f)
    }

    fn with_carried<R>(&self, id: u64, f: impl FnOnce(&mut CarriedRequest) -> R) -> Option<R> {
        self.with(id, |open| open.carried.as_mut().map(f)).flatten()
    }

    pub(crate) fn open(
        &self,
        id: &Id,
        site: &'static CallsiteTracepoints,
        from: &Attributes<'_>,
        carried: Option<CarriedRequest>,
    ) {
        let observes = |index| site.exit.is_some_and(|exit| exit.observes(index));
        let indices = (0..site.own_fields()).filter(|index| observes(*index));
        let values = indices.map(|index| (index, evaluated(index, |visitor| from.record(visitor))));
        let open = OpenSpan {
            site,
            ends: site.exit.is_some_and(|exit| exit.is_woven()),
            values: values.collect(),
            opened: Instant::now(),
            entered: None,
            depth: 0,
            busy: Duration::ZERO,
            handles: 1,
            carried,
        };
        self.count.fetch_add(1, Ordering::Relaxed);
        if self.shard(id.into_u64()).insert(id.into_u64(), open).is_some() {
            self.count.fetch_sub(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn record(&self, id: &Id, record: &Record<'_>) {
        self.with(id.into_u64(), |open| {
            for (index, value) in &mut open.values {
                let recorded = evaluated(*index, |visitor| record.record(visitor));
                if !recorded.is_null() {
                    *value = recorded;
                }
            }
        });
    }

    /// The span is entered; `under` gives the application's current span, if it matters.
    pub(crate) fn enter(&self, id: &Id, under: impl Fn() -> Option<u64>) {
        let key = self.key(id);
        let found = self.with(key.1, |open| {
            open.depth += 1;
            if open.depth == 1 {
                open.entered = Some(Instant::now());
            }
            if let Some(carried) = &mut open.carried {
                entered_carriers::enter(key, key, under(), || carried.take());
            }
        });
        // Who is in a request stays there: the span may be handed on in several.
        if found.is_none()
            && let Some(carrier) = self.alias_of(key.1)
            && !pivot_baggage::in_request()
        {
            self.with_carried(carrier, |carried| {
                entered_carriers::enter(key, (self.number, carrier), under(), || carried.take());
            });
        }
    }

    pub(crate) fn exit(&self, id: &Id) {
        self.with(id.into_u64(), |open| {
            open.depth = open.depth.saturating_sub(1);
            if open.depth == 0
                && let Some(entered) = open.entered.take()
            {
                open.busy += entered.elapsed();
            }
        });
        let Some(((_, carrier), request)) = entered_carriers::exit(self.key(id)) else { return };
        let mut request = Some(request);
        self.with_carried(carrier, |carried| carried.put(request.take().flatten()));
        // Closed meanwhile: what was gathered may still belong to the current request.
        request.flatten().into_iter().for_each(current::rejoin);
    }

    /// Runs an event of the carrier that this thread is inside of, if it is in any.
    pub(crate) fn passing(&self, fire: impl FnOnce()) {
        let Some((carrier, _)) = entered_carriers::innermost(self.number) else { return fire() };
        self.with_carried(carrier, CarriedRequest::exchange);
        fire();
        self.with_carried(carrier, CarriedRequest::exchange);
    }

    /// One more handle on a span.
    pub(crate) fn clone(&self, id: &Id) {
        let innermost =
            entered_carriers::innermost(self.number).is_some_and(|(carrier, _)| carrier == id.into_u64());
        self.with(id.into_u64(), |open| {
            open.handles += 1;
            if let Some(carried) = &mut open.carried {
                carried.share();
                if innermost {
                    carried.exchange();
                }
            }
        });
    }

    /// A handle on a span of the application that is current inside a carrier: whoever enters it
    /// elsewhere enters the carrier.
    pub(crate) fn alias(&self, id: &Id, carrier: u64) {
        let mut aliases = self.aliases.lock().unwrap_or_else(PoisonError::into_inner);
        let known = aliases.entry(id.into_u64()).or_insert_with(|| {
            self.aliased.fetch_add(1, Ordering::Relaxed);
            Some(carrier)
        });
        if *known == Some(carrier) {
            self.with_carried(carrier, |carried| {
                carried.share();
                carried.exchange();
            });
        } else {
            *known = None;
        }
    }

    fn alias_of(&self, id: u64) -> Option<u64> {
        if self.aliased.load(Ordering::Relaxed) == 0 {
            return None;
        }
        *self.aliases.lock().unwrap_or_else(PoisonError::into_inner).get(&id)?
    }

    /// One handle less on a span of ours; true if it was the last.
    pub(crate) fn release(&self, id: &Id) -> bool {
        self.with(id.into_u64(), |open| {
            open.handles = open.handles.saturating_sub(1);
            open.handles == 0
        })
        .unwrap_or(false)
    }

    /// A handle was dropped that was not the last. Who has just come out of the span is done with it.
    pub(crate) fn dropped(&self, id: &Id) {
        if entered_carriers::has_left(self.key(id)) {
            self.with_carried(id.into_u64(), CarriedRequest::settle);
        }
    }

    /// The span is closed: its end is an event.
    pub(crate) fn close(&self, id: &Id) {
        if self.aliased.load(Ordering::Relaxed) > 0 {
            let mut aliases = self.aliases.lock().unwrap_or_else(PoisonError::into_inner);
            let known = aliases.remove(&id.into_u64()).is_some();
            self.aliased.fetch_sub(usize::from(known), Ordering::Relaxed);
        }
        if self.count.load(Ordering::Relaxed) == 0 {
            return;
        }
        let Some(open) = self.shard(id.into_u64()).remove(&id.into_u64()) else { return };
        self.count.fetch_sub(1, Ordering::Relaxed);
        open.end();
    }

    /// What a span is.
    pub(crate) fn metadata(&self, id: u64) -> Option<&'static Metadata<'static>> {
        self.with(id, |open| open.site.metadata)
    }
}

impl OpenSpan {
    fn end(mut self) {
        match self.carried.take() {
            // The end belongs to the span's request.
            Some(carried) => carried.end(|| self.fire()),
            None => self.fire(),
        }
    }

    fn fire(&self) {
        let Some(exit) = self.site.exit.filter(|exit| self.ends && exit.is_woven()) else { return };
        let elapsed = self.opened.elapsed();
        exit.fire(&|index| {
            if index < self.site.own_fields() {
                let found = self.values.iter().find(|(known, _)| *known == index);
                return found.map_or(Value::Null, |(_, value)| value.clone());
            }
            match exit.fields().get(index).map_or("", |(name, _)| name) {
                "elapsed" => elapsed.export(),
                "busy" => self.busy.export(),
                "idle" => elapsed.saturating_sub(self.busy).export(),
                standing => self.site.standing(standing),
            }
        });
    }
}

/// A value that is kept for the end of the span. Formatting is the application's code, and a panic in
/// it is kept from the application: then there is no value.
fn evaluated(index: usize, record: impl FnOnce(&mut FieldVisitor)) -> Value {
    catch_unwind(AssertUnwindSafe(|| FieldVisitor::value_of(index, record))).unwrap_or_default()
}
