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
//! Channels: [`Traced`]; messages of a gRPC stream: `Carrying`, with the feature `prost`. `lints/clippy.toml` in this crate's folder names what they replace, to be copied.
//!
//! Reading order: [`carrier`], `w3c`, [`egress`], [`key`], [`client`], [`server`], [`task`], [`set`],
//! [`stream`].

pub mod carrier;
pub mod client;
pub mod egress;
pub mod key;
mod macros;
#[cfg(feature = "prost")]
pub mod message;
#[cfg(feature = "rayon")]
pub mod pool;
#[cfg(feature = "reqwest")]
mod reqwest;
pub mod server;
pub mod set;
pub mod stream;
pub mod task;
mod w3c;

pub use carrier::{BINARY, TEXT};
pub use client::{Client, ClientLayer, ReplyBody};
pub use egress::Egress;
pub use key::Key;
#[cfg(feature = "prost")]
pub use message::Carrying;
pub use pivot_baggage::{Fan, Traced, forked, thread};
pub use server::{ServedBody, Server, ServerLayer};
pub use set::JoinSet;
pub use stream::carried_stream;
pub use task::{JoinHandle, request, spawn, spawn_blocking, spawn_detached};

#[doc(hidden)]
pub use tokio as __tokio;
