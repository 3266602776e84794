//! What is woven at each target: answers of `enabled!` depend on it, and need it without a lock.
//!
//! ```text
//! TARGETS (locked) ─▶ TargetTracepoints of "db":  is_woven,  first ─▶ db::query@enter ─▶ db ─▶ …
//!                                 ▲
//!     each check and callsite ────┘   keeps the reference
//! ```
//!
//! Targets are never removed, and lists only grow, so a check follows them without a lock.

use pivot_agent::Tracepoint;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

/// The tracepoints of all callsites of one target.
#[derive(Debug, Default)]
pub(crate) struct TargetTracepoints {
    /// Whether advice is woven at any of them, as of the last time that somebody looked.
    is_woven: AtomicBool,
    first: OnceLock<&'static TracepointNode>,
    /// Held while the list grows.
    last: Mutex<Option<&'static TracepointNode>>,
}

/// One tracepoint of a list, and those after it.
#[derive(Debug)]
struct TracepointNode {
    tracepoint: &'static Tracepoint,
    next: OnceLock<&'static TracepointNode>,
}

static TARGETS: Mutex<Option<HashMap<String, &'static TargetTracepoints>>> = Mutex::new(None);

impl TargetTracepoints {
    /// Returns the tracepoints of a target, which all its checks and callsites share.
    pub(crate) fn of(target: &str) -> &'static TargetTracepoints {
        let mut targets = TARGETS.lock().unwrap_or_else(PoisonError::into_inner);
        let targets = targets.get_or_insert_default();
        if let Some(known) = targets.get(target) {
            return known;
        }

        let new: &'static TargetTracepoints = Box::leak(Box::default());
        targets.insert(target.to_owned(), new);
        new
    }

    /// Adds a tracepoint. If it is woven from the start, checks of the target answer yes at once and need not wait
    /// until `tracing` asks about them again.
    pub(crate) fn add(&self, tracepoint: &'static Tracepoint) {
        let node: &'static TracepointNode =
            Box::leak(Box::new(TracepointNode { tracepoint, next: OnceLock::new() }));

        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let end = last.map_or(&self.first, |last| &last.next);
        // Empty, since whoever fills it holds the lock.
        let _ = end.set(node);
        *last = Some(node);
        drop(last);

        if tracepoint.is_woven() {
            self.is_woven.store(true, Ordering::Relaxed);
        }
    }

    /// Looks again whether advice is woven at any of the tracepoints.
    pub(crate) fn refresh(&self) -> bool {
        let is_woven = self.woven().next().is_some();
        self.is_woven.store(is_woven, Ordering::Relaxed);
        is_woven
    }

    /// Returns whether advice was woven at any of the tracepoints when somebody looked last.
    pub(crate) fn is_woven(&self) -> bool {
        self.is_woven.load(Ordering::Relaxed)
    }

    /// Returns the tracepoints at which advice is woven.
    pub(crate) fn woven(&self) -> impl Iterator<Item = &'static Tracepoint> {
        let nodes = std::iter::successors(self.first.get(), |node| node.next.get());
        nodes.map(|node| node.tracepoint).filter(|tracepoint| tracepoint.is_woven())
    }

    /// Returns the address, by which targets are told apart.
    pub(crate) fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }
}
