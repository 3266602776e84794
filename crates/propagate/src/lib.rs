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
//! Reading order: [`header`], [`client`], [`server`], [`task`].

pub mod client;
pub mod header;
pub mod server;
pub mod task;

pub use client::{Client, ClientLayer, ReplyBody};
pub use header::HEADER;
pub use pivot_baggage::forked;
pub use server::{ServedBody, Server, ServerLayer};
pub use task::{JoinHandle, request, spawn};
