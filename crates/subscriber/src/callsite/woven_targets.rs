//! One flag per target: whether advice is woven at any callsite of the target.
//!
//! Flags are never removed, so a check of `enabled!` keeps a reference and reads it without a lock.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// Whether advice is woven at a target, as of the last time that somebody looked.
pub(crate) type WovenFlag = &'static AtomicBool;

static FLAGS: Mutex<Option<HashMap<String, WovenFlag>>> = Mutex::new(None);

/// Returns the flag of a target, which all checks of that target share.
pub(crate) fn flag_of(target: &str) -> WovenFlag {
    let mut flags = FLAGS.lock().unwrap_or_else(PoisonError::into_inner);
    let flags = flags.get_or_insert_default();
    match flags.get(target) {
        Some(flag) => flag,
        None => {
            let flag: WovenFlag = Box::leak(Box::new(AtomicBool::new(false)));
            flags.insert(target.to_owned(), flag);
            flag
        }
    }
}

/// Notes that a callsite of a target became known and is woven from the start. Checks of the target
/// answer yes at once and need not wait until `tracing` asks about them again.
pub(crate) fn mark_woven(target: &str) {
    flag_of(target).store(true, Ordering::Relaxed);
}
