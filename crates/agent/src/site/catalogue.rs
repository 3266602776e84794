//! All tracepoints of a process: those that were linked into the program, and those that became known as it ran.

use crate::site::tracepoint::Tracepoint;
use linkme::distributed_slice;
use pivot_advice::Exports;
use std::collections::HashSet;
use std::ptr;
use std::sync::atomic::AtomicU8;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// One byte per call site: not zero while advice is woven there. The number is this crate's major
/// version: two versions in one program have slices of their own, where one name would be an error.
#[distributed_slice]
pub static FLAGS_V0: [AtomicU8];

/// All call sites that were linked into this program.
#[distributed_slice]
pub static TRACEPOINTS_V0: [&'static Tracepoint];

/// Tracepoints that became known as the program ran.
static REGISTERED: Mutex<Vec<&'static Tracepoint>> = Mutex::new(Vec::new());

fn registered_tracepoints() -> MutexGuard<'static, Vec<&'static Tracepoint>> {
    REGISTERED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Adds a tracepoint that was registered just now.
pub(crate) fn add(tracepoint: &'static Tracepoint) {
    registered_tracepoints().push(tracepoint);
}

/// Adds those tracepoints that were not known so far, and returns them.
pub(crate) fn add_unknown(tracepoints: &[&'static Tracepoint]) -> Vec<&'static Tracepoint> {
    let mut registered = registered_tracepoints();
    let linked = TRACEPOINTS_V0.iter().copied();
    let known: HashSet<_> = linked.chain(registered.iter().copied()).map(ptr::from_ref).collect();
    let new = tracepoints.iter().copied().filter(|tracepoint| !known.contains(&ptr::from_ref(*tracepoint)));
    let new: Vec<&'static Tracepoint> = new.collect();
    registered.extend(&new);
    new
}

/// Returns how many tracepoints were registered as the program ran. The number only rises.
pub fn registered_count() -> usize {
    registered_tracepoints().len()
}

/// Returns all tracepoints of this program: call sites in the order of the source, then those that were registered, in
/// the order in which they were.
pub fn tracepoints() -> Vec<&'static Tracepoint> {
    let mut all: Vec<_> = TRACEPOINTS_V0.iter().copied().collect();
    all.sort_by_key(|tracepoint| (tracepoint.declaration.location, tracepoint.name()));
    all.extend(registered_tracepoints().iter());
    all
}

/// Returns what all tracepoints of this program export.
pub fn catalogue() -> Vec<Exports> {
    tracepoints().into_iter().map(Tracepoint::exports).collect()
}

/// Returns what the tracepoints export that were registered after the first `registered` ones.
pub fn catalogue_since(registered: usize) -> Vec<Exports> {
    registered_tracepoints().iter().skip(registered).map(|tracepoint| tracepoint.exports()).collect()
}
