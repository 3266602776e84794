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
//! Spans lie in a [`SpanTable`]. Neither advice nor formatting, which is the application's code, runs while one of its
//! locks is held.

use crate::callsite::cache::CachedCallsite;
use crate::callsite::tracepoints::CallsiteTracepoints;
use crate::fire;
use crate::span::entered_carriers::{self, SpanKey, ThreadCarrier};
use crate::span::executing::Executing;
use crate::span::span_table::SpanTable;
use crate::span::tracked_span::{TrackedSpan, evaluate};
use pivot_baggage::{CarriedRequest, in_request};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tracing_core::span::{Attributes, Id, Record};
use tracing_core::{Event, Metadata};

const OWN_BITS: u64 = 0b11 << 36;
const COUNTER_BITS: u64 = (1 << 36) - 1;

static NEXT: AtomicU64 = AtomicU64::new(0);

/// Returns a new id of ours.
pub(crate) fn own_id() -> Id {
    Id::from_u64(OWN_BITS | (NEXT.fetch_add(1, Ordering::Relaxed) & COUNTER_BITS))
}

/// Returns whether an id is one of ours.
pub(crate) fn is_own(id: &Id) -> bool {
    id.into_u64() & !COUNTER_BITS == OWN_BITS
}

/// All spans of one subscriber that somebody waits for.
#[derive(Debug)]
pub(crate) struct TrackedSpans {
    /// The subscriber's number.
    number: usize,
    table: SpanTable,
}

impl TrackedSpans {
    /// Makes the empty set of a subscriber.
    pub(crate) fn new(number: usize) -> TrackedSpans {
        TrackedSpans { number, table: SpanTable::new() }
    }

    fn key(&self, id: &Id) -> SpanKey {
        (self.number, id.into_u64())
    }

    /// Returns the request that a span carries; `None` if it carries none, or is closed.
    fn carried(&self, id: u64) -> Option<Arc<CarriedRequest>> {
        self.table.with_span(id, |span| span.carried.clone()).flatten()
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
        let observed =
            (0..site.own_fields()).filter(|index| site.exit.is_some_and(|exit| exit.observes(*index)));

        let values =
            site.evaluate_for_exit(observed, |index| evaluate(index, |visitor| attributes.record(visitor)));
        self.table.insert(id.into_u64(), TrackedSpan::new(site, values, carried));
    }

    /// Keeps values that are recorded after the span was made.
    pub(crate) fn record(&self, id: &Id, record: &Record<'_>) {
        let found = self.table.with_span(id.into_u64(), |span| {
            let indices = span.values.iter().map(|(index, _)| *index);
            (span.site, indices.collect::<Vec<usize>>())
        });
        let Some((site, observed)) = found else { return };

        // Formatting is the application's code and may pass events, which look for this span: so it runs without the
        // lock.
        let recorded = site.evaluate_for_exit(observed.into_iter(), |index| {
            evaluate(index, |visitor| record.record(visitor))
        });
        if recorded.iter().all(|(_, value)| value.is_null()) {
            return;
        }

        self.table.with_span(id.into_u64(), |span| {
            for (index, recorded) in recorded.into_iter().filter(|(_, value)| !value.is_null()) {
                if let Some((_, value)) = span.values.iter_mut().find(|(known, _)| *known == index) {
                    *value = recorded;
                }
            }
        });
    }

    /// Notes that this thread enters a span, and puts it into the request that the span carries or leads
    /// to. `app_span` returns the application's current span, and is called only if that matters.
    #[inline]
    pub(crate) fn enter(&self, id: &Id, app_span: impl Fn() -> Option<u64>) {
        // Most spans that a thread enters are the application's own, in the request that the thread is in already.
        let key = self.key(id);
        if in_request() && !self.table.may_matter_inside(key.1) && !entered_carriers::may_be_entered(key) {
            return entered_carriers::note_another();
        }
        self.enter_tracked(key, app_span);
    }

    #[inline(never)]
    fn enter_tracked(&self, key: SpanKey, app_span: impl Fn() -> Option<u64>) {
        let is_inside = in_request();
        let carried = if is_inside {
            self.table.with_span_inside(key.1, TrackedSpan::enter)
        } else {
            self.table.with_span(key.1, TrackedSpan::enter)
        };
        if entered_carriers::enter_again(key) {
            return;
        }

        let carried = carried.flatten();
        if let Some(carried) = carried.as_ref().filter(|carried| !carried.is_child()) {
            return entered_carriers::enter(key, key, Arc::clone(carried), app_span());
        }

        // A thread that is in a request stays there: the application enters its own spans all the time,
        // and one that leads to a carrier may by now be used by other requests.
        if is_inside {
            return;
        }
        if let Some(carrier) = self.table.alias(key.1)
            && let Some(carried) = self.carried(carrier)
        {
            entered_carriers::enter(key, (self.number, carrier), carried, app_span());
        } else if let Some(carried) = carried {
            entered_carriers::enter(key, key, carried, app_span());
        }
    }

    /// Notes that this thread leaves a span, and takes the request back if it was inside by way of it.
    #[inline]
    pub(crate) fn exit(&self, id: &Id) {
        let key = self.key(id);
        if self.table.may_be_timed(key.1) || entered_carriers::may_be_entered(key) {
            self.exit_tracked(key);
        }
    }

    #[inline(never)]
    fn exit_tracked(&self, key: SpanKey) {
        self.table.with_timed(key.1, TrackedSpan::exit);
        if let Some(left) = entered_carriers::exit(key) {
            left.carried.leave(left.request);
        }
    }

    /// Notes one more handle on a span. Whoever gets it may enter at any time: what this thread has done in
    /// there so far happened before.
    pub(crate) fn add_handle(&self, id: &Id) {
        let carried = self.table.with_span(id.into_u64(), |span| {
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
        if self.table.add_alias(id.into_u64(), innermost.carrier) {
            innermost.carried.note_handle();
            innermost.carried.exchange();
        }
    }

    /// Notes one handle less on a span of ours. Returns whether it was the last.
    pub(crate) fn remove_handle(&self, id: &Id) -> bool {
        let was_last = self.table.with_span(id.into_u64(), |span| {
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
        let found = self.table.with_span(id.into_u64(), |span| (span.carried.clone(), span.opener));
        let Some((Some(carried), opener)) = found else { return };

        carried.join_unfinished();
        // Who opened the request has done with it. What others do in there from now on comes after the answer.
        if opener.is_some_and(|opener| opener == Executing::here()) {
            carried.set_answered(true);
        }
    }

    /// Ends a span that is closed: fires its end and joins the request that it carries.
    pub(crate) fn close(&self, id: &Id) {
        // Ended outside the lock: advice runs.
        if let Some(span) = self.table.remove(id.into_u64()) {
            span.end();
        }
    }

    /// Returns the metadata of a span that somebody waits for.
    pub(crate) fn metadata(&self, id: u64) -> Option<&'static Metadata<'static>> {
        self.table.with_span(id, |span| span.site.metadata)
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
