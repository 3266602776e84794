//! Has `tracing` ask again which callsites are wanted after weaving has changed.
//!
//! While a process has made one dispatcher only, `tracing` asks the one that is the default on the
//! thread that has it ask again. Weaving happens on threads of the agent, where that may be none; then
//! no callsite would be wanted any more. So the dispatchers that we are in are kept in mind.

use crate::callsite::cache;
use std::cell::Cell;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, Once, PoisonError};
use std::time::Duration;
use tracing_core::dispatcher::{WeakDispatch, with_default};
use tracing_core::{Dispatch, callsite};

static DISPATCHES: Mutex<Vec<WeakDispatch>> = Mutex::new(Vec::new());
static LISTENS: Once = Once::new();

/// From now on callsites follow what is woven.
pub(crate) fn listen() {
    LISTENS.call_once(|| {
        pivot_agent::on_change(rebuild_after_weave);
        pivot_agent::on_govern(rebuild_if_stale);
    });
}

/// A dispatcher that we are in, or that is around us.
pub(crate) fn remember(dispatch: &Dispatch) {
    let mut known = DISPATCHES.lock().unwrap_or_else(PoisonError::into_inner);
    known.retain(|dispatch| dispatch.upgrade().is_some());
    known.push(dispatch.downgrade());
}

/// What is told in answer to our asking again, on this thread at a time.
static REBUILD_LOCK: Mutex<()> = Mutex::new(());

thread_local! {
    static IN_REBUILD: Cell<bool> = const { Cell::new(false) };
}

/// Until no callsite does what it was told before, where it was not we who asked.
const REBUILDS_NEEDED: u8 = 2;

/// How many times we have to ask again without a change of what is woven.
static REBUILDS_LEFT: AtomicU8 = AtomicU8::new(0);

/// Somebody asks about a callsite. If it is not us, a callsite that becomes known or `tracing` on somebody
/// else's behalf, the answer may be taken in after a later one that it is told meanwhile. True if it must not
/// be *never*, which nothing would correct: the callsite asks each time until we have asked again, within
/// seconds.
pub(crate) fn is_provisional() -> bool {
    if IN_REBUILD.try_with(Cell::get).unwrap_or_default() {
        return false;
    }
    REBUILDS_LEFT.store(REBUILDS_NEEDED, Ordering::Relaxed);
    pivot_agent::is_governed()
}

/// Asks again after somebody else had asked.
fn rebuild_if_stale() {
    let left = REBUILDS_LEFT.load(Ordering::Relaxed);
    if left > 0 {
        // If somebody asks meanwhile, that many times are left as before.
        let _ = REBUILDS_LEFT.compare_exchange(left, left - 1, Ordering::Relaxed, Ordering::Relaxed);
        rebuild();
    }
}

/// A callsite that is being registered meanwhile was asked before and may be told so after us. While
/// budgets are told it was not told *never*.
const REGISTRATION_GRACE: Duration = Duration::from_millis(1);

fn rebuild_after_weave() {
    let news = cache::news();
    rebuild();
    if (news || cache::news()) && !pivot_agent::is_governed() {
        std::thread::sleep(REGISTRATION_GRACE);
        rebuild();
    }
}

fn rebuild() {
    let _one = REBUILD_LOCK.lock().unwrap_or_else(PoisonError::into_inner);
    let known = DISPATCHES.lock().unwrap_or_else(PoisonError::into_inner);
    let last = known.iter().rev().find_map(WeakDispatch::upgrade);
    drop(known);
    if let Some(dispatch) = last {
        let _guard = RebuildGuard::begin();
        with_default(&dispatch, callsite::rebuild_interest_cache);
    }
}

/// This thread asks, also if somebody's subscriber panics when it is asked, and no longer.
struct RebuildGuard;

impl RebuildGuard {
    fn begin() -> RebuildGuard {
        IN_REBUILD.set(true);
        RebuildGuard
    }
}

impl Drop for RebuildGuard {
    fn drop(&mut self) {
        IN_REBUILD.set(false);
    }
}
