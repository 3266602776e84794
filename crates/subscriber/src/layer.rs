//! [`fn@layer`]: for applications that compose layers by hand and cannot wrap their subscriber in
//! [`SubscriberBridge`](crate::SubscriberBridge).
//!
//! ```
//! use tracing_subscriber::layer::SubscriberExt;
//!
//! let subscriber = tracing_subscriber::Registry::default().with(pivot_subscriber::layer());
//! # drop(subscriber);
//! ```
//!
//! The layer comes with a filter and cannot be had without: a layer without a filter has no good answer for
//! callsites that no query names. *Never* would take them from all other layers, any other answer would
//! make callsites slow that the other layers have disabled.
//!
//! The bridge does four things better. This layer's filter makes `tracing` ask the others' filters at each
//! event of callsites that they enable for good, about 20 ns. A filter in front of all layers hides from this
//! one what it hides from the others. And advice may format a field that emits an event of its own, which
//! replaces the answers of filters whose layers come later; so add this layer last. And a layer cannot
//! keep the application from making an event: while advice is woven, `enabled!` is yes and fields are evaluated, also
//! where a throttled query does not look.

use crate::callsite::cache::{CachedCallsite, CallsiteCache, CallsiteRole, IsCarrier};
use crate::callsite::tracepoints::CallsiteTracepoints;
use crate::callsite::{dispatches, interest_rebuild, other_layers, questions};
use crate::span::server_spans::is_request_span;
use crate::span::tracked_spans::{TrackedSpans, fire_event};
use std::sync::Arc;
use tracing_core::span::{Attributes, Id, Record};
use tracing_core::{Dispatch, Event, Interest, LevelFilter, Metadata, Subscriber};
use tracing_subscriber::filter::Filtered;
use tracing_subscriber::layer::{Context, Filter, Layer};
use tracing_subscriber::registry::LookupSpan;

/// Returns a layer that makes every callsite a tracepoint. Spans that the usual servers open for a
/// [request](is_request_span) carry it.
pub fn layer<S>() -> Filtered<TracepointLayer, WovenFilter, S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    layer_with(is_request_span)
}

/// Returns a layer that makes every callsite a tracepoint, with these
/// [carriers](crate::SubscriberBridge::carriers).
pub fn layer_with<S>(is_carrier: IsCarrier) -> Filtered<TracepointLayer, WovenFilter, S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    interest_rebuild::listen();
    let callsites = Arc::new(CallsiteCache::new(is_carrier));
    let spans = TrackedSpans::new(callsites.number);
    let filter = WovenFilter { callsites: Arc::clone(&callsites) };
    TracepointLayer { callsites, spans }.with_filter(filter)
}

/// The layer that [`fn@layer`] returns, inside of its filter.
#[derive(Debug)]
pub struct TracepointLayer {
    callsites: Arc<CallsiteCache>,
    spans: TrackedSpans,
}

/// The filter of [`fn@layer`]: passes callsites at which advice is woven, and carriers.
#[derive(Debug)]
pub struct WovenFilter {
    callsites: Arc<CallsiteCache>,
}

fn is_wanted(callsite: &CachedCallsite) -> bool {
    callsite.is_woven() || callsite.is_carrier()
}

impl<S> Filter<S> for WovenFilter {
    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        if other_layers::is_asking() {
            return Interest::never();
        }
        let is_provisional = interest_rebuild::is_provisional();
        let Some(callsite) = self.callsites.register(metadata) else { return Interest::sometimes() };
        let may_be_wanted = match &callsite.kind {
            CallsiteRole::EnabledCheck(check) => check.refresh(),
            _ => is_wanted(callsite),
        };

        // Not *always*, even if it is: while all filters say that, none is asked, and the registry takes
        // the answers to the question before for answers to this one.
        if may_be_wanted || is_provisional { Interest::sometimes() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        if pivot_agent::is_agents_thread() {
            return false;
        }
        let callsite = self.callsites.get(metadata).or_else(|| {
            let metadata = self.callsites.take_agents(metadata)?;
            interest_rebuild::rebuild_soon();
            Some(self.callsites.get_or_insert(metadata))
        });

        callsite.is_some_and(|callsite| match &callsite.kind {
            CallsiteRole::EnabledCheck(check) => check.may_be_enabled(),
            CallsiteRole::Tracepoint(site) if site.exit.is_none() => site.is_looked_at(),
            CallsiteRole::Tracepoint(site) if callsite.is_made_for_advice() => {
                site.begin_fields();
                true
            }
            _ => is_wanted(callsite),
        })
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        None
    }
}

impl<S> Layer<S> for TracepointLayer
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_register_dispatch(&self, subscriber: &Dispatch) {
        dispatches::remember(subscriber);
        other_layers::remember(subscriber, &self.callsites);
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, _: Context<'_, S>) {
        let callsite = self.callsites.get_or_insert(attributes.metadata());

        callsite.site().into_iter().for_each(CallsiteTracepoints::end_fields);
        let carried = self.spans.begin(callsite, attributes);
        if let Some(carried) = &carried {
            // A layer is not told of a second handle, so there may always be one.
            carried.note_handle();
        }

        if let Some(site) = callsite.site()
            && (carried.is_some() || site.exit.is_some_and(|exit| exit.is_woven()))
        {
            self.spans.open(id, site, attributes, carried);
        }
    }

    fn on_record(&self, span: &Id, values: &Record<'_>, _: Context<'_, S>) {
        self.spans.record(span, values);
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let callsite = self.callsites.get_or_insert(event.metadata());
        fire_event(callsite.site(), event);
    }

    fn on_enter(&self, span: &Id, _: Context<'_, S>) {
        questions::entered_span();
        // Without aliases the application's current span does not matter.
        self.spans.enter(span, || None);
    }

    fn on_exit(&self, span: &Id, _: Context<'_, S>) {
        questions::left_span();
        self.spans.exit(span);
    }

    fn on_close(&self, span: Id, _: Context<'_, S>) {
        self.spans.close(&span);
    }
}
