//! What this process was told of the weaving everywhere.
//!
//! That nothing happened before can be said only where every event before met the advice that would
//! have packed it. A frontend numbers the sets of advice that it wants woven. A request begins with
//! the generation that all processes have woven, as far as its process was told, and passing a
//! process that has woven less lowers it. So a query is complete in a request that carries the
//! generation that brought the query, or a later one; no clock is involved.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

static CARRYING: AtomicBool = AtomicBool::new(false);
static EVERYWHERE: AtomicU64 = AtomicU64::new(0);
static HERE: AtomicU64 = AtomicU64::new(u64::MAX);

/// Says whether a query that packs is installed anywhere. While none is, requests carry nothing.
pub fn set_carrying(carrying: bool) {
    CARRYING.store(carrying, Relaxed);
}

/// Whether a query that packs is installed anywhere, as far as this process was told.
pub fn is_carrying() -> bool {
    CARRYING.load(Relaxed)
}

/// Says which generation all processes have woven.
pub fn set_woven_everywhere(generation: u64) {
    EVERYWHERE.store(generation, Relaxed);
}

/// Says which generation this process has woven. A process without an agent has nothing to weave, and
/// lowers no request's.
pub fn set_woven_here(generation: u64) {
    HERE.store(generation, Relaxed);
}

/// The generation of a request that begins here.
pub(crate) fn at_begin() -> u64 {
    at_arrival(EVERYWHERE.load(Relaxed))
}

/// The generation of a request that arrives with one.
pub(crate) fn at_arrival(generation: u64) -> u64 {
    generation.min(HERE.load(Relaxed))
}
