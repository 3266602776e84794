//! Has `tracing` rebuild its interest cache when weaving has changed.
//!
//! Each callsite of `tracing` caches the *interest* of the subscribers: never, sometimes or always. A
//! callsite of interest *never* is off, which costs one load and is why disabled callsites are free. So
//! advice takes effect at a callsite only when the cache is rebuilt:
//!
//! ```text
//! weave ──▶ agent's on_change ──▶ rebuild_interest_cache ──▶ for each callsite:
//!                                                              register_callsite of each dispatcher
//! callsite runs for the first time ───────────────────────────▶ register_callsite ──▶ cached
//! ```
//!
//! Two things make that delicate.
//!
//! **Who is asked.** While a process has made one dispatcher only, `tracing` asks the default dispatcher of
//! the thread that rebuilds ([tracing#3614]). Weaving happens on the agent's threads, which may have none:
//! then *no* callsite would be wanted any more. So the dispatchers around us are remembered, and one of
//! them is made the default while we rebuild.
//!
//! **Answers overtake each other.** A callsite that registers gets its answer, and stores it a moment later.
//! If weaving changes in between, the rebuild's newer answer is overwritten by the older:
//!
//! ```text
//! thread 1   ask: never ────────────────────────────────── store: never      off, though woven
//! thread 2                 weave, rebuild: store: always
//! ```
//!
//! An agent that is connected governs about every second, and each time we may rebuild once more. So
//! meanwhile answers outside a rebuild of ours are *provisional*: never *never*, since a callsite that is
//! off would not ask again, but *sometimes*, which asks at each event. Two later rebuilds settle it. Without
//! a connected agent nobody governs; then a rebuild that follows new callsites is repeated after a pause.
//!
//! [tracing#3614]: https://github.com/tokio-rs/tracing/pull/3614

use crate::callsite::{cache, dispatches, other_layers};
use crate::span::executing::current_span_name;
use std::cell::Cell;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, Once, PoisonError};
use std::time::Duration;
use tracing_core::callsite;
use tracing_core::dispatcher::with_default;

/// Rebuilds after which no callsite still stores an answer from before: one may run already when the answer
/// is given, the next one begins after it was stored.
const REBUILDS_NEEDED: u8 = 2;

/// How long a callsite may take to store the answer that it was given.
const REGISTRATION_TIME: Duration = Duration::from_millis(1);

static LISTEN: Once = Once::new();

/// Held during a rebuild, so that answers of two rebuilds do not overtake each other.
static REBUILD_LOCK: Mutex<()> = Mutex::new(());

/// The rebuilds that are still needed because answers were given outside of any.
static REBUILDS_LEFT: AtomicU8 = AtomicU8::new(0);

thread_local! {
    /// Whether this thread is asking subscribers in a rebuild of ours.
    static IN_REBUILD: Cell<bool> = const { Cell::new(false) };
}

/// Rebuilds the cache from now on whenever weaving has changed. Does so once per process.
pub(crate) fn listen() {
    LISTEN.call_once(|| {
        pivot_agent::on_change(rebuild_after_weaving);
        pivot_agent::on_govern(rebuild_if_provisional);
        pivot_baggage::leaks::set_span_namer(current_span_name);
    });
}

/// Notes that a subscriber is being asked about a callsite. Returns whether the answer is provisional and
/// must not be *never*: it may be stored late, and an agent that governs will have us rebuild again.
pub(crate) fn is_provisional() -> bool {
    if IN_REBUILD.try_with(Cell::get).unwrap_or_default() {
        return false;
    }
    rebuild_soon();
    pivot_agent::is_governed()
}

/// Has the cache rebuilt when an agent governs the next time.
pub(crate) fn rebuild_soon() {
    REBUILDS_LEFT.store(REBUILDS_NEEDED, Ordering::Relaxed);
}

/// Rebuilds once if provisional answers were given. The agent calls this about every second.
fn rebuild_if_provisional() {
    let left = REBUILDS_LEFT.load(Ordering::Relaxed);
    if left > 0 {
        // An answer that is given meanwhile sets the count anew: then it stays as it is.
        let _ = REBUILDS_LEFT.compare_exchange(left, left - 1, Ordering::Relaxed, Ordering::Relaxed);
        rebuild();
    }
}

fn rebuild_after_weaving() {
    let had_new = cache::take_new_callsites();
    rebuild();

    // A callsite that was registering meanwhile may have stored its answer after the rebuild. If nobody
    // governs, nothing would correct that later.
    if (had_new || cache::take_new_callsites()) && !pivot_agent::is_governed() {
        std::thread::sleep(REGISTRATION_TIME);
        rebuild();
    }
}

/// Rebuilds the cache now.
pub(crate) fn rebuild() {
    let _lock = REBUILD_LOCK.lock().unwrap_or_else(PoisonError::into_inner);

    if let Some(dispatch) = dispatches::newest() {
        let _guard = RebuildGuard::begin();
        with_default(&dispatch, callsite::rebuild_interest_cache);
    }
    other_layers::ask();
}

/// Marks this thread as rebuilding until dropped, also if an application's subscriber panics.
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
