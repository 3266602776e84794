//! Baggage across HTTP, gRPC and tasks.
//!
//! ```text
//! request ─Client─▶ fork ─header─▶ Server ─▶ events ─whole─▶ header or trailers ─Client─▶ join
//! request ─spawn──▶ fork ────────▶ task ───▶ events ───────▶ JoinHandle ──.await───────▶ join
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
//! Tasks: [`spawn`], [`spawn_blocking`], [`JoinSet`], [`join!`], [`try_join!`], [`select!`];
//! [`forked`] for any other concurrency within a task. Threads: [`thread`], and [`Fan`] for pools.
//! Channels: [`Traced`]; messages of a gRPC stream: `WithBaggage`, with the feature `prost`. `lints/clippy.toml` in this crate's folder names what they replace, to be copied.
//!
//! Reading order: [`header`], `w3c`, [`egress`], [`key`], [`client`], [`server`], [`task`], [`join_set`],
//! [`stream`].

pub mod client;
pub mod egress;
#[cfg(feature = "prost")]
pub mod grpc_message;
pub mod header;
pub mod join_set;
pub mod key;
mod macros;
#[cfg(feature = "rayon")]
pub mod pool;
#[cfg(feature = "reqwest")]
mod reqwest;
pub mod server;
pub mod stream;
pub mod task;
mod w3c;

pub use client::{Client, ClientBody, ClientLayer};
pub use egress::Egress;
#[cfg(feature = "prost")]
pub use grpc_message::WithBaggage;
pub use header::{BINARY_HEADER, TEXT_HEADER};
pub use join_set::JoinSet;
pub use key::SigningKey;
pub use pivot_baggage::{Fan, Traced, forked, thread};
pub use server::{Server, ServerBody, ServerLayer};
pub use stream::carried_stream;
pub use task::{JoinHandle, request, spawn, spawn_blocking, spawn_detached};

#[doc(hidden)]
pub use tokio as __tokio;
