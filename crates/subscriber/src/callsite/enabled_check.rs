//! Answers to `enabled!`, which applications ask before they make an event at all.
//!
//! Code behind such a question is never reached while the answer is no, so its callsites would never
//! become known. So each question is answered yes the first time, and while advice is woven at its
//! target.

use crate::site::any_woven;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Mutex, PoisonError};
use tracing_core::Metadata;

/// The macro asks twice for one answer.
const FIRST: u8 = 2;

/// Whether advice is woven at a target, for the questions about it.
type Open = &'static AtomicBool;

static TARGETS: Mutex<Option<HashMap<String, Open>>> = Mutex::new(None);

/// A question: the callsite of an `enabled!`, or a target of the `log` crate.
#[derive(Debug)]
pub(crate) struct Hint {
    asked: AtomicU8,
    open: Open,
}

/// Whether a callsite is a question. Its kind is not to be had, but the macros make up its name.
pub(crate) fn is_hint(metadata: &Metadata<'_>) -> bool {
    !(metadata.is_event() || metadata.is_span()) || metadata.name().starts_with("enabled ")
}

fn flag(target: &str) -> Open {
    let mut targets = TARGETS.lock().unwrap_or_else(PoisonError::into_inner);
    let targets = targets.get_or_insert_default();
    match targets.get(target) {
        Some(flag) => flag,
        None => {
            let flag: Open = Box::leak(Box::new(AtomicBool::new(false)));
            targets.insert(target.to_owned(), flag);
            flag
        }
    }
}

/// Advice is woven at a callsite of that target that became known just now.
pub(crate) fn open(target: &str) {
    flag(target).store(true, Ordering::Relaxed);
}

impl Hint {
    pub(crate) fn about(target: &str) -> Hint {
        Hint { asked: AtomicU8::new(0), open: flag(target) }
    }

    /// Looks again at what is woven; whether the next question will, or may, be answered yes.
    pub(crate) fn review(&self, target: &str) -> bool {
        self.open.store(any_woven(target), Ordering::Relaxed);
        self.is_open() || self.asked.load(Ordering::Relaxed) < FIRST
    }

    fn is_open(&self) -> bool {
        self.open.load(Ordering::Relaxed)
    }

    /// Whether the answer is yes.
    pub(crate) fn answer(&self) -> bool {
        // Once it is no, it is no without a write.
        let first = || {
            self.asked.load(Ordering::Relaxed) < FIRST && self.asked.fetch_add(1, Ordering::Relaxed) < FIRST
        };
        self.is_open() || first()
    }
}
