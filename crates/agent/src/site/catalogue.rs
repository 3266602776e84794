//! The catalogue: all tracepoints of a process.
//!
//! Call sites of the macros need no registration at start-up. Each puts a reference to itself into a section of the
//! program (`linkme`'s distributed slice), and the linker concatenates these to one array. Tracepoints that are
//! made while the program runs are in a list behind a lock.

use crate::site::tracepoint::Tracepoint;
use linkme::distributed_slice;
use pivot_advice::Exports;
use std::collections::HashSet;
use std::ptr;
use std::sync::atomic::AtomicU8;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// One byte per call site: not zero while advice is woven there. The number in the name is this crate's major
/// version: two versions in one program then have slices of their own, where a common name would be an error.
#[distributed_slice]
pub static FLAGS_V0: [AtomicU8];

/// All call sites that were linked into this program.
#[distributed_slice]
pub static TRACEPOINTS_V0: [&'static Tracepoint];

/// Tracepoints that were registered while the program ran, in that order.
static REGISTERED: Mutex<Vec<&'static Tracepoint>> = Mutex::new(Vec::new());

/// Locks the list of registered tracepoints.
fn registered_tracepoints() -> MutexGuard<'static, Vec<&'static Tracepoint>> {
    REGISTERED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Registers a tracepoint.
pub(crate) fn add(tracepoint: &'static Tracepoint) {
    registered_tracepoints().push(tracepoint);
}

/// Registers those of the tracepoints that are not known yet, and returns them.
pub(crate) fn add_unknown(tracepoints: &[&'static Tracepoint]) -> Vec<&'static Tracepoint> {
    let mut registered = registered_tracepoints();
    let linked = TRACEPOINTS_V0.iter().copied();
    let known: HashSet<_> = linked.chain(registered.iter().copied()).map(ptr::from_ref).collect();
    let new = tracepoints.iter().copied().filter(|tracepoint| !known.contains(&ptr::from_ref(*tracepoint)));
    let new: Vec<&'static Tracepoint> = new.collect();

    registered.extend(&new);
    new
}

/// Returns how many tracepoints were registered while the program ran. The number only rises.
pub fn registered_count() -> usize {
    registered_tracepoints().len()
}

/// Returns all tracepoints of this process: those linked into the program by their locations in the source, then
/// those registered later in that order.
pub fn tracepoints() -> Vec<&'static Tracepoint> {
    let mut all: Vec<_> = TRACEPOINTS_V0.iter().copied().collect();
    all.sort_by_key(|tracepoint| (tracepoint.declaration.location, tracepoint.name()));
    all.extend(registered_tracepoints().iter());
    all
}

/// Returns the catalogue: the name, fields and location of every tracepoint of this process.
pub fn catalogue() -> Vec<Exports> {
    tracepoints().into_iter().map(Tracepoint::exports).collect()
}

/// Returns the entries of tracepoints that were registered after the first `registered` ones.
pub fn catalogue_since(registered: usize) -> Vec<Exports> {
    registered_tracepoints().iter().skip(registered).map(|tracepoint| tracepoint.exports()).collect()
}
