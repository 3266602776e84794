//! The spans that somebody waits for: those whose end is woven, those that carry a request, and those that
//! the application's subscriber does not want and so gives no id.
//!
//! # Ids
//!
//! A span that the application's subscriber does not want gets an id of ours. `tracing-subscriber`'s
//! registry uses all 64 bits of an id, but the lower 38 are a place in a thread's memory: it would have to
//! have 2^37 spans in one thread before it reached the range of ours.
//!
//! ```text
//! bit   63                          38 37 36 35                          0
//!       0 …                          0  1  1  counter                           an id of ours
//!       generation, thread              place in the thread's memory            an id of the registry
//! ```
//!
//! # Aliases
//!
//! A worker may be handed a span of the application's that was current *inside* a carrier, in place of the
//! carrier. [`TrackedSpans::alias`] notes that such a span leads to its carrier, until it is handed on inside
//! a second one: then nobody can tell whose it is, and it leads nowhere.
//!
//! # Locks
//!
//! Spans lie in 16 maps, each behind a lock; the counters let events pass without one while there is no
//! span to find. Neither advice nor formatting, which is the application's code, runs while a lock is held.

use crate::callsite::tracepoints::CallsiteTracepoints;
use crate::field_visitor::SingleFieldVisitor;
use crate::fire;
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
use tracing_core::span::{Attributes, Id, Record};
use tracing_core::{Event, Metadata};

const OWN_BITS: u64 = 0b11 << 36;
const COUNTER_BITS: u64 = (1 << 36) - 1;
const SHARDS: usize = 16;

static NEXT: AtomicU64 = AtomicU64::new(0);

/// Returns a new id of ours.
pub(crate) fn own_id() -> Id {
    Id::from_u64(OWN_BITS | (NEXT.fetch_add(1, Ordering::Relaxed) & COUNTER_BITS))
}

/// Returns whether an id is one of ours.
pub(crate) fn is_own(id: &Id) -> bool {
    id.into_u64() & !COUNTER_BITS == OWN_BITS
}

/// A span that somebody waits for.
#[derive(Debug)]
pub(crate) struct TrackedSpan {
    site: &'static CallsiteTracepoints,
    /// Whether its end is an event. Not if it began before the end was woven: its values were not kept.
    fires_at_end: bool,
    /// Values that the advice at the end observes, by the index of their field.
    values: Vec<(usize, Value)>,
    opened: Instant,
    /// When the first of the threads that are inside entered it.
    entered: Option<Instant>,
    /// How often it was entered and not left.
    depth: u32,
    /// How long anybody was inside.
    busy: Duration,
    /// Handles on it, if its id is ours; the application's subscriber counts its own.
    handles: usize,
    /// The request that it carries, if it is a carrier.
    carried: Option<CarriedRequest>,
}

type Shard = HashMap<u64, TrackedSpan, RandomState>;

/// All spans of one subscriber that somebody waits for.
#[derive(Debug, Default)]
pub(crate) struct TrackedSpans {
    /// The subscriber's number.
    number: usize,
    /// How many spans there are in all shards.
    count: AtomicUsize,
    shards: [Mutex<Shard>; SHARDS],
    /// How many aliases there are.
    alias_count: AtomicUsize,
    /// Spans of the application that were handed on inside a carrier, with the carrier; `None` for those
    /// that were handed on inside several.
    aliases: Mutex<HashMap<u64, Option<u64>>>,
}

impl TrackedSpans {
    /// Makes the empty set of a subscriber.
    pub(crate) fn new(number: usize) -> TrackedSpans {
        TrackedSpans { number, ..TrackedSpans::default() }
    }

    fn key(&self, id: &Id) -> SpanKey {
        (self.number, id.into_u64())
    }

    fn shard(&self, id: u64) -> MutexGuard<'_, Shard> {
        // Fibonacci hashing: ids count upwards, and the upper bits of the product are the well mixed ones.
        let shard = id.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 60;
        self.shards[shard as usize % SHARDS].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs with a span; `None` if nobody waits for it, and without a lock if nobody waits for any.
    fn with_span<R>(&self, id: u64, f: impl FnOnce(&mut TrackedSpan) -> R) -> Option<R> {
        if self.count.load(Ordering::Relaxed) == 0 {
            return None;
        }
        self.shard(id).get_mut(&id).map(f)
    }

    /// Runs with the request of a carrier; `None` if it is closed.
    fn with_carrier<R>(&self, id: u64, f: impl FnOnce(&mut CarriedRequest) -> R) -> Option<R> {
        self.with_span(id, |span| span.carried.as_mut().map(f)).flatten()
    }

    /// Begins to wait for a span that is made now.
    pub(crate) fn open(
        &self,
        id: &Id,
        site: &'static CallsiteTracepoints,
        attributes: &Attributes<'_>,
        carried: Option<CarriedRequest>,
    ) {
        let mut values = Vec::new();
        for index in 0..site.own_fields() {
            if site.exit.is_some_and(|exit| exit.observes(index)) {
                values.push((index, evaluate(index, |visitor| attributes.record(visitor))));
            }
        }

        let span = TrackedSpan {
            site,
            fires_at_end: site.exit.is_some_and(|exit| exit.is_woven()),
            values,
            opened: Instant::now(),
            entered: None,
            depth: 0,
            busy: Duration::ZERO,
            handles: 1,
            carried,
        };

        // Counted before it is there, so that whoever finds a count of zero has missed nothing.
        self.count.fetch_add(1, Ordering::Relaxed);
        if self.shard(id.into_u64()).insert(id.into_u64(), span).is_some() {
            self.count.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Keeps values that are recorded after the span was made.
    pub(crate) fn record(&self, id: &Id, record: &Record<'_>) {
        let observed = self.with_span(id.into_u64(), |span| {
            let indices = span.values.iter().map(|(index, _)| *index);
            indices.collect::<Vec<usize>>()
        });

        for index in observed.unwrap_or_default() {
            // Formatting is the application's code and may pass events, which look for this span: so it
            // runs without the lock.
            let recorded = evaluate(index, |visitor| record.record(visitor));
            if recorded.is_null() {
                continue;
            }

            self.with_span(id.into_u64(), |span| {
                if let Some((_, value)) = span.values.iter_mut().find(|(known, _)| *known == index) {
                    *value = recorded;
                }
            });
        }
    }

    /// Notes that this thread enters a span, and puts it into the request that the span carries or leads
    /// to. `app_span` returns the application's current span, and is called only if that matters.
    pub(crate) fn enter(&self, id: &Id, app_span: impl Fn() -> Option<u64>) {
        let key = self.key(id);
        let found = self.with_span(key.1, |span| {
            span.depth += 1;
            if span.depth == 1 {
                span.entered = Some(Instant::now());
            }
            if let Some(carried) = &mut span.carried {
                entered_carriers::enter(key, key, app_span(), || carried.enter());
            }
        });

        // A thread that is in a request stays there: the application enters its own spans all the time,
        // and one that leads to a carrier may by now be used by other requests.
        if found.is_none()
            && let Some(carrier) = self.alias_of(key.1)
            && !pivot_baggage::in_request()
        {
            self.with_carrier(carrier, |carried| {
                entered_carriers::enter(key, (self.number, carrier), app_span(), || carried.enter());
            });
        }
    }

    /// Notes that this thread leaves a span, and takes the request back if it was inside by way of it.
    pub(crate) fn exit(&self, id: &Id) {
        self.with_span(id.into_u64(), |span| {
            span.depth = span.depth.saturating_sub(1);
            if span.depth == 0
                && let Some(entered) = span.entered.take()
            {
                span.busy += entered.elapsed();
            }
        });

        let Some(left) = entered_carriers::exit(self.key(id)) else { return };
        let mut request = Some(left.request);
        self.with_carrier(left.carrier, |carried| carried.leave(request.take().flatten()));

        // If the carrier was closed meanwhile nobody took it; it may still belong to the current request.
        if let Some(request) = request.flatten() {
            current::rejoin(request);
        }
    }

    /// Fires the tracepoint of a span's beginning, if it is woven.
    pub(crate) fn fire_enter(&self, site: Option<&'static CallsiteTracepoints>, attributes: &Attributes<'_>) {
        if let Some(site) = site.filter(|site| site.enter.is_woven()) {
            self.fire_in_carrier(|| fire::fire_span_enter(site, attributes));
        }
    }

    /// Fires the tracepoint of an event, if it is woven.
    pub(crate) fn fire_event(&self, site: Option<&'static CallsiteTracepoints>, event: &Event<'_>) {
        if let Some(site) = site.filter(|site| site.enter.is_woven()) {
            self.fire_in_carrier(|| fire::fire_event(site, event));
        }
    }

    /// Runs `fire`, which makes an event. Inside a carrier that others are inside of too, the event comes
    /// after what they have done so far, and what they do from now on comes after the event.
    fn fire_in_carrier(&self, fire: impl FnOnce()) {
        let Some(innermost) = entered_carriers::innermost(self.number) else { return fire() };
        self.with_carrier(innermost.carrier, CarriedRequest::exchange);
        fire();
        self.with_carrier(innermost.carrier, CarriedRequest::exchange);
    }

    /// Notes one more handle on a span. Whoever gets it may enter at any time: what this thread has done in
    /// there so far happened before.
    pub(crate) fn add_handle(&self, id: &Id) {
        let is_inside = entered_carriers::innermost(self.number)
            .is_some_and(|innermost| innermost.carrier == id.into_u64());

        self.with_span(id.into_u64(), |span| {
            span.handles += 1;
            if let Some(carried) = &mut span.carried {
                carried.share();
                if is_inside {
                    carried.exchange();
                }
            }
        });
    }

    /// Notes a handle on a span of the application's that is current inside a carrier: a thread that enters
    /// the span outside any request enters the carrier.
    pub(crate) fn alias(&self, id: &Id, carrier: u64) {
        let mut aliases = self.aliases.lock().unwrap_or_else(PoisonError::into_inner);
        let known = aliases.entry(id.into_u64()).or_insert_with(|| {
            self.alias_count.fetch_add(1, Ordering::Relaxed);
            Some(carrier)
        });

        // Handed on inside another carrier before, it leads nowhere: whoever enters it may work for either.
        if *known == Some(carrier) {
            self.with_carrier(carrier, |carried| {
                carried.share();
                carried.exchange();
            });
        } else {
            *known = None;
        }
    }

    fn alias_of(&self, id: u64) -> Option<u64> {
        if self.alias_count.load(Ordering::Relaxed) == 0 {
            return None;
        }
        *self.aliases.lock().unwrap_or_else(PoisonError::into_inner).get(&id)?
    }

    fn remove_alias(&self, id: u64) {
        if self.alias_count.load(Ordering::Relaxed) > 0 {
            let mut aliases = self.aliases.lock().unwrap_or_else(PoisonError::into_inner);
            if aliases.remove(&id).is_some() {
                self.alias_count.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }

    /// Notes one handle less on a span of ours. Returns whether it was the last.
    pub(crate) fn remove_handle(&self, id: &Id) -> bool {
        let was_last = self.with_span(id.into_u64(), |span| {
            span.handles = span.handles.saturating_sub(1);
            span.handles == 0
        });
        was_last.unwrap_or(false)
    }

    /// Notes that this thread dropped a handle that was not the last. If it has just left the span it is
    /// done with it, as a task is that ends: its branch joins now, though a worker may keep a handle.
    pub(crate) fn dropped_handle(&self, id: &Id) {
        if entered_carriers::has_just_left(self.key(id)) {
            self.with_carrier(id.into_u64(), CarriedRequest::join_into_current);
        }
    }

    /// Ends a span that is closed: fires its end and joins the request that it carries.
    pub(crate) fn close(&self, id: &Id) {
        self.remove_alias(id.into_u64());
        if self.count.load(Ordering::Relaxed) == 0 {
            return;
        }

        // Ended outside the lock: advice runs.
        let Some(span) = self.shard(id.into_u64()).remove(&id.into_u64()) else { return };
        self.count.fetch_sub(1, Ordering::Relaxed);
        span.end();
    }

    /// Returns the metadata of a span that somebody waits for.
    pub(crate) fn metadata(&self, id: u64) -> Option<&'static Metadata<'static>> {
        self.with_span(id, |span| span.site.metadata)
    }
}

impl TrackedSpan {
    fn end(mut self) {
        match self.carried.take() {
            // The end is part of the request that the span carries.
            Some(carried) => carried.close(|| self.fire()),
            None => self.fire(),
        }
    }

    /// Fires the tracepoint of the span's end, if it is woven and was when the span began.
    fn fire(&self) {
        let Some(exit) = self.site.exit.filter(|exit| self.fires_at_end && exit.is_woven()) else { return };

        let elapsed = self.opened.elapsed();
        // Own fields come first, then those that every span has, by their names.
        exit.fire(&|index| {
            if index < self.site.own_fields() {
                let kept = self.values.iter().find(|(field, _)| *field == index);
                return kept.map_or(Value::Null, |(_, value)| value.clone());
            }
            match exit.fields().get(index).map_or("", |(name, _)| name) {
                "elapsed" => elapsed.export(),
                "busy" => self.busy.export(),
                "idle" => elapsed.saturating_sub(self.busy).export(),
                common => self.site.common_value(common),
            }
        });
    }
}

/// Returns a value to be kept for the end of a span; null if formatting it, which is the application's
/// code, panics: a request must not fail because it is observed.
fn evaluate(index: usize, record: impl FnOnce(&mut SingleFieldVisitor)) -> Value {
    catch_unwind(AssertUnwindSafe(|| SingleFieldVisitor::value_of(index, record))).unwrap_or_default()
}
