//! The generation of a request: which advice every event before has met.
//!
//! A query may say that nothing happened before only where every event before met the advice that would have
//! packed it. A frontend numbers the sets of advice that it wants woven: these are generations. A request
//! begins with the generation that all processes have woven, as far as its process was told, and passing a
//! process that has woven less lowers it:
//!
//! ```text
//! woven everywhere: 7        request begins in a process with 8     generation 7
//!                            passes a process that has woven 5      generation 5
//!                            the reply takes 5 back to the caller   generation 5
//! ```
//!
//! So a query is complete in a request that carries the generation that brought the query, or a later one. No
//! clock is involved. What this process was told lies in three atomics, written by the agent's connection.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

/// Whether a query that packs is installed anywhere.
static CARRYING: AtomicBool = AtomicBool::new(false);
/// The generation that all processes have woven.
static EVERYWHERE: AtomicU64 = AtomicU64::new(0);
/// The generation that this process has woven; the highest one while it has no agent.
static HERE: AtomicU64 = AtomicU64::new(u64::MAX);

/// Sets whether a query that packs is installed anywhere. While none is, requests carry nothing.
pub fn set_carrying(carrying: bool) {
    CARRYING.store(carrying, Relaxed);
}

/// Whether a query that packs is installed anywhere, as far as this process was told.
pub fn is_carrying() -> bool {
    CARRYING.load(Relaxed)
}

/// Sets the generation that all processes have woven.
pub fn set_woven_everywhere(generation: u64) {
    EVERYWHERE.store(generation, Relaxed);
}

/// Sets the generation that this process has woven. A process without an agent has nothing to weave, and
/// lowers no request's generation.
pub fn set_woven_here(generation: u64) {
    HERE.store(generation, Relaxed);
}

/// Returns the generation of a request that begins here.
pub(crate) fn at_begin() -> u64 {
    at_arrival(EVERYWHERE.load(Relaxed))
}

/// Returns the generation of a request that has arrived with one.
pub(crate) fn at_arrival(generation: u64) -> u64 {
    generation.min(HERE.load(Relaxed))
}
