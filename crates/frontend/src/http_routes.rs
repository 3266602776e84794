//! The HTTP routes of a frontend, on the port of both gRPC services: for whoever runs it.
//!
//! | route | what it says |
//! |---|---|
//! | `/healthz` | the process lives |
//! | `/readyz` | it stores and shows results; 503 with the reason if it does not |
//! | `/metrics` | figures about itself, as Prometheus reads them |
//! | `/api/v1/…` | what the prompt can do, as JSON; `/api/v1/openapi.json` lists it |
//! | `/metrics/queries` | results of queries that say `INTO prometheus` |
//!
//! A page in somebody's browser must not reach a frontend on the same machine: on loopback, `Host` has to name it. Hence
//! gRPC is served over HTTP/2 alone, which browsers do not speak without TLS.

use crate::allowed_hosts::AllowedHosts;
use crate::clients_service::ClientsService;
use crate::doors::{API, api_routes, refuse_api_request};
use crate::frontend_metrics::frontend_metrics;
use crate::prometheus_sink::query_metrics;
use crate::shared_state::SharedState;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HOST};
use axum::http::{StatusCode, Version};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use std::sync::Arc;

/// The routes that are not gRPC.
const PATHS: [&str; 4] = ["/healthz", "/readyz", "/metrics", "/metrics/queries"];

const TEXT: &str = "text/plain; charset=utf-8";

/// The version of the form belongs to its name.
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Returns the routes of a frontend with those of its gRPC services.
pub(crate) fn routes(service: ClientsService, grpc: Router, hosts: AllowedHosts) -> Router {
    Router::new()
        .route("/healthz", get(health))
        .route("/readyz", get(readiness))
        .route("/metrics", get(metrics))
        .route("/metrics/queries", get(results))
        .with_state(service.shared.clone())
        .merge(api_routes(service))
        .merge(grpc)
        .layer(from_fn_with_state(hosts, guard))
}

/// Keeps from the routes whatever should not reach them.
async fn guard(State(hosts): State<AllowedHosts>, request: Request, next: Next) -> Response {
    // By its path, since the type of the content is what the sender says.
    let path = request.uri().path();
    let is_http = path.starts_with(API) || PATHS.contains(&path);
    let content = request.headers().get(CONTENT_TYPE).and_then(|content| content.to_str().ok());
    if !is_http && content.is_some_and(|content| content.starts_with("application/grpc")) {
        return match request.version() {
            Version::HTTP_2 => next.run(request).await,
            _ => plain(StatusCode::HTTP_VERSION_NOT_SUPPORTED, "gRPC is served over HTTP/2"),
        };
    }

    let header = request.headers().get(HOST).map(|host| host.to_str().unwrap_or_default());
    let host = header.or_else(|| request.uri().authority().map(|authority| authority.as_str()));
    if !hosts.allow(host) {
        let wrong = "the frontend listens on loopback alone, and serves requests whose Host is localhost or a \
                     loopback address";
        return plain(StatusCode::FORBIDDEN, wrong);
    }
    if path.starts_with(API) {
        return match refuse_api_request(&request, hosts) {
            None => next.run(request).await,
            Some(refused) => refused,
        };
    }
    if !is_http {
        let there_are = format!("there are {}, {API}openapi.json, and gRPC", PATHS.join(", "));
        return plain(StatusCode::NOT_FOUND, &there_are);
    }
    next.run(request).await
}

async fn health() -> Response {
    plain(StatusCode::OK, "alive")
}

async fn readiness(State(shared): State<Arc<SharedState>>) -> Response {
    match shared.unready() {
        None => plain(StatusCode::OK, "ready"),
        Some(reason) => plain(StatusCode::SERVICE_UNAVAILABLE, &reason),
    }
}

async fn metrics(State(shared): State<Arc<SharedState>>) -> Response {
    ([(CONTENT_TYPE, PROMETHEUS), (CACHE_CONTROL, "no-store")], frontend_metrics(&shared)).into_response()
}

async fn results(State(shared): State<Arc<SharedState>>) -> Response {
    ([(CONTENT_TYPE, PROMETHEUS), (CACHE_CONTROL, "no-store")], query_metrics(&shared).await).into_response()
}

fn plain(status: StatusCode, text: &str) -> Response {
    (status, [(CONTENT_TYPE, TEXT), (CACHE_CONTROL, "no-store")], format!("{text}\n")).into_response()
}
