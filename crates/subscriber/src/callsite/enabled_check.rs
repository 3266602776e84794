//! Answers `enabled!` and `log_enabled!`, which applications ask before they make an event at all.
//!
//! Code behind such a check does not run while the answer is no, so its callsites would never become
//! known. So the answer is yes the first time. Later, where the application itself says no, it is yes if advice at
//! the target looks at the event:
//!
//! ```text
//! if enabled!(target: "db", DEBUG) {       first time: yes, the callsite below becomes known
//!     debug!(target: "db", rows);          woven: if a query looks     otherwise: what the application says
//! }
//! ```
//!
//! A query that is throttled looks at some requests only. In all others the code behind the check does not run.

use crate::callsite::questions;
use crate::callsite::woven_targets::TargetTracepoints;
use pivot_agent::Tracepoint;
use std::sync::atomic::{AtomicU8, Ordering};
use tracing_core::Metadata;

/// How many questions of a new check are answered yes: the macro asks twice for one answer.
const FIRST_ANSWERS: u8 = 2;

/// How one `enabled!` of the application, or `log_enabled!` of one target, is to be answered.
#[derive(Debug)]
pub(crate) struct EnabledCheck {
    /// How many questions were asked, up to [`FIRST_ANSWERS`].
    asked: AtomicU8,
    target: &'static TargetTracepoints,
}

/// Returns whether a callsite is a check and no event or span. `event_enabled!` and `span_enabled!` pass for
/// events and spans: the name that the macros make up gives them away.
pub(crate) fn is_enabled_check(metadata: &Metadata<'_>) -> bool {
    !(metadata.is_event() || metadata.is_span()) || metadata.name().starts_with("enabled ")
}

impl EnabledCheck {
    /// Makes the check of a target.
    pub(crate) fn for_target(target: &str) -> EnabledCheck {
        EnabledCheck { asked: AtomicU8::new(0), target: TargetTracepoints::of(target) }
    }

    /// Looks again whether advice is woven at the target. Returns whether the next answer may be yes.
    pub(crate) fn refresh(&self) -> bool {
        self.target.refresh() || self.asked.load(Ordering::Relaxed) < FIRST_ANSWERS
    }

    /// Answers the check where the application's own answer is no, without a lock.
    pub(crate) fn is_enabled(&self) -> bool {
        self.is_among_first() || self.target.is_woven() && self.ask(self.target.woven().collect(), 1)
    }

    /// Answers the check for a layer: yes while advice is woven. `tracing_subscriber` passes no *no* on that only
    /// filters of single layers say, so it is left to the event what is looked at.
    pub(crate) fn may_be_enabled(&self) -> bool {
        self.is_among_first() || self.target.is_woven()
    }

    /// Answers a check of records of `log`, which have a tracepoint of their own and whose macro asks once.
    pub(crate) fn is_log_enabled(&self, records: Option<&'static Tracepoint>) -> bool {
        let records = records.filter(|tracepoint| tracepoint.is_woven());
        if self.is_among_first() {
            return true;
        }

        let is_woven = records.is_some() || self.target.is_woven();
        is_woven && self.ask(records.into_iter().chain(self.target.woven()).collect(), 0)
    }

    fn ask(&self, woven: Vec<&'static Tracepoint>, repeats: u8) -> bool {
        questions::ask(std::ptr::from_ref(self).addr(), self.target, &woven, repeats)
    }

    /// Returns whether this is one of the first questions. Once it is not, it stays so without a write to a shared
    /// cache line.
    fn is_among_first(&self) -> bool {
        self.asked.load(Ordering::Relaxed) < FIRST_ANSWERS
            && self.asked.fetch_add(1, Ordering::Relaxed) < FIRST_ANSWERS
    }

    /// Returns the target that is asked about.
    pub(crate) fn target(&self) -> &'static TargetTracepoints {
        self.target
    }
}
