//! The spans that servers open for a request.

use tracing_core::Metadata;

/// Targets of the crates that open such a span, with its name.
const REQUEST_SPANS: [(&str, &str); 4] = [
    ("tower_http::trace::make_span", "request"),
    ("tracing_actix_web::root_span_builder", "HTTP request"),
    ("poem::middleware::tracing_mw", "request"),
    ("warp::filters::trace", "request"),
];

/// Whether this is the span of a request that one of the usual servers opens: the `TraceLayer` of
/// `tower-http` as it comes, `tracing-actix-web`, `poem` or `warp`. For a span of your own give
/// `carriers` a function of your own.
pub fn is_request_span(span: &Metadata<'_>) -> bool {
    REQUEST_SPANS.iter().any(|(target, name)| span.target() == *target && span.name() == *name)
}
