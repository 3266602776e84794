//! Causal, run-time monitoring for distributed systems: what an application adds.
//!
//! ```text
//! init() ─▶ agent ◀─advice─ frontend ◀─ query
//! tracepoint!("..") ─▶ events ─▶ baggage ─▶ happened-before join ─▶ result
//! ```
//!
//! ```
//! let pivot = pivot::builder().process("reader").host("app-1").init()?;
//!
//! fn read(bytes: u64) {
//!     pivot::tracepoint!("Reader.read", bytes: u64 = bytes);
//! }
//!
//! read(4096);
//! drop(pivot); // reports what is left
//! # Ok::<(), pivot::UplinkError>(())
//! ```
//!
//! Propagation: [`request`] begins a request. [`spawn`], [`spawn_blocking`], [`JoinSet`], [`thread`],
//! [`join!`], [`try_join!`], [`select!`] and [`forked`] carry it into tasks, threads and branches,
//! [`Traced`] through channels, [`Fan`] over thread pools, and the layers of [`propagate`] across
//! HTTP and gRPC, there and back. [`leaks`](mod@baggage::leaks) tells where it gets lost.

pub use pivot_agent::{Bytes, CpuBudget, Export, disable, enable, tracepoint};
pub use pivot_baggage as baggage;
pub use pivot_macros::tracepoints;
pub use pivot_propagate as propagate;
pub use pivot_propagate::{
    Fan, JoinSet, Traced, forked, join, request, select, spawn, spawn_blocking, spawn_detached, thread,
    try_join,
};
pub use pivot_uplink::{Config, Uplink as Guard, UplinkError};

#[doc(hidden)]
pub use pivot_agent as __private;

/// Starts the agent with the settings of the environment. Keep the guard until the process ends.
pub fn init() -> Result<Guard, UplinkError> {
    builder().init()
}

/// Settings of an agent, to be changed and then started with [`Config::init`].
pub fn builder() -> Config {
    Config::new()
}
