//! The spans that web servers open for each request.

use tracing_core::Metadata;

/// The crates' targets and the names of these spans.
const REQUEST_SPANS: [(&str, &str); 4] = [
    ("tower_http::trace::make_span", "request"),
    ("tracing_actix_web::root_span_builder", "HTTP request"),
    ("poem::middleware::tracing_mw", "request"),
    ("warp::filters::trace", "request"),
];

/// Returns whether a span is the one that a usual server opens for a request: the `TraceLayer` of
/// `tower-http` with its own span maker, `tracing-actix-web`, `poem` or `warp`. For a span of your own,
/// give [`SubscriberBridge::carriers`](crate::SubscriberBridge::carriers) a function of your own.
pub fn is_request_span(span: &Metadata<'_>) -> bool {
    REQUEST_SPANS.iter().any(|(target, name)| span.target() == *target && span.name() == *name)
}
