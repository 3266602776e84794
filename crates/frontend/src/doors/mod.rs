//! Doors: ways to a frontend other than gRPC, all over the public service of clients.
//!
//! ```text
//! HTTP request ──guard──▶ api_routes ──▶ ClientsService (the same calls as over gRPC) ──▶ api_json ──▶ response
//!                             │
//!                             └─▶ api_stream: server-sent events, NDJSON, CSV
//! ```

mod api_document;
mod api_formats;
mod api_json;
mod api_lists;
mod api_problem;
mod api_requests;
mod api_routes;
mod api_stream;
mod grpc_health;
mod grpc_reflection;

pub(crate) use api_routes::{API, api_routes, refuse_api_request};
pub(crate) use grpc_health::health_service;
pub(crate) use grpc_reflection::add_reflection;
