//! Baggage across HTTP, gRPC and tasks: keeps a request together wherever it goes.
//!
//! ```text
//!              fork                   branch                    join
//!  request ──┬─ ClientLayer ─header─▶ ServerLayer ─▶ events ─header or trailers─▶ reply's future, body ─┐
//!            ├─ spawn ──────────────▶ task ────────▶ events ────────────────────▶ JoinHandle .await ────┤
//!            ├─ join! ──────────────▶ future ──────▶ events ────────────────────▶ end of join! ─────────┤
//!            └─ WithBaggage ─field──▶ Traced::run ─▶ events ─field──────────────▶ WithBaggage::join ────┤
//!                                                                                                       ▼
//!                                                            what comes now happened after those events
//! ```
//!
//! ```
//! use pivot_propagate::{request, spawn};
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
//! let sum = runtime.block_on(request(async {
//!     let other = spawn(async { 20 });
//!     22 + other.await.unwrap_or(0)
//! }));
//! assert_eq!(sum, 42);
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! | where a request forks | use |
//! |---|---|
//! | calls | [`ClientLayer`] around the client, [`ServerLayer`] around the server |
//! | calls of any other client or server | [`any_headers`] |
//! | tasks | [`spawn`], [`spawn_blocking`], [`JoinSet`]; [`spawn_detached`] if nobody awaits it |
//! | futures of one task | [`join!`], [`try_join!`], [`select!`]; [`forked`] for any other |
//! | threads | [`thread`], and [`Fan`] or the module `rayon_pool` (feature `rayon`) for thread pools |
//! | channels | [`Traced`] |
//! | messages of one gRPC stream | `WithBaggage` (feature `prost`), [`carried_stream`] |
//!
//! `lints/clippy.toml` in this crate's folder names the raw calls that these replace, to be copied into
//! an application.
//!
//! Calls and requests are events as well: queries name them `pivot::server`, `pivot::client` and `pivot::request`, see
//! `call_tracepoints.rs`.
//!
//! Reading order: [`header`], `header_room`, `w3c_baggage`, [`egress`] (`punycode`), [`signing_key`], `call_tracepoints`, [`client`], [`server`], [`any_headers`], [`task`], [`join_set`],
//! [`stream`], `grpc_message`, `rayon_pool`.

pub mod any_headers;
mod call_tracepoints;
pub mod client;
pub mod egress;
#[cfg(feature = "prost")]
pub mod grpc_message;
pub mod header;
mod header_room;
pub mod join_set;
mod macros;
mod punycode;
#[cfg(feature = "rayon")]
pub mod rayon_pool;
#[cfg(feature = "reqwest")]
mod reqwest;
pub mod server;
pub mod signing_key;
pub mod stream;
pub mod task;
mod w3c_baggage;

pub use any_headers::{AnsweredCall, AwaitedReply, ReceivedCall};
pub use client::{ClientBody, ClientLayer, ClientService};
pub use egress::Egress;
#[cfg(feature = "prost")]
pub use grpc_message::WithBaggage;
pub use header::{BINARY_HEADER, TEXT_HEADER};
pub use join_set::JoinSet;
pub use pivot_baggage::{Fan, Traced, forked, request_id, thread};
pub use server::{ServerBody, ServerLayer, ServerService};
pub use signing_key::SigningKey;
pub use stream::carried_stream;
pub use task::{JoinHandle, request, spawn, spawn_blocking, spawn_detached};

#[doc(hidden)]
pub use tokio as __tokio;
