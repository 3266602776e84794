//! Callsites of `tracing`: the tracepoints that they are, what a subscriber knows of each, and which of
//! them `tracing` calls.
//!
//! ```text
//! tracepoints ─▶ enabled_check ─▶ cache ─▶ bridge, layer
//!       └──▶ woven_targets ◀─┘             interest_rebuild, dispatches, other_layers ──▶ tracing
//!                └──▶ questions ◀── events
//! ```

pub(crate) mod cache;
pub(crate) mod compiled_out;
pub(crate) mod dispatches;
pub(crate) mod enabled_check;
pub(crate) mod interest_rebuild;
pub(crate) mod other_layers;
pub(crate) mod questions;
pub(crate) mod tracepoints;
pub(crate) mod woven_targets;
