//! For who composes layers by hand.
//!
//! A layer without a filter of its own has no good answer for callsites that nobody queries: *never*
//! takes them from all other layers, anything else makes other layers' disabled callsites slow. So
//! there is no way to have ours without its filter. What [`Bridge`](crate::Bridge) does better: this
//! one makes callsites that other filters enable for good ask those filters each time, about 20 ns;
//! and a filter for all layers hides from it what it hides from the others.

use crate::callsite::cache::{CachedCallsite, CallsiteCache, CallsiteKind, IsCarrier};
use crate::callsite::interest_rebuild;
use crate::fire;
use crate::span::carried_request::CarriedRequest;
use crate::span::open_spans::OpenSpans;
use crate::span::request_spans::is_request_span;
use std::sync::Arc;
use tracing_core::span::{Attributes, Id, Record};
use tracing_core::{Dispatch, Event, Interest, LevelFilter, Metadata, Subscriber};
use tracing_subscriber::filter::Filtered;
use tracing_subscriber::layer::{Context, Filter, Layer};
use tracing_subscriber::registry::LookupSpan;

/// Makes every callsite a tracepoint. OpenSpans that the usual servers open for a [request](is_request_span)
/// carry it.
pub fn layer<S>() -> Filtered<TracepointLayer, TracepointFilter, S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    layer_with(is_request_span)
}

/// The same, with other [carriers](crate::Bridge::carriers).
pub fn layer_with<S>(carries: IsCarrier) -> Filtered<TracepointLayer, TracepointFilter, S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    interest_rebuild::listen();
    let callsites = Arc::new(CallsiteCache::new(carries));
    let spans = OpenSpans::new(callsites.number);
    TracepointLayer { callsites: Arc::clone(&callsites), spans }.with_filter(TracepointFilter { callsites })
}

/// The layer. It comes with its filter only, from [`layer`].
#[derive(Debug)]
pub struct TracepointLayer {
    callsites: Arc<CallsiteCache>,
    spans: OpenSpans,
}

/// The filter: lets through what advice is woven at, and spans that carry a request.
#[derive(Debug)]
pub struct TracepointFilter {
    callsites: Arc<CallsiteCache>,
}

fn wanted(slot: &CachedCallsite) -> bool {
    slot.is_woven() || slot.carries
}

impl<S> Filter<S> for TracepointFilter {
    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        let provisional = interest_rebuild::is_provisional();
        let slot = self.callsites.slot(metadata);
        let may = match &slot.kind {
            CallsiteKind::EnabledCheck(check) => check.refresh(metadata.target()),
            _ => wanted(slot),
        };
        // Not *always*, even if it is: while all filters say that, none is asked, and the registry
        // takes the answers to the question before for those to this one.
        if may || provisional { Interest::sometimes() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        self.callsites.known(metadata).is_some_and(|slot| match &slot.kind {
            CallsiteKind::EnabledCheck(check) => check.is_enabled(),
            _ => wanted(slot),
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
        interest_rebuild::remember(subscriber);
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, _: Context<'_, S>) {
        let slot = self.callsites.slot(attributes.metadata());
        let fire = || {
            if let Some(site) = slot.site().filter(|site| site.enter.is_woven()) {
                self.spans.passing(|| fire::fire_span_enter(site, attributes));
            }
        };
        let mut carried = slot.carries.then(|| CarriedRequest::begin(fire));
        match &mut carried {
            // Nobody tells a layer of a second handle.
            Some(carried) => carried.share(),
            None => fire(),
        }
        if let Some(site) = slot.site()
            && (carried.is_some() || site.exit.is_some_and(|exit| exit.is_woven()))
        {
            self.spans.open(id, site, attributes, carried);
        }
    }

    fn on_record(&self, span: &Id, values: &Record<'_>, _: Context<'_, S>) {
        self.spans.record(span, values);
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if let Some(site) = self.callsites.slot(event.metadata()).site().filter(|site| site.enter.is_woven())
        {
            self.spans.passing(|| fire::fire_event(site, event));
        }
    }

    fn on_enter(&self, span: &Id, _: Context<'_, S>) {
        self.spans.enter(span, || None);
    }

    fn on_exit(&self, span: &Id, _: Context<'_, S>) {
        self.spans.exit(span);
    }

    fn on_close(&self, span: Id, _: Context<'_, S>) {
        self.spans.close(&span);
    }
}
