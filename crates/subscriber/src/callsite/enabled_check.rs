//! Answers `enabled!` and `log_enabled!`, which applications ask before they make an event at all.
//!
//! Code behind such a check does not run while the answer is no, so its callsites would never become
//! known. So the answer is yes the first time, and while advice is woven at the target:
//!
//! ```text
//! if enabled!(target: "db", DEBUG) {       first time: yes, the callsite below becomes known
//!     debug!(target: "db", rows);          woven: yes          otherwise: what the application says
//! }
//! ```

use crate::callsite::tracepoints::any_woven;
use crate::callsite::woven_targets::{WovenFlag, flag_of};
use std::sync::atomic::{AtomicU8, Ordering};
use tracing_core::Metadata;

/// How many questions of a new check are answered yes: the macro asks twice for one answer.
const FIRST_ANSWERS: u8 = 2;

/// How one `enabled!` of the application, or `log_enabled!` of one target, is to be answered.
#[derive(Debug)]
pub(crate) struct EnabledCheck {
    /// How many questions were asked, up to [`FIRST_ANSWERS`].
    asked: AtomicU8,
    woven: WovenFlag,
}

/// Returns whether a callsite is a check and no event or span. `event_enabled!` and `span_enabled!` pass for
/// events and spans: the name that the macros make up gives them away.
pub(crate) fn is_enabled_check(metadata: &Metadata<'_>) -> bool {
    !(metadata.is_event() || metadata.is_span()) || metadata.name().starts_with("enabled ")
}

impl EnabledCheck {
    /// Makes the check of a target.
    pub(crate) fn for_target(target: &str) -> EnabledCheck {
        EnabledCheck { asked: AtomicU8::new(0), woven: flag_of(target) }
    }

    /// Looks again whether advice is woven at the target, which locks. Returns whether the next answer
    /// is, or may be, yes.
    pub(crate) fn refresh(&self, target: &str) -> bool {
        self.woven.store(any_woven(target), Ordering::Relaxed);
        self.is_woven() || self.asked.load(Ordering::Relaxed) < FIRST_ANSWERS
    }

    fn is_woven(&self) -> bool {
        self.woven.load(Ordering::Relaxed)
    }

    /// Answers the check, without a lock.
    pub(crate) fn is_enabled(&self) -> bool {
        if self.is_woven() {
            return true;
        }

        // A load comes first: once the answer is no, it stays no without a write to a shared cache line.
        self.asked.load(Ordering::Relaxed) < FIRST_ANSWERS
            && self.asked.fetch_add(1, Ordering::Relaxed) < FIRST_ANSWERS
    }
}
