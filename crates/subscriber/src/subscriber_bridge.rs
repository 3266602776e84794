//! [`SubscriberBridge`]: the wrapper around the application's own subscriber.
//!
//! Two audiences want different things of the same callsites. The application's subscriber must get exactly
//! the calls that it would get without us, whether advice is woven or not. Advice must see callsites that
//! this subscriber has disabled. So the bridge answers `tracing` for both:
//!
//! ```text
//! asked by tracing            answered                                     the application's subscriber
//! ─────────────────────────   ──────────────────────────────────────────   ────────────────────────────
//! max_level_hint              every level: callsites beyond a level         asked for its own, remembered
//!                             would never become known                      per callsite
//! register_callsite           hit by the agent alone?   sometimes
//!                             a check of `enabled!`                         asked; its interest is kept
//!                             that may be yes?          sometimes
//!                             a woven event that it
//!                             does not always want?     sometimes
//!                             a woven span that it
//!                             never wants?              sometimes
//!                             woven, or a carrier?      always
//!                             otherwise: the application's interest,
//!                             but while answers are provisional
//!                             never becomes             sometimes
//! enabled                     by the agent's threads?   no
//!                             woven span, or a carrier? yes; of a span for
//!                                                       advice alone, what its
//!                                                       fields take is charged
//!                             the application's yes     yes                 asked unless it said never
//!                             a check, the first time?  yes
//!                             does advice look?         kept for the event
//! event, new_span             1. fire the tracepoint, if woven              2. called, if its interest and
//!                                                                           its `enabled` want it
//! ```
//!
//! `callsite/interest_rebuild.rs` says when answers are provisional. Calls about spans are passed on,
//! unless the span is one of ours.
//!
//! Step 2 needs care: `Filtered` layers keep the answer to `enabled` in thread-local state for the call that
//! follows. A question without its call, or a call without its question, would leave one layer's answer to
//! the next event ([tracing#2519]). So the inner subscriber is asked just before it is called, and is not
//! asked about what it has never wanted.
//!
//! Spans that the application does not want but somebody here waits for get ids of ours; see
//! `span/tracked_spans.rs`.
//!
//! [tracing#2519]: https://github.com/tokio-rs/tracing/issues/2519

use crate::callsite::cache::{CachedCallsite, CallsiteCache, CallsiteRole, InnerInterest, IsCarrier};
use crate::callsite::tracepoints::CallsiteTracepoints;
use crate::callsite::{compiled_out, dispatches, interest_rebuild, questions};
use crate::log::bridge::install_if_none;
use crate::log::level;
use crate::span::entered_carriers;
use crate::span::server_spans::is_request_span;
use crate::span::tracked_spans::{TrackedSpans, fire_event, is_own, own_id};
use pivot_agent::EndsAgentEvents;
use std::any::TypeId;
use std::cell::Cell;
use std::fmt;
use tracing_core::span::{Attributes, Current, Id, Record};
use tracing_core::{Dispatch, Event, Interest, LevelFilter, Metadata, Subscriber, dispatcher};

thread_local! {
    /// How many spans of applications' subscribers this thread has entered and not left.
    static APP_SPANS: Cell<usize> = const { Cell::new(0) };
}

/// A subscriber that makes every callsite a tracepoint and passes on to `S` what `S` wants.
pub struct SubscriberBridge<S> {
    inner: S,
    callsites: CallsiteCache,
    spans: TrackedSpans,
}

/// The error of installing a global subscriber where there is one already.
#[derive(Debug)]
pub struct AlreadySet;

impl fmt::Display for AlreadySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a global tracing subscriber is set already")
    }
}

impl std::error::Error for AlreadySet {}

impl<S> fmt::Debug for SubscriberBridge<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bridge").field("number", &self.callsites.number).finish_non_exhaustive()
    }
}

impl<S: Subscriber> SubscriberBridge<S> {
    /// Wraps a subscriber. Spans that the usual servers open for a [request](is_request_span) carry it.
    pub fn new(inner: S) -> SubscriberBridge<S> {
        interest_rebuild::listen();
        let callsites = CallsiteCache::new(is_request_span);
        SubscriberBridge { inner, spans: TrackedSpans::new(callsites.number), callsites }
    }

    /// Sets which spans carry a request to wherever they are entered, as `.instrument(span)` does with a
    /// task. Spans that operators name in `PIVOT_CARRIERS`, or at the frontend, carry requests too.
    ///
    /// A carrier that is made outside any request begins one. A carrier that is made inside a request carries
    /// a branch of it. The branch joins the request again where the span is closed, or where a thread leaves
    /// the span and then drops its handle, if that is inside the same request. What a thread does inside a
    /// carrier happened before what others do who enter after it has left.
    pub fn carriers(mut self, is_carrier: IsCarrier) -> SubscriberBridge<S> {
        self.callsites.is_carrier = is_carrier;
        self
    }

    /// Makes this the global subscriber. Records of the `log` crate become events too, unless the
    /// application has a logger: see [`log`](crate::log).
    pub fn install(self) -> Result<(), AlreadySet>
    where
        S: Send + Sync,
    {
        let (number, hint) = (self.callsites.number, self.inner.max_level_hint());
        dispatcher::set_global_default(Dispatch::new(self)).map_err(|_| AlreadySet)?;
        install_if_none(number, hint);
        compiled_out::warn_of_missing_levels();

        if let Err(error) = pivot_agent::carriers_of_environment() {
            tracing::error!(target: "pivot_subscriber", "{}: {error}", pivot_agent::CARRIERS_VARIABLE);
        }
        Ok(())
    }

    /// Asks the application's subscriber for its interest in a callsite, and returns it: *never* also if the
    /// callsite is beyond the subscriber's level, since `tracing` would not pass it on then.
    fn ask_inner(&self, metadata: &'static Metadata<'static>) -> InnerInterest {
        let is_beyond_level = self.inner.max_level_hint().is_some_and(|max| *metadata.level() > max);
        InnerInterest::new(&self.inner.register_callsite(metadata), is_beyond_level)
    }

    /// Returns a callsite that only the agent's threads have reached before. It becomes known.
    fn hit_for_the_first_time(&self, metadata: &Metadata<'_>) -> Option<&'static CachedCallsite> {
        let metadata = self.callsites.take_agents(metadata)?;
        let callsite = self.callsites.get_or_insert(metadata);
        callsite.set_inner_interest(self.ask_inner(metadata));

        // Until `tracing` asks again, it asks at each event.
        interest_rebuild::rebuild_soon();
        Some(callsite)
    }

    /// Returns whether the application's subscriber wants what comes now. Asking also tells the filters of
    /// its layers what comes, so the answer must be followed by the call, if it is yes.
    fn inner_wants(&self, callsite: &CachedCallsite, metadata: &Metadata<'_>) -> bool {
        match callsite.inner_interest() {
            InnerInterest::Never => false,
            InnerInterest::Sometimes => self.inner.enabled(metadata),
            InnerInterest::Always => true,
        }
    }

    fn pass_to_inner(&self, event: &Event<'_>) {
        if self.inner.event_enabled(event) {
            self.inner.event(event);
        }
    }

    /// Returns the application's current span. A thread that is in none need not ask.
    fn app_span(&self) -> Option<u64> {
        if APP_SPANS.get() == 0 {
            return None;
        }
        self.inner.current_span().id().map(Id::into_u64)
    }
}

impl<S: Subscriber> Subscriber for SubscriberBridge<S> {
    fn on_register_dispatch(&self, subscriber: &Dispatch) {
        dispatches::remember(subscriber);
        self.inner.on_register_dispatch(subscriber);
    }

    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        // Noted before it is read what is woven. A change from before this is seen below; after a later one
        // `tracing` is made to ask again.
        let is_provisional = interest_rebuild::is_provisional();
        let inner = self.ask_inner(metadata);
        let Some(callsite) = self.callsites.register(metadata) else {
            // Asked when the application hits it.
            return Interest::sometimes();
        };
        callsite.set_inner_interest(inner);

        match &callsite.kind {
            CallsiteRole::EnabledCheck(check) if check.refresh() => Interest::sometimes(),
            // Asked at each event: a query that is throttled does not look at all of them.
            CallsiteRole::Tracepoint(site) if site.exit.is_none() && site.is_woven() => {
                if inner == InnerInterest::Always { Interest::always() } else { Interest::sometimes() }
            }
            // Asked at each span that is made for advice alone, whose fields are part of what a query costs.
            CallsiteRole::Tracepoint(_) if callsite.is_made_for_advice() => Interest::sometimes(),
            _ if callsite.is_woven() || callsite.is_carrier() => Interest::always(),
            _ if inner == InnerInterest::Never && is_provisional => Interest::sometimes(),
            _ => inner.interest(),
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        if pivot_agent::is_agents_thread() {
            return false;
        }
        let Some(callsite) = self.callsites.get(metadata).or_else(|| self.hit_for_the_first_time(metadata))
        else {
            return self.inner.enabled(metadata);
        };

        // The record's own target is in metadata that were made for this question.
        if let CallsiteRole::LogRecord = callsite.kind {
            return self.inner.enabled(metadata);
        }
        // Although we have said *always*, `tracing` asks while there is another dispatcher.
        if callsite.is_carrier() || callsite.is_woven() && metadata.is_span() {
            if let Some(site) = callsite.site().filter(|_| callsite.is_made_for_advice()) {
                site.begin_fields();
            }
            return true;
        }

        // The application does what it wants to do anyway, whatever we answer.
        self.inner_wants(callsite, metadata)
            || match &callsite.kind {
                CallsiteRole::EnabledCheck(check) => check.is_enabled(),
                CallsiteRole::Tracepoint(site) => site.is_looked_at(),
                CallsiteRole::LogRecord => false,
            }
    }

    /// Returns `None`, which is every level, so that every callsite becomes known.
    fn max_level_hint(&self) -> Option<LevelFilter> {
        level::note_hint(self.callsites.number, self.inner.max_level_hint());
        None
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        // What the agent does is nobody's business.
        if pivot_agent::is_agents_thread() {
            return own_id();
        }
        let metadata = attributes.metadata();
        let callsite = self.callsites.get_or_insert(metadata);

        callsite.site().into_iter().for_each(CallsiteTracepoints::end_fields);
        let carried = self.spans.begin(callsite, attributes);

        // Not before: advice formats fields, and an event emitted there would replace the filters' answer.
        let is_wanted = self.inner_wants(callsite, metadata);
        let id = if is_wanted { self.inner.new_span(attributes) } else { own_id() };

        // A span that the application wants costs nothing from now on, unless it belongs to a request or its end
        // is woven.
        if let Some(site) = callsite.site()
            && (carried.is_some() || !is_wanted || site.exit.is_some_and(|exit| exit.is_woven()))
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

    /// Returns true: `tracing` asks before each event, and the application's subscriber is asked in
    /// [`event`](Subscriber::event), after advice has run.
    fn event_enabled(&self, _: &Event<'_>) -> bool {
        true
    }

    fn event(&self, event: &Event<'_>) {
        if pivot_agent::is_agents_thread() {
            return;
        }
        let callsite = self.callsites.get_or_insert(event.metadata());

        // A record of `log` fired its tracepoint already, and its forwarder has asked the application's
        // subscriber about the record's own target.
        if let CallsiteRole::LogRecord = callsite.kind {
            return self.pass_to_inner(event);
        }

        fire_event(callsite.site(), event);
        if self.inner_wants(callsite, event.metadata()) {
            self.pass_to_inner(event);
        }
    }

    fn enter(&self, span: &Id) {
        questions::entered_span();
        self.spans.enter(span, || self.app_span());
        if !is_own(span) {
            APP_SPANS.set(APP_SPANS.get() + 1);
            self.inner.enter(span);
        }
    }

    fn exit(&self, span: &Id) {
        questions::left_span();
        if !is_own(span) {
            APP_SPANS.set(APP_SPANS.get().saturating_sub(1));
            self.inner.exit(span);
        }
        self.spans.exit(span);
    }

    fn clone_span(&self, span: &Id) -> Id {
        self.spans.add_handle(span);
        if is_own(span) {
            return span.clone();
        }

        // The application hands on its current span, which it opened inside a carrier: whoever enters it
        // works for the carrier's request. Not if the span was current before: then it leads elsewhere.
        let id = span.into_u64();
        if let Some(innermost) = entered_carriers::innermost(self.callsites.number)
            && innermost.carrier != id
            && innermost.app_span != Some(id)
            && self.app_span() == Some(id)
        {
            self.spans.alias(span, &innermost);
        }
        self.inner.clone_span(span)
    }

    fn try_close(&self, span: Id) -> bool {
        let was_last =
            if is_own(&span) { self.spans.remove_handle(&span) } else { self.inner.try_close(span.clone()) };

        if was_last {
            self.spans.close(&span);
        } else {
            self.spans.dropped_handle(&span);
        }
        was_last
    }

    /// Returns the application's current span. If it has none, returns the carrier that this thread is
    /// inside of: code that asks for the current span to hand it on hands on the request.
    fn current_span(&self) -> Current {
        let inner = self.inner.current_span();
        if inner.id().is_none()
            && let Some(innermost) = entered_carriers::innermost(self.callsites.number)
            && let Some(metadata) = self.spans.metadata(innermost.carrier)
        {
            return Current::new(Id::from_u64(innermost.carrier), metadata);
        }
        inner
    }

    // SAFETY: the pointers are those of `self` and of what it holds, valid as long as `self` is, and of a constant.
    unsafe fn downcast_raw(&self, id: TypeId) -> Option<*const ()> {
        if id == TypeId::of::<Self>() {
            return Some(std::ptr::from_ref(self).cast());
        }
        if id == TypeId::of::<EndsAgentEvents>() {
            return Some(std::ptr::from_ref(&EndsAgentEvents).cast());
        }
        // SAFETY: our caller promises what the inner subscriber asks for.
        unsafe { self.inner.downcast_raw(id) }
    }
}
