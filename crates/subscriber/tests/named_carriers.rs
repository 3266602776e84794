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
fn spans_that_the_frontend_names_carry_a_request_beside_them_and_are_known() {
    under_wrapped(SubscriberBridge::new(NoSubscriber::default()).carriers(|_| false), || {
        pivot_agent::set_carriers(globs("app::*::http_request"));
        assert_eq!((request_carries(), other_carries()), (true, false));

        pivot_agent::set_frontend_carriers(globs("query, none::**"));
        let known = pivot_agent::frontend_carriers();
        let spans = |at: usize| known[at].spans.iter().map(String::as_str).collect::<Vec<_>>();
        assert_eq!((spans(0), spans(1)), (vec!["app::db::query"], vec![]));
        assert_eq!((request_carries(), other_carries()), (true, true));

        pivot_agent::set_carriers(globs(""));
        assert_eq!((request_carries(), other_carries()), (false, true));

        pivot_agent::set_frontend_carriers(globs(""));
        assert_eq!((request_carries(), other_carries()), (false, false));
        assert_eq!(pivot_agent::frontend_carriers(), []);
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
