//! Has `tracing` ask again which callsites are wanted after weaving has changed.
//!
//! While a process has made one dispatcher only, `tracing` asks the one that is the default on the
//! thread that has it ask again. Weaving happens on threads of the agent, where that may be none; then
//! no callsite would be wanted any more. So the dispatchers that we are in are kept in mind.

use std::sync::{Mutex, Once, PoisonError};
use tracing_core::dispatcher::{WeakDispatch, with_default};
use tracing_core::{Dispatch, callsite};

static DISPATCHES: Mutex<Vec<WeakDispatch>> = Mutex::new(Vec::new());
static LISTENS: Once = Once::new();

/// From now on callsites follow what is woven.
pub(crate) fn listen() {
    LISTENS.call_once(|| pivot_agent::on_change(ask_again));
}

/// A dispatcher that we are in, or that is around us.
pub(crate) fn remember(dispatch: &Dispatch) {
    let mut known = DISPATCHES.lock().unwrap_or_else(PoisonError::into_inner);
    known.retain(|dispatch| dispatch.upgrade().is_some());
    known.push(dispatch.downgrade());
}

fn ask_again() {
    let known = DISPATCHES.lock().unwrap_or_else(PoisonError::into_inner);
    let last = known.iter().rev().find_map(WeakDispatch::upgrade);
    drop(known);
    if let Some(dispatch) = last {
        with_default(&dispatch, callsite::rebuild_interest_cache);
    }
}
