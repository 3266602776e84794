//! Callsites of `tracing`, and the tracepoints that they are.

pub(crate) mod cache;
pub(crate) mod compiled_out;
pub(crate) mod enabled_check;
pub(crate) mod interest_rebuild;
pub(crate) mod tracepoints;
