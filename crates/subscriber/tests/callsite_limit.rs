//! Callsites of `tracing` that are made as the program runs, without end.
#![allow(missing_docs, clippy::unwrap_used)]

mod harness;

use harness::{emit, rows, under};
use std::sync::OnceLock;
use tracing_core::callsite::{self, Callsite};
use tracing_core::subscriber::NoSubscriber;
use tracing_core::{Event, Interest, Kind, Level, Metadata, field, identify_callsite};

struct Made(OnceLock<Metadata<'static>>);

impl Callsite for Made {
    fn set_interest(&self, _: Interest) {}
    fn metadata(&self) -> &Metadata<'_> {
        self.0.get().unwrap()
    }
}

/// Makes an event's callsite, as a binding to another language may for each line of a script.
fn make(number: usize) -> &'static Metadata<'static> {
    let made: &'static Made = Box::leak(Box::new(Made(OnceLock::new())));
    let fields = field::FieldSet::new(&["n"], identify_callsite!(made));
    let target: &'static str = format!("script::{number}").leak();
    let metadata = Metadata::new("line", target, Level::DEBUG, None, None, None, fields, Kind::EVENT);
    made.0.set(metadata).unwrap();
    callsite::register(made);
    made.0.get().unwrap()
}

#[test]
fn callsites_beyond_a_limit_share_a_tracepoint() {
    under(NoSubscriber::default(), || {
        let made: Vec<_> = (0..21_000).map(make).collect();
        let known = pivot_agent::catalogue().len();
        assert_eq!(known, 20_001, "one for all beyond the limit");

        let fire = |number: usize| {
            let metadata = made[number];
            let n = metadata.fields().field("n").unwrap();
            let values = [(&n, Some(&7_u64 as &dyn field::Value))];
            Event::dispatch(metadata, &metadata.fields().value_set(&values));
        };
        pivot_agent::weave(&[emit("tracing::other", &["target", "level"])]);
        [5, 20_500, 20_999].into_iter().for_each(fire);
        assert_eq!(rows(), ["script::20500 DEBUG", "script::20999 DEBUG"]);

        pivot_agent::weave(&[emit("script::5::line", &["n"])]);
        [5, 20_500].into_iter().for_each(fire);
        assert_eq!(rows(), ["7"]);
    });
}
