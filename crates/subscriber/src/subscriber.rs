//! The wrapper around the application's own subscriber.
//!
//! It must raise the global level, or callsites below it would never become known, and it must say
//! *always* where advice is woven. The application's subscriber then gets exactly what it would have
//! got on its own: what it said of each callsite is remembered and asked for again.

use crate::site::Site;
use crate::spans::{Carrier, Spans, is_own, level, own_id};
use crate::visit::Pick;
use std::any::TypeId;
use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Once, PoisonError, RwLock};
use tracing_core::span::{Attributes, Current, Id, Record};
use tracing_core::{Dispatch, Event, Interest, LevelFilter, Metadata, Subscriber, callsite, dispatcher};

const NEVER: u8 = 0;
const SOMETIMES: u8 = 1;
const ALWAYS: u8 = 2;

/// A callsite in the eyes of one subscriber.
#[derive(Debug)]
struct Slot {
    site: &'static Site,
    /// What the application's subscriber said of it.
    inner: AtomicU8,
    carrier: Carrier,
}

/// Makes every callsite a tracepoint and passes on to `S` what it wants.
pub struct PivotSubscriber<S> {
    inner: S,
    /// Which spans carry a request.
    carries: fn(&Metadata<'_>) -> bool,
    number: usize,
    slots: RwLock<HashMap<callsite::Identifier, &'static Slot>>,
    spans: Spans,
}

static SUBSCRIBERS: AtomicUsize = AtomicUsize::new(0);
static LISTENS: Once = Once::new();

thread_local! {
    /// Slots that this thread has met, by subscriber and callsite, so that events take no lock.
    static MET: RefCell<HashMap<(usize, callsite::Identifier), &'static Slot>> = RefCell::new(HashMap::new());
}

/// Somebody else is the global subscriber already.
#[derive(Debug)]
pub struct AlreadySet;

impl fmt::Display for AlreadySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a global tracing subscriber is set already")
    }
}

impl std::error::Error for AlreadySet {}

/// Makes a subscriber the global one, wrapped.
pub fn install<S: Subscriber + Send + Sync>(inner: S) -> Result<(), AlreadySet> {
    dispatcher::set_global_default(Dispatch::new(PivotSubscriber::new(inner))).map_err(|_| AlreadySet)
}

impl<S> fmt::Debug for PivotSubscriber<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PivotSubscriber").field("number", &self.number).finish_non_exhaustive()
    }
}

impl<S: Subscriber> PivotSubscriber<S> {
    /// Wraps a subscriber.
    pub fn new(inner: S) -> PivotSubscriber<S> {
        LISTENS.call_once(|| pivot_agent::on_change(callsite::rebuild_interest_cache));
        PivotSubscriber {
            inner,
            carries: |_| false,
            number: SUBSCRIBERS.fetch_add(1, Ordering::Relaxed),
            slots: RwLock::default(),
            spans: Spans::default(),
        }
    }

    /// Has spans carry a request to wherever they are entered, as `.instrument(span)` does with a
    /// task: one made outside any request begins one, one made inside carries a branch, which joins
    /// where the span is closed inside that request again.
    pub fn carriers(mut self, carries: fn(&Metadata<'_>) -> bool) -> PivotSubscriber<S> {
        self.carries = carries;
        self
    }

    fn slot(&self, metadata: &'static Metadata<'static>) -> &'static Slot {
        let key = (self.number, metadata.callsite());
        let met = MET.try_with(|met| met.try_borrow().ok()?.get(&key).copied());
        if let Ok(Some(slot)) = met {
            return slot;
        }
        let known = self.slots.read().unwrap_or_else(PoisonError::into_inner).get(&key.1).copied();
        let slot = known.unwrap_or_else(|| self.new_slot(metadata));
        // A thread that ends, or is here within itself, looks again the next time.
        let _ = MET.try_with(|met| met.try_borrow_mut().map(|mut met| met.insert(key, slot)));
        slot
    }

    fn new_slot(&self, metadata: &'static Metadata<'static>) -> &'static Slot {
        let site = Site::of(metadata);
        let carrier = if metadata.is_span() && (self.carries)(metadata) { Carrier::Yes } else { Carrier::No };
        let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
        slots
            .entry(metadata.callsite())
            .or_insert_with(|| Box::leak(Box::new(Slot { site, inner: AtomicU8::new(SOMETIMES), carrier })))
    }

    /// What the application's subscriber says of a callsite now.
    fn ask(&self, metadata: &'static Metadata<'static>) -> u8 {
        let beyond = self.inner.max_level_hint().is_some_and(|most| *metadata.level() > most);
        let interest = self.inner.register_callsite(metadata);
        match interest {
            _ if beyond || interest.is_never() => NEVER,
            _ if interest.is_always() => ALWAYS,
            _ => SOMETIMES,
        }
    }

    /// Whether the application's subscriber wants what comes now. Asking also tells filters of single
    /// layers what comes.
    fn wants(&self, slot: &Slot, metadata: &Metadata<'_>) -> bool {
        match slot.inner.load(Ordering::Relaxed) {
            NEVER => false,
            SOMETIMES => self.inner.enabled(metadata),
            _ => true,
        }
    }
}

impl<S: Subscriber> Subscriber for PivotSubscriber<S> {
    fn on_register_dispatch(&self, subscriber: &Dispatch) {
        self.inner.on_register_dispatch(subscriber);
    }

    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        let said = self.ask(metadata);
        let slot = self.slot(metadata);
        slot.inner.store(said, Ordering::Relaxed);
        match said {
            _ if slot.site.is_woven() || slot.carrier == Carrier::Yes => Interest::always(),
            NEVER => Interest::never(),
            SOMETIMES => Interest::sometimes(),
            _ => Interest::always(),
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // Asked for callsites that were not registered too, so nothing of ours may be needed here.
        self.inner.enabled(metadata)
    }

    /// None: every level, so that every callsite becomes known.
    fn max_level_hint(&self) -> Option<LevelFilter> {
        None
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let slot = self.slot(attributes.metadata());
        let wanted = self.wants(slot, attributes.metadata());
        let site = slot.site;
        if site.enter.is_woven() {
            let own = site.metadata.fields().len();
            site.enter.fire(&|index| match index {
                index if index < own => Pick::from(index, |pick| attributes.record(pick)),
                _ => level(site),
            });
        }
        let id = if wanted { self.inner.new_span(attributes) } else { own_id() };
        let waits = site.exit.is_some_and(|exit| exit.is_woven()) || slot.carrier == Carrier::Yes;
        if waits || !wanted {
            self.spans.open(&id, site, attributes, slot.carrier);
        }
        id
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        if !is_own(span) {
            self.inner.record(span, values);
        }
        self.spans.record(span, values);
    }

    fn record_follows_from(&self, span: &Id, follows: &Id) {
        if !is_own(span) && !is_own(follows) {
            self.inner.record_follows_from(span, follows);
        }
    }

    fn event_enabled(&self, event: &Event<'_>) -> bool {
        self.slot(event.metadata()).site.enter.is_woven() || self.inner.event_enabled(event)
    }

    fn event(&self, event: &Event<'_>) {
        let slot = self.slot(event.metadata());
        let site = slot.site;
        let woven = site.enter.is_woven();
        if woven {
            let own = site.metadata.fields().len();
            site.enter.fire(&|index| match index {
                index if index < own => Pick::from(index, |pick| event.record(pick)),
                _ => level(site),
            });
        }
        if self.wants(slot, event.metadata()) && (!woven || self.inner.event_enabled(event)) {
            self.inner.event(event);
        }
    }

    fn enter(&self, span: &Id) {
        self.spans.enter(span);
        if !is_own(span) {
            self.inner.enter(span);
        }
    }

    fn exit(&self, span: &Id) {
        if !is_own(span) {
            self.inner.exit(span);
        }
        self.spans.exit(span);
    }

    fn clone_span(&self, span: &Id) -> Id {
        if is_own(span) {
            self.spans.clone(span);
            return span.clone();
        }
        self.inner.clone_span(span)
    }

    fn try_close(&self, span: Id) -> bool {
        let last = if is_own(&span) { self.spans.release(&span) } else { self.inner.try_close(span.clone()) };
        if last {
            self.spans.close(&span);
        }
        last
    }

    fn current_span(&self) -> Current {
        self.inner.current_span()
    }

    // SAFETY: the pointers are those of `self` and of what it holds, valid as long as `self` is.
    unsafe fn downcast_raw(&self, id: TypeId) -> Option<*const ()> {
        if id == TypeId::of::<Self>() {
            return Some(std::ptr::from_ref(self).cast());
        }
        // SAFETY: our caller promises what the inner subscriber asks for.
        unsafe { self.inner.downcast_raw(id) }
    }
}
