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

use crate::callsite::cache::CachedCallsite;
use crate::callsite::tracepoints::CallsiteTracepoints;
use crate::field_visitor::SingleFieldVisitor;
use crate::fire;
use crate::span::entered_carriers::{self, SpanKey, ThreadCarrier};
use crate::span::executing::Executing;
use foldhash::fast::RandomState;
use pivot_advice::Value;
use pivot_agent::Export;
use pivot_baggage::{CarriedRequest, in_request};
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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
    /// When it began, if its end is an event.
    opened: Option<Instant>,
    /// When the first of the threads that are inside entered it.
    entered: Option<Instant>,
    /// How often it was entered and not left.
    depth: u32,
    /// How long anybody was inside.
    busy: Duration,
    /// Handles on it, if its id is ours; the application's subscriber counts its own.
    handles: usize,
    /// The request that it carries, if it is a carrier or was made in a request.
    carried: Option<Arc<CarriedRequest>>,
    /// Who entered it first, if a request began with it.
    opener: Option<Executing>,
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

    /// Returns the request that a span carries; `None` if it carries none, or is closed.
    fn carried(&self, id: u64) -> Option<Arc<CarriedRequest>> {
        self.with_span(id, |span| span.carried.clone()).flatten()
    }

    /// Fires the tracepoint of a span's beginning, if it is woven, and returns the request that the span is to
    /// carry, if it is a carrier or made in a request. The beginning of a carrier is an event of its request.
    pub(crate) fn begin(
        &self,
        callsite: &CachedCallsite,
        attributes: &Attributes<'_>,
    ) -> Option<Arc<CarriedRequest>> {
        if callsite.is_carrier() {
            return Some(CarriedRequest::begin(|| fire_enter(callsite.site(), attributes)));
        }

        fire_enter(callsite.site(), attributes);
        match attributes.parent() {
            Some(parent) => self.carried(parent.into_u64()).map(CarriedRequest::child_of),
            None if attributes.is_root() => None,
            None => CarriedRequest::child_of_current(),
        }
    }

    /// Begins to wait for a span that is made now.
    pub(crate) fn open(
        &self,
        id: &Id,
        site: &'static CallsiteTracepoints,
        attributes: &Attributes<'_>,
        carried: Option<Arc<CarriedRequest>>,
    ) {
        let mut values = Vec::new();
        for index in 0..site.own_fields() {
            if site.exit.is_some_and(|exit| exit.observes(index)) {
                values.push((index, evaluate(index, |visitor| attributes.record(visitor))));
            }
        }

        let fires_at_end = site.exit.is_some_and(|exit| exit.is_woven());
        let span = TrackedSpan {
            site,
            fires_at_end,
            values,
            opened: fires_at_end.then(Instant::now),
            entered: None,
            depth: 0,
            busy: Duration::ZERO,
            handles: 1,
            carried,
            opener: None,
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
        let carried = self.with_span(key.1, TrackedSpan::enter).flatten();
        if carried.is_none() && self.alias_count.load(Ordering::Relaxed) == 0 {
            return;
        }
        if entered_carriers::enter_again(key) {
            return;
        }

        if let Some(carried) = carried.as_ref().filter(|carried| !carried.is_child()) {
            return entered_carriers::enter(key, key, Arc::clone(carried), app_span());
        }

        // A thread that is in a request stays there: the application enters its own spans all the time,
        // and one that leads to a carrier may by now be used by other requests.
        if in_request() {
            return;
        }
        if let Some(carrier) = self.alias_of(key.1)
            && let Some(carried) = self.carried(carrier)
        {
            entered_carriers::enter(key, (self.number, carrier), carried, app_span());
        } else if let Some(carried) = carried {
            entered_carriers::enter(key, key, carried, app_span());
        }
    }

    /// Notes that this thread leaves a span, and takes the request back if it was inside by way of it.
    pub(crate) fn exit(&self, id: &Id) {
        self.with_span(id.into_u64(), TrackedSpan::exit);
        if let Some(left) = entered_carriers::exit(self.key(id)) {
            left.carried.leave(left.request);
        }
    }

    /// Notes one more handle on a span. Whoever gets it may enter at any time: what this thread has done in
    /// there so far happened before.
    pub(crate) fn add_handle(&self, id: &Id) {
        let carried = self.with_span(id.into_u64(), |span| {
            span.handles += 1;
            span.carried.clone()
        });
        let Some(carried) = carried.flatten() else { return };

        carried.note_handle();
        let innermost = entered_carriers::innermost(self.number);
        if innermost.is_some_and(|innermost| innermost.carrier == id.into_u64()) {
            carried.exchange();
        }
    }

    /// Notes a handle on a span of the application's that is current inside a carrier: a thread that enters
    /// the span outside any request enters the carrier.
    pub(crate) fn alias(&self, id: &Id, innermost: &ThreadCarrier) {
        let carrier = innermost.carrier;
        let mut aliases = self.aliases.lock().unwrap_or_else(PoisonError::into_inner);
        let known = aliases.entry(id.into_u64()).or_insert_with(|| {
            self.alias_count.fetch_add(1, Ordering::Relaxed);
            Some(carrier)
        });

        // Handed on inside another carrier before, it leads nowhere: whoever enters it may work for either.
        if *known == Some(carrier) {
            innermost.carried.note_handle();
            innermost.carried.exchange();
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
        if !entered_carriers::has_just_left(self.key(id)) {
            return;
        }
        let found = self.with_span(id.into_u64(), |span| (span.carried.clone(), span.opener));
        let Some((Some(carried), opener)) = found else { return };

        carried.join_unfinished();
        // Who opened the request has done with it. What others do in there from now on comes after the answer.
        if opener.is_some_and(|opener| opener == Executing::here()) {
            carried.set_answered(true);
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
    /// Notes that a thread enters. Returns the request that the span carries.
    fn enter(&mut self) -> Option<Arc<CarriedRequest>> {
        self.depth += 1;
        if self.depth == 1 && self.fires_at_end {
            self.entered = Some(Instant::now());
        }

        let carried = self.carried.as_ref()?;
        if carried.is_root() {
            match self.opener {
                None => self.opener = Some(Executing::here()),
                // Whoever opened the request had not done with it after all.
                Some(opener) if carried.is_answered() && opener == Executing::here() => {
                    carried.set_answered(false);
                }
                Some(_) => {}
            }
        }
        Some(Arc::clone(carried))
    }

    /// Notes that a thread leaves.
    fn exit(&mut self) {
        self.depth = self.depth.saturating_sub(1);
        if self.depth == 0
            && let Some(entered) = self.entered.take()
        {
            self.busy += entered.elapsed();
        }
    }

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

        let elapsed = self.opened.map_or(Duration::ZERO, |opened| opened.elapsed());
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

/// Fires the tracepoint of a span's beginning, if it is woven.
fn fire_enter(site: Option<&'static CallsiteTracepoints>, attributes: &Attributes<'_>) {
    if let Some(site) = site.filter(|site| site.enter.is_woven()) {
        fire::fire_span_enter(site, attributes);
    }
}

/// Fires the tracepoint of an event, if it is woven.
pub(crate) fn fire_event(site: Option<&'static CallsiteTracepoints>, event: &Event<'_>) {
    if let Some(site) = site.filter(|site| site.enter.is_woven()) {
        fire::fire_event(site, event);
    }
}

/// Returns a value to be kept for the end of a span; null if formatting it, which is the application's
/// code, panics: a request must not fail because it is observed.
fn evaluate(index: usize, record: impl FnOnce(&mut SingleFieldVisitor)) -> Value {
    catch_unwind(AssertUnwindSafe(|| SingleFieldVisitor::value_of(index, record))).unwrap_or_default()
}
