//! Where an event finds the advice of its tracepoint.
//!
//! What is woven at a tracepoint is published with one store of a pointer. What was woven before is
//! freed when no thread can be reading it any more.

use crate::report::thread_slot::ReadGuard;
use crate::weave::woven::WovenSet;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

/// What was woven before and may still be read. There is one of these, in the weaver behind its lock: who has it
/// is the only one to change what is published anywhere.
#[derive(Debug)]
pub(crate) struct RetiredSets {
    // Boxed: readers hold its address.
    #[allow(clippy::vec_box)]
    sets: Vec<Box<WovenSet>>,
}

impl RetiredSets {
    pub(crate) const fn new() -> RetiredSets {
        RetiredSets { sets: Vec::new() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.sets.is_empty()
    }

    /// Takes everything out, for nobody to read it any more.
    pub(crate) fn take(&mut self) -> RetiredSets {
        RetiredSets { sets: std::mem::take(&mut self.sets) }
    }

    /// Takes back what may still be read.
    pub(crate) fn put_back(&mut self, other: RetiredSets) {
        self.sets.extend(other.sets);
    }
}

/// What is woven where nothing is.
static EMPTY: WovenSet = WovenSet { advice: Vec::new(), packs_later: false, fused: None };

/// Where a tracepoint finds what is woven at it.
#[derive(Debug)]
pub(crate) struct PublishedAdvice(AtomicPtr<WovenSet>);

impl PublishedAdvice {
    pub(crate) const fn empty() -> PublishedAdvice {
        PublishedAdvice(AtomicPtr::new(ptr::from_ref(&EMPTY).cast_mut()))
    }

    /// What is woven, for as long as this thread is inside an event.
    #[inline(always)]
    pub(crate) fn get<'a>(&self, _inside: ReadGuard<'a>) -> &'a WovenSet {
        // SAFETY: the pointer is that of `EMPTY` or came from a box that `replace` put into `retired`, which
        // `finish` drops only after `quiesce` has seen every thread outside an event since the swap; this
        // thread is inside one since before the load.
        unsafe { &*self.0.load(Ordering::Acquire) }
    }

    /// What is woven, for as long as nobody else weaves.
    pub(crate) fn peek<'a>(&self, _weaving: &'a RetiredSets) -> &'a WovenSet {
        // SAFETY: as in `get`; and who has the one `RetiredSets` is the only one to replace the pointer.
        unsafe { &*self.0.load(Ordering::Acquire) }
    }

    /// Replaces what is woven; the former must outlive all events that are on their way.
    pub(crate) fn replace(&self, woven: Option<WovenSet>, retired: &mut RetiredSets) {
        let nothing = ptr::from_ref(&EMPTY).cast_mut();
        let new = woven.map_or(nothing, |woven| Box::into_raw(Box::new(woven)));
        let old = self.0.swap(new, Ordering::AcqRel);
        if old != nothing {
            // SAFETY: it came from `Box::into_raw` above, and the swap has made it ours alone, but for
            // readers, for which `finish` waits by `quiesce` before it drops what is in `retired`.
            retired.sets.push(unsafe { Box::from_raw(old) });
        }
    }
}
