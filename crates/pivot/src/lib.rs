//! Causal, run-time monitoring for distributed systems: the crate that an application adds.
//!
//! ```text
//!  your process                                                       a frontend
//!
//!  init() ──────────────▶ agent ◀────────────── advice ────────────── query
//!                           │ weaves                                    ▲
//!  tracepoint!("..") ─▶ event ─▶ rows of a second ──────── report ──────┤
//!                         │ ▲                                           ▼
//!                    pack ▼ │ unpack: happened-before join            results
//!  request ─────────▶ baggage ─▶ spawn, join!, ClientLayer ─▶ the next task or process
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
//! | to | use |
//! |---|---|
//! | start the agent | [`init`], or [`builder`] to change its settings |
//! | declare tracepoints | [`tracepoint!`], [`macro@tracepoints`] around a function |
//! | tell how the frontend is reached | [`Guard::status`] |
//! | begin a request | [`request`], or the server layer of [`propagate`] |
//! | write its id into a log or a reply | [`request_id`] |
//! | keep it over tasks and threads | [`spawn`], [`spawn_blocking`], [`JoinSet`], [`thread`], [`join!`], [`try_join!`], [`select!`], [`forked`] |
//! | keep it over channels and thread pools | [`Traced`], [`Fan`] |
//! | keep it over HTTP and gRPC, there and back | the layers of [`propagate`] |
//! | keep it over any other client or server | [`any_headers`](mod@propagate::any_headers) |
//! | keep it with reqwest and its middlewares, on rayon's pool | the features `reqwest` and `rayon` |
//! | find out where it gets lost | [`leaks`](mod@baggage::leaks) |
//!
//! # Libraries
//!
//! A library depends on this crate with `default-features = false`. Its tracepoints then compile to
//! nothing, unless the application that it ends up in turns the runtime on by depending on it too.

#[cfg(feature = "runtime")]
mod with_runtime;
#[cfg(not(feature = "runtime"))]
mod without_runtime;

#[cfg(feature = "runtime")]
pub use with_runtime::*;
#[cfg(not(feature = "runtime"))]
pub use without_runtime::*;

#[cfg(feature = "runtime")]
#[doc(hidden)]
pub use pivot_agent as __private;
