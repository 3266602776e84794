//! Answers to `enabled!`, which applications ask before they make an event at all.
//!
//! Code behind such a question is never reached while the answer is no, so its callsites would never
//! become known. So each question is answered yes the first time, and while advice is woven at its
//! target.

use crate::callsite::tracepoints::any_woven;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Mutex, PoisonError};
use tracing_core::Metadata;

/// The macro asks twice for one answer.
const FIRST: u8 = 2;

/// Whether advice is woven at a target, for the questions about it.
type WovenFlag = &'static AtomicBool;

static TARGETS: Mutex<Option<HashMap<String, WovenFlag>>> = Mutex::new(None);

/// A question: the callsite of an `enabled!`, or a target of the `log` crate.
#[derive(Debug)]
pub(crate) struct EnabledCheck {
    asked: AtomicU8,
    woven: WovenFlag,
}

/// Whether a callsite is a question. Its kind is not to be had, but the macros make up its name.
pub(crate) fn is_enabled_check(metadata: &Metadata<'_>) -> bool {
    !(metadata.is_event() || metadata.is_span()) || metadata.name().starts_with("enabled ")
}

fn flag_of(target: &str) -> WovenFlag {
    let mut targets = TARGETS.lock().unwrap_or_else(PoisonError::into_inner);
    let targets = targets.get_or_insert_default();
    match targets.get(target) {
        Some(flag) => flag,
        None => {
            let flag: WovenFlag = Box::leak(Box::new(AtomicBool::new(false)));
            targets.insert(target.to_owned(), flag);
            flag
        }
    }
}

/// Advice is woven at a callsite of that target that became known just now.
pub(crate) fn mark_woven(target: &str) {
    flag_of(target).store(true, Ordering::Relaxed);
}

impl EnabledCheck {
    pub(crate) fn for_target(target: &str) -> EnabledCheck {
        EnabledCheck { asked: AtomicU8::new(0), woven: flag_of(target) }
    }

    /// Looks again at what is woven; whether the next question will, or may, be answered yes.
    pub(crate) fn refresh(&self, target: &str) -> bool {
        self.woven.store(any_woven(target), Ordering::Relaxed);
        self.is_woven() || self.asked.load(Ordering::Relaxed) < FIRST
    }

    fn is_woven(&self) -> bool {
        self.woven.load(Ordering::Relaxed)
    }

    /// Whether the answer is yes.
    pub(crate) fn is_enabled(&self) -> bool {
        // Once it is no, it is no without a write.
        let first = || {
            self.asked.load(Ordering::Relaxed) < FIRST && self.asked.fetch_add(1, Ordering::Relaxed) < FIRST
        };
        self.is_woven() || first()
    }
}
