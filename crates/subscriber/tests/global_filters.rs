//! A global subscriber of layers with filters of their own. `tracing` does not guard it against events that
//! fields cause while they are formatted.
#![allow(missing_docs, clippy::unwrap_used)]

mod harness;

use harness::{emit, rows};
use std::fmt;
use std::sync::{Arc, Mutex};
use tracing_core::span::{Attributes, Id};
use tracing_core::{Event, Level, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::{Registry, registry::LookupSpan};

/// A layer that keeps the names of the spans and events that it gets.
#[derive(Clone, Default)]
struct Names(Arc<Mutex<Vec<&'static str>>>);

impl Names {
    fn take(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Names {
    fn on_new_span(&self, attributes: &Attributes<'_>, _: &Id, _: Context<'_, S>) {
        self.0.lock().unwrap().push(attributes.metadata().name());
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        self.0.lock().unwrap().push(event.metadata().name());
    }
}

/// A field that emits an event when it is formatted.
struct Chatty;

impl fmt::Debug for Chatty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        tracing::info!(name: "said", target: "chatter", "formatting");
        f.write_str("chatty")
    }
}

#[test]
fn an_event_that_a_span_field_causes_changes_no_filters_answer_about_the_span() {
    let only = |target: &str| Targets::new().with_target(target, Level::TRACE);
    let (work, chatter) = (Names::default(), Names::default());
    let layers = Registry::default()
        .with(work.clone().with_filter(only("work")))
        .with(chatter.clone().with_filter(only("chatter")));
    pivot_subscriber::install(layers).unwrap();
    let open = || tracing::info_span!(target: "work", "open", who = ?Chatty);

    drop(open());
    assert_eq!((work.take(), chatter.take()), (vec!["open"], vec![]), "nothing woven");

    pivot_agent::weave(&[emit("work::open@enter", &["who"])]);
    drop(open());
    assert_eq!(rows(), ["chatty"]);
    assert_eq!((work.take(), chatter.take()), (vec!["open"], vec!["said"]), "woven");
}
