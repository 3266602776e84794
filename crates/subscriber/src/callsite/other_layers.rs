//! Whether anybody but Pivot's layer wants the spans at which advice is woven.
//!
//! What the application does for the fields of a span that is made for advice alone is part of what a query costs. A
//! layer is not told what its neighbours say, so after each rebuild of the cache the whole stack is asked once more
//! about each woven span, with this layer's filter saying *never*. No answer of that goes to `tracing`.

use crate::callsite::cache::{CallsiteCache, InnerInterest};
use std::cell::Cell;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use tracing_core::Dispatch;
use tracing_core::dispatcher::WeakDispatch;

/// A layer of ours, and the dispatcher that it is in.
struct KnownLayer {
    dispatch: WeakDispatch,
    callsites: Weak<CallsiteCache>,
}

static LAYERS: Mutex<Vec<KnownLayer>> = Mutex::new(Vec::new());

thread_local! {
    /// Whether this thread asks the others.
    static ASKING: Cell<bool> = const { Cell::new(false) };
}

/// Remembers the dispatcher of a layer, and forgets those that are gone.
pub(crate) fn remember(dispatch: &Dispatch, callsites: &Arc<CallsiteCache>) {
    let mut layers = LAYERS.lock().unwrap_or_else(PoisonError::into_inner);
    layers.retain(|layer| layer.callsites.strong_count() > 0 && layer.dispatch.upgrade().is_some());
    layers.push(KnownLayer { dispatch: dispatch.downgrade(), callsites: Arc::downgrade(callsites) });
}

/// Returns whether this thread asks the others now: then the filter of our layer says that it never wants anything.
pub(crate) fn is_asking() -> bool {
    ASKING.try_with(Cell::get).unwrap_or_default()
}

/// Asks the others about the spans at which advice is woven, and keeps what they say.
pub(crate) fn ask() {
    // The lock is not held while subscribers are asked: one of them may make a dispatcher.
    let layers = LAYERS.lock().unwrap_or_else(PoisonError::into_inner);
    let known =
        layers.iter().filter_map(|layer| Some((layer.dispatch.upgrade()?, layer.callsites.upgrade()?)));
    let known: Vec<(Dispatch, Arc<CallsiteCache>)> = known.collect();
    drop(layers);

    let _guard = AskingGuard::begin();
    for (dispatch, callsites) in known {
        for (callsite, metadata) in callsites.woven_spans() {
            let interest = dispatch.register_callsite(metadata);
            callsite.set_inner_interest(InnerInterest::new(&interest, false));
        }
    }
}

/// Marks this thread as asking until dropped, also if a layer panics.
struct AskingGuard;

impl AskingGuard {
    fn begin() -> AskingGuard {
        ASKING.set(true);
        AskingGuard
    }
}

impl Drop for AskingGuard {
    fn drop(&mut self) {
        ASKING.set(false);
    }
}
