//! Spans carry requests because an operator has named them.
#![allow(missing_docs, clippy::unwrap_used)]

mod harness;

use harness::{Counts, under_wrapped};
use pivot_advice::CarrierGlob;
use pivot_baggage::in_request;
use pivot_subscriber::SubscriberBridge;
use tracing_core::subscriber::NoSubscriber;

fn globs(list: &str) -> Vec<CarrierGlob> {
    CarrierGlob::list(list).unwrap()
}

fn request_carries() -> bool {
    tracing::info_span!(target: "app::web", "http_request").in_scope(in_request)
}

fn other_carries() -> bool {
    tracing::debug_span!(target: "app::db", "query").in_scope(in_request)
}

#[test]
fn spans_that_a_process_names_carry_a_request_from_then_on() {
    under_wrapped(SubscriberBridge::new(NoSubscriber::default()).carriers(|_| false), || {
        assert_eq!((request_carries(), other_carries()), (false, false));

        pivot_agent::set_carriers(globs("app::*::http_request, none::**"));
        assert_eq!((request_carries(), other_carries()), (true, false));

        pivot_agent::set_carriers(globs("app::*::http_request, query"));
        assert_eq!((request_carries(), other_carries()), (true, true));

        pivot_agent::set_carriers(globs("query"));
        assert_eq!((request_carries(), other_carries()), (false, true));

        pivot_agent::set_carriers(globs(""));
        assert_eq!((request_carries(), other_carries()), (false, false));
    });
}

#[test]
fn the_function_holds_beside_the_names() {
    under_wrapped(SubscriberBridge::new(Counts::default()).carriers(|span| span.name() == "query"), || {
        pivot_agent::set_carriers(globs("http_request"));
        assert_eq!((request_carries(), other_carries()), (true, true));
        pivot_agent::set_carriers(globs(""));
        assert_eq!((request_carries(), other_carries()), (false, true));
    });
}
