//! How many bytes of baggage may travel from this process with one message.
//!
//! The operator of a process sets it with `PIVOT_BAGGAGE_BYTES`, or the application with the agent's builder.
//! What does not fit is left behind by the rule of [`crate::format::cut`], and every result that lacks it
//! says so. Ids count too, but are never left behind, since without them replies could not be joined: a
//! budget of 0 lets them travel alone.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The highest budget. Proxies and servers limit all headers of a message together, often to 8 KiB, and
/// base64 makes a third more of the bytes.
pub const HARD_LIMIT: usize = 4 * 1024;

/// The budget of a process for which none was set.
pub const DEFAULT_BUDGET: usize = 1024;

static BUDGET: AtomicUsize = AtomicUsize::new(DEFAULT_BUDGET);

/// Returns how many bytes of baggage may travel from this process with one message.
pub fn budget_bytes() -> usize {
    BUDGET.load(Relaxed)
}

/// Sets how many bytes of baggage may travel from this process with one message, at most [`HARD_LIMIT`].
pub fn set_budget_bytes(bytes: usize) {
    BUDGET.store(bytes.min(HARD_LIMIT), Relaxed);
}
