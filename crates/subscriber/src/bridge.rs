//! The wrapper around the application's own subscriber.
//!
//! It must raise the global level, or callsites below it would never become known, and it must say
//! *always* where advice is woven. The application's subscriber then gets exactly what it would have
//! got on its own: what it said of each callsite is remembered and asked for again.

use crate::callsite::cache::{CachedCallsite, CallsiteCache, CallsiteKind, InnerInterest, IsCarrier};
use crate::callsite::interest_rebuild;
use crate::fire;
use crate::span::carried_request::CarriedRequest;
use crate::span::entered_carriers;
use crate::span::open_spans::{OpenSpans, is_own, own_id};
use crate::span::request_spans::is_request_span;
use std::any::TypeId;
use std::fmt;
use tracing_core::span::{Attributes, Current, Id, Record};
use tracing_core::{Dispatch, Event, Interest, LevelFilter, Metadata, Subscriber, dispatcher};

/// Makes every callsite a tracepoint and passes on to `S` what it wants.
pub struct Bridge<S> {
    inner: S,
    callsites: CallsiteCache,
    spans: OpenSpans,
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

impl<S> fmt::Debug for Bridge<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bridge").field("number", &self.callsites.number).finish_non_exhaustive()
    }
}

impl<S: Subscriber> Bridge<S> {
    /// Wraps a subscriber. OpenSpans that the usual servers open for a [request](is_request_span) carry it.
    pub fn new(inner: S) -> Bridge<S> {
        interest_rebuild::listen();
        let callsites = CallsiteCache::new(is_request_span);
        Bridge { inner, spans: OpenSpans::new(callsites.number), callsites }
    }

    /// Has these spans carry a request, and no others, to wherever they are entered, as
    /// `.instrument(span)` does with a task. One made outside any request begins one. One made inside
    /// carries a branch, which joins where the span is closed, or left for good, inside that request.
    ///
    /// Whoever enters a span comes after everybody who has left it before.
    pub fn carriers(mut self, carries: IsCarrier) -> Bridge<S> {
        self.callsites.carries = carries;
        self
    }

    /// Makes it the global subscriber, and makes records of the `log` crate events too, unless the
    /// application has a logger: see [`log`](crate::log).
    pub fn install(self) -> Result<(), AlreadySet>
    where
        S: Send + Sync,
    {
        dispatcher::set_global_default(Dispatch::new(self)).map_err(|_| AlreadySet)?;
        crate::log::bridge::install_if_none();
        crate::callsite::compiled_out::warn_of_missing();
        Ok(())
    }

    /// What the application's subscriber says of a callsite now.
    fn ask(&self, metadata: &'static Metadata<'static>) -> InnerInterest {
        let beyond = self.inner.max_level_hint().is_some_and(|most| *metadata.level() > most);
        InnerInterest::of(&self.inner.register_callsite(metadata), beyond)
    }

    /// Whether the application's subscriber wants what comes now. Asking also tells filters of single
    /// layers what comes.
    fn wants(&self, slot: &CachedCallsite, metadata: &Metadata<'_>) -> bool {
        match slot.said() {
            InnerInterest::Never => false,
            InnerInterest::Sometimes => self.inner.enabled(metadata),
            InnerInterest::Always => true,
        }
    }

    fn pass_on(&self, event: &Event<'_>) {
        if self.inner.event_enabled(event) {
            self.inner.event(event);
        }
    }

    /// The application's current span.
    fn under(&self) -> Option<u64> {
        self.inner.current_span().id().map(Id::into_u64)
    }
}

impl<S: Subscriber> Subscriber for Bridge<S> {
    fn on_register_dispatch(&self, subscriber: &Dispatch) {
        interest_rebuild::remember(subscriber);
        self.inner.on_register_dispatch(subscriber);
    }

    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        let provisional = interest_rebuild::is_provisional();
        let said = self.ask(metadata);
        let slot = self.callsites.slot(metadata);
        slot.remember(said);
        match &slot.kind {
            CallsiteKind::EnabledCheck(check) if check.refresh(metadata.target()) => Interest::sometimes(),
            _ if slot.is_woven() || slot.carries => Interest::always(),
            _ if said == InnerInterest::Never && provisional => Interest::sometimes(),
            _ => said.interest(),
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let Some(slot) = self.callsites.known(metadata) else { return self.inner.enabled(metadata) };
        match &slot.kind {
            CallsiteKind::EnabledCheck(check) if check.is_enabled() => true,
            // While there is another dispatcher, we are asked although we have said *always*.
            CallsiteKind::Tracepoint(_) if slot.is_woven() || slot.carries => true,
            // Filters of single layers would take their answer for that to the next question.
            CallsiteKind::EnabledCheck(_) | CallsiteKind::Tracepoint(_)
                if slot.said() == InnerInterest::Never =>
            {
                false
            }
            _ => self.inner.enabled(metadata),
        }
    }

    /// None: every level, so that every callsite becomes known.
    fn max_level_hint(&self) -> Option<LevelFilter> {
        None
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let slot = self.callsites.slot(attributes.metadata());
        let wanted = self.wants(slot, attributes.metadata());
        let fire = || {
            if let Some(site) = slot.site().filter(|site| site.enter.is_woven()) {
                self.spans.passing(|| fire::fire_span_enter(site, attributes));
            }
        };
        let carried = slot.carries.then(|| CarriedRequest::begin(fire));
        if carried.is_none() {
            fire();
        }
        let id = if wanted { self.inner.new_span(attributes) } else { own_id() };
        if let Some(site) = slot.site()
            && (carried.is_some() || !wanted || site.exit.is_some_and(|exit| exit.is_woven()))
        {
            self.spans.open(&id, site, attributes, carried);
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

    /// Asked before each event; the application's subscriber is asked there.
    fn event_enabled(&self, _: &Event<'_>) -> bool {
        true
    }

    fn event(&self, event: &Event<'_>) {
        let slot = self.callsites.slot(event.metadata());
        if let CallsiteKind::LogRecord = slot.kind {
            // The application's subscriber was asked, about the record's own target.
            return self.pass_on(event);
        }
        let site = slot.site().filter(|site| site.enter.is_woven());
        if let Some(site) = site {
            self.spans.passing(|| fire::fire_event(site, event));
        }
        if self.wants(slot, event.metadata()) {
            self.pass_on(event);
        }
    }

    fn enter(&self, span: &Id) {
        self.spans.enter(span, || self.under());
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
        self.spans.clone(span);
        if is_own(span) {
            return span.clone();
        }
        if let Some((carrier, under)) = entered_carriers::innermost(self.callsites.number)
            && carrier != span.into_u64()
            && under != Some(span.into_u64())
            && self.under() == Some(span.into_u64())
        {
            self.spans.alias(span, carrier);
        }
        self.inner.clone_span(span)
    }

    fn try_close(&self, span: Id) -> bool {
        let last = if is_own(&span) { self.spans.release(&span) } else { self.inner.try_close(span.clone()) };
        if last {
            self.spans.close(&span);
        } else {
            self.spans.dropped(&span);
        }
        last
    }

    /// The application's; outside of those, the carrier that this thread is inside of, so that who
    /// asks for the current span to hand it on hands on the request.
    fn current_span(&self) -> Current {
        let inner = self.inner.current_span();
        if inner.id().is_none()
            && let Some((carrier, _)) = entered_carriers::innermost(self.callsites.number)
            && let Some(metadata) = self.spans.metadata(carrier)
        {
            return Current::new(Id::from_u64(carrier), metadata);
        }
        inner
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
