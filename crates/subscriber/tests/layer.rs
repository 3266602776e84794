//! The layer for applications that compose layers by hand: what it sees, and that other layers see what they did
//! before, and are asked no more than before.
#![allow(missing_docs, clippy::unwrap_used)]

mod harness;

use harness::{emit, pack_at, packed, request, rows, serially};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use tracing::Instrument;
use tracing_core::{Dispatch, Event, Interest, Level, LevelFilter, Metadata, Subscriber, dispatcher};
use tracing_subscriber::layer::{Context, Filter, Layer, SubscriberExt};
use tracing_subscriber::registry::{LookupSpan, Registry};

/// A layer that counts events and spans, and a filter of a level that counts the questions it is asked.
#[derive(Clone, Default)]
struct Other(Arc<Counts>);

#[derive(Default)]
struct Counts {
    events: AtomicU64,
    spans: AtomicU64,
    asked: AtomicU64,
}

impl Other {
    /// Returns the numbers of events, spans and questions since the last time.
    fn taken(&self) -> [u64; 3] {
        [&self.0.events, &self.0.spans, &self.0.asked].map(|count| count.swap(0, SeqCst))
    }
}

impl<S: Subscriber> Layer<S> for Other {
    fn on_event(&self, _: &Event<'_>, _: Context<'_, S>) {
        self.0.events.fetch_add(1, SeqCst);
    }

    fn on_new_span(
        &self,
        _: &tracing_core::span::Attributes<'_>,
        _: &tracing_core::span::Id,
        _: Context<'_, S>,
    ) {
        self.0.spans.fetch_add(1, SeqCst);
    }
}

impl<S> Filter<S> for Other {
    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        if *metadata.level() <= Level::INFO { Interest::always() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        self.0.asked.fetch_add(1, SeqCst);
        *metadata.level() <= Level::INFO
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::INFO)
    }
}

/// Passes an event and a span below INFO.
fn quiet(n: u64) {
    tracing::debug!(name: "quiet", target: "layer", n);
    let _span = tracing::debug_span!(target: "layer", "detail", n).entered();
}

/// Passes an event and a span of INFO.
fn loud(n: u64) {
    let _span = tracing::info_span!(target: "layer", "work", n).entered();
    tracing::info!(name: "loud", target: "layer", n);
}

fn under(subscriber: impl Subscriber + Send + Sync, run: impl FnOnce()) {
    serially(|| dispatcher::with_default(&Dispatch::new(subscriber), run));
}

/// Returns another layer, and a subscriber of it and ours.
fn composed() -> (Other, impl Subscriber + Send + Sync) {
    let other = Other::default();
    let layers = other.clone().with_filter(other.clone());
    (other, Registry::default().with(layers).with(pivot_subscriber::layer()))
}

#[test]
fn the_layer_sees_what_is_woven_and_others_see_what_they_did() {
    let (other, subscriber) = composed();
    under(subscriber, || {
        let both = || {
            (0..5).for_each(|n| {
                loud(n);
                quiet(n);
            })
        };
        both();
        assert_eq!(other.taken()[..2], [5, 5]);

        let names = ["layer::quiet", "layer::loud", "layer::detail@exit", "layer::work@enter"];
        let woven: Vec<_> = names.iter().map(|name| emit(name, &["n", "level"])).collect();
        assert_eq!(pivot_agent::weave(&woven[..2]), []);
        both();
        assert_eq!(rows().len(), 10);

        assert_eq!(pivot_agent::weave(&woven[2..]), []);
        both();
        assert_eq!(rows().iter().filter(|row| row.ends_with("DEBUG")).count(), 5);
        assert_eq!(other.taken()[..2], [10, 10]);
    });
}

/// A callsite that a filter has disabled for good is not asked about, whatever else is in the stack:
/// that is what makes it cost nothing.
#[test]
fn callsites_that_others_disabled_are_not_asked_about_until_they_are_woven() {
    let (other, subscriber) = composed();
    under(subscriber, || {
        (0..100).for_each(quiet);
        assert_eq!(other.taken(), [0, 0, 0]);
        pivot_agent::weave(&[emit("layer::quiet", &["n"])]);
        (0..100).for_each(quiet);
        assert_eq!(other.taken(), [0, 0, 100], "about the event, not about the span");
        pivot_agent::weave(&[]);
        (0..100).for_each(quiet);
        assert_eq!(other.taken(), [0, 0, 0]);
    });
}

/// `tracing` issue 2519.
#[test]
fn a_rejected_event_does_not_take_the_next_span_with_it() {
    let (other, subscriber) = composed();
    under(subscriber, || {
        quiet(0);
        loud(0);
        pivot_agent::weave(&[emit("layer::quiet", &[]), emit("layer::loud", &[])]);
        other.taken();

        for n in 0..10 {
            quiet(n);
            loud(n);
        }
        assert_eq!(other.taken()[..2], [10, 10]);
        assert_eq!(rows().len(), 20);
    });
}

#[test]
fn weaving_on_a_thread_without_a_subscriber_reaches_the_layer() {
    let (other, subscriber) = composed();
    under(subscriber, || {
        quiet(0);
        loud(0);
        other.taken();
        std::thread::scope(|s| drop(s.spawn(|| pivot_agent::weave(&[emit("layer::quiet", &["n"])])).join()));
        quiet(1);
        loud(1);
        assert_eq!((rows(), other.taken()[0]), (vec!["1".into()], 1));
    });
}

#[test]
fn carriers_of_the_layer_take_requests_along() {
    fn pack(n: u64) {
        tracing::info!(name: "pack", target: "layer carried", n);
    }
    fn carries<S>() -> impl Layer<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        pivot_subscriber::layer::layer_with(|span| span.target() == "carrier")
    }
    under(Registry::default().with(carries()), || {
        pack(0);
        pivot_agent::weave(&[pack_at("layer carried::pack", "n")]);
        pivot_baggage::set_carrying(true);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let task = |n: u64| async move {
                let first = request();
                pack(n);
                tokio::task::yield_now().await;
                let branch = async { pack(n + 1) };
                branch.instrument(tracing::info_span!(target: "carrier", "branch")).await;
                assert_eq!(request(), first);
                (first, packed())
            };
            let spawn =
                |n| tokio::spawn(task(n).instrument(tracing::info_span!(target: "carrier", "request")));

            let (a, b) = (spawn(10), spawn(20));
            let (a, b) = (a.await.unwrap(), b.await.unwrap());
            assert_eq!((a.1, b.1), (Some(vec![10, 11]), Some(vec![20, 21])));
            assert!(a.0 != b.0 && a.0.is_some() && !pivot_baggage::in_request());
        });
        pivot_baggage::set_carrying(false);
    });
}
