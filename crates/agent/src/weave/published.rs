//! Where an event finds the advice of its tracepoint, and where replaced advice goes.
//!
//! This is read-copy-update. Readers load one pointer and never wait; a writer builds a new [`WovenSet`], swaps
//! the pointer, and keeps the old set in [`RetiredWovenSets`] until no event can be reading it any more. When that is,
//! [`quiesce`](crate::report::thread_slot::quiesce) tells: every thread has been seen outside an event since.

use crate::report::thread_slot::ReadGuard;
use crate::weave::woven::WovenSet;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

/// The set of every tracepoint at which nothing is woven.
static EMPTY: WovenSet = WovenSet::Empty;

/// The advice woven at one tracepoint, to be read without a lock.
#[derive(Debug)]
pub(crate) struct PublishedAdvice(AtomicPtr<WovenSet>);

/// Sets that were replaced and may still be read.
///
/// There is one value of this type, in the weaver behind its lock. Whoever borrows it mutably is therefore the only
/// one to change what is published, at any tracepoint.
#[derive(Debug)]
pub(crate) struct RetiredWovenSets {
    // Boxed, because readers hold the address of a set.
    #[allow(clippy::vec_box)]
    sets: Vec<Box<WovenSet>>,
}

impl PublishedAdvice {
    pub(crate) const fn empty() -> PublishedAdvice {
        PublishedAdvice(AtomicPtr::new(ptr::from_ref(&EMPTY).cast_mut()))
    }

    /// Returns what is woven, for as long as this thread is inside an event.
    #[inline(always)]
    pub(crate) fn get<'a>(&self, _inside: ReadGuard<'a>) -> &'a WovenSet {
        // SAFETY: the pointer is that of `EMPTY` or came from a box that `replace` put into `RetiredWovenSets`, which
        // `finish` drops only after `quiesce` has seen every thread outside an event since the swap; this
        // thread is inside one since before the load.
        unsafe { &*self.0.load(Ordering::Acquire) }
    }

    /// Returns what is woven, for as long as nobody weaves.
    pub(crate) fn peek<'a>(&self, _weaving: &'a RetiredWovenSets) -> &'a WovenSet {
        // SAFETY: as in `get`; and `replace`, the only function that retires a set, needs the one `RetiredWovenSets`
        // mutably, which is borrowed here for as long as the set is.
        unsafe { &*self.0.load(Ordering::Acquire) }
    }

    /// Publishes a set and retires the one before, which events on their way may still read.
    pub(crate) fn replace(&self, set: WovenSet, retired: &mut RetiredWovenSets) {
        let empty = ptr::from_ref(&EMPTY).cast_mut();
        let new = if set.is_empty() { empty } else { Box::into_raw(Box::new(set)) };

        let old = self.0.swap(new, Ordering::AcqRel);
        if old != empty {
            // SAFETY: it came from `Box::into_raw` above, and the swap has made it ours alone, but for
            // readers, for which `finish` waits by `quiesce` before it drops what is in `RetiredWovenSets`.
            retired.sets.push(unsafe { Box::from_raw(old) });
        }
    }
}

impl RetiredWovenSets {
    pub(crate) const fn new() -> RetiredWovenSets {
        RetiredWovenSets { sets: Vec::new() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.sets.is_empty()
    }

    /// Moves all sets out, to wait for their readers outside the weaver's lock.
    pub(crate) fn take(&mut self) -> RetiredWovenSets {
        RetiredWovenSets { sets: std::mem::take(&mut self.sets) }
    }

    /// Puts sets back whose readers did not leave in time.
    pub(crate) fn put_back(&mut self, other: RetiredWovenSets) {
        self.sets.extend(other.sets);
    }
}
