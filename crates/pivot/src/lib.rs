//! Causal, run-time monitoring for distributed systems: what an application adds.
//!
//! ```text
//! init() ─▶ agent ◀─advice─ frontend ◀─ query
//! tracepoint!("..") ─▶ events ─▶ baggage ─▶ happened-before join ─▶ result
//! ```
//!
//! ```
//! # #[cfg(feature = "runtime")]
//! # fn main() -> Result<(), pivot::UplinkError> {
//! let pivot = pivot::builder().process("reader").host("app-1").init()?;
//!
//! fn read(bytes: u64) {
//!     pivot::tracepoint!("Reader.read", bytes: u64 = bytes);
//! }
//!
//! read(4096);
//! drop(pivot); // reports what is left
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "runtime"))]
//! # fn main() {}
//! ```
//!
//! Propagation: [`request`] begins a request. [`spawn`], [`spawn_blocking`], [`JoinSet`], [`thread`],
//! [`join!`], [`try_join!`], [`select!`] and [`forked`] carry it into tasks, threads and branches,
//! [`Traced`] through channels, [`Fan`] over thread pools, and the layers of [`propagate`] across
//! HTTP and gRPC, there and back. [`leaks`](mod@baggage::leaks) tells where it gets lost.
//!
//! A library depends on this crate with `default-features = false`. Its tracepoints then compile to
//! nothing, unless the application that it ends up in enables the runtime by depending on it too.

#[cfg(not(feature = "runtime"))]
mod no_op;
#[cfg(feature = "runtime")]
mod runtime;

#[cfg(not(feature = "runtime"))]
pub use no_op::*;
#[cfg(feature = "runtime")]
pub use runtime::*;

#[cfg(feature = "runtime")]
#[doc(hidden)]
pub use pivot_agent as __private;
