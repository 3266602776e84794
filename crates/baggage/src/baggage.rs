//! The baggage of one branch of a request, as everybody else sees it.
//!
//! It is born late: as long as no query packs anything, the baggage of a request is a null pointer
//! that forks, travels and joins for nothing. Once born it is always passed on.

use crate::bag::Bag;
use crate::branch::{Branch, Refusal};
use crate::clock::{self, Hlc, Stamp};
use crate::losses;
use crate::share::Share;
use pivot_advice::{BagKey, Groups, Keep, QueryId};
use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

static CARRYING: AtomicBool = AtomicBool::new(false);

/// Says whether a query that packs is installed anywhere. While none is, requests carry nothing.
pub fn set_carrying(carrying: bool) {
    CARRYING.store(carrying, Relaxed);
}

/// Whether a query that packs is installed anywhere, as far as this process was told.
pub fn carrying() -> bool {
    CARRYING.load(Relaxed)
}

/// What one live branch of a request carries. It is moved, never copied: copies are forks.
#[derive(Debug, Default)]
pub struct Baggage(Option<Box<Branch>>);

/// What became of a baggage that was joined. A refused one is counted and the result is partial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Joined {
    /// Its contributions were taken in.
    Merged,
    /// Refused: it is a copy of a branch that was already joined.
    Duplicate,
    /// Refused: it belongs to another request, or it was detached from this one.
    Foreign,
    /// Refused: there was no request to join.
    Outside,
}

impl Baggage {
    /// The baggage of a new request, not born yet. Allocates nothing.
    pub const fn new() -> Baggage {
        Baggage(None)
    }

    pub(crate) fn of(branch: Branch) -> Baggage {
        Baggage(Some(Box::new(branch)))
    }

    /// The baggage of a request that begins now. While a query that packs is installed it has an id
    /// and a time of birth from the start; otherwise it is one not born yet.
    pub fn begin() -> Baggage {
        if !carrying() {
            return Baggage::new();
        }
        let mut branch = Branch::root();
        branch.began_ms = clock::wall_ms();
        Baggage::of(branch)
    }

    pub(crate) fn branch(&self) -> Option<&Branch> {
        self.0.as_deref()
    }

    pub(crate) fn into_branch(self) -> Option<Box<Branch>> {
        self.0
    }

    fn born(&mut self) -> &mut Branch {
        self.0.get_or_insert_with(|| Box::new(Branch::root()))
    }

    /// Whether it carries nothing, not even an id.
    pub fn is_unborn(&self) -> bool {
        self.0.is_none()
    }

    /// The id of the request, if it has one yet.
    pub fn request(&self) -> Option<u128> {
        self.branch().map(|branch| branch.request)
    }

    /// The id of the request; gives it one if it has none, and from then on the baggage travels.
    pub fn request_or_begin(&mut self) -> u128 {
        self.born().request
    }

    /// When the request began, in nanoseconds since the Unix epoch, rounded down to milliseconds.
    /// None if nobody knows, because no query that packs was installed then: it may have begun, and
    /// have gone through events, before any that is installed now.
    pub fn began_ns(&self) -> Option<i64> {
        let began_ms = self.branch()?.began_ms?;
        i64::try_from(began_ms).ok()?.checked_mul(1_000_000)
    }

    /// Divides the branch: both sides see what happened so far, and not each other until joined.
    pub fn fork(&mut self) -> Baggage {
        match &mut self.0 {
            None if !carrying() => Baggage::new(),
            _ => Baggage::of(self.born().fork()),
        }
    }

    /// Takes in a branch that has ended: from now on what it packed happened before.
    pub fn join(&mut self, other: Baggage) -> Joined {
        let Some(mut theirs) = other.0 else { return Joined::Merged };
        let Some(mine) = &mut self.0 else {
            // It was born further on than here, where the request had begun at some time before.
            theirs.began_ms = None;
            self.0 = Some(theirs);
            return Joined::Merged;
        };
        match mine.join(*theirs) {
            Ok(mismatches) => {
                note_mismatches(mismatches);
                Joined::Merged
            }
            Err(Refusal::Duplicate) => {
                losses::DUPLICATE.add(1);
                Joined::Duplicate
            }
            Err(Refusal::Foreign) => {
                losses::FOREIGN.add(1);
                Joined::Foreign
            }
        }
    }

    /// A branch for a message without a reply. It sees what happened so far; should it be joined
    /// after all it is refused.
    pub fn detach(&self) -> Baggage {
        let Some(branch) = self.branch() else { return Baggage::new() };
        let (mut child, mismatches) = branch.detach();
        note_mismatches(mismatches);
        child.partial |= mismatches > 0;
        Baggage::of(child)
    }

    /// Puts the tuples of one event into a bag, each with its rows. A temporal bag counts them one
    /// by one, those without rows too, in this order and under one stamp, which it gives; if the
    /// first n are already chosen, later ones are not. A grouped bag adds their rows up.
    pub fn pack(
        &mut self,
        key: BagKey,
        keep: Keep,
        tuples: impl IntoIterator<Item = Groups>,
    ) -> Option<Stamp> {
        let mut stamp = Stamp { clock: Hlc::default(), nonce: 0 };
        if keep != Keep::All {
            if matches!(keep, Keep::First(n) if self.has_first(key, n)) {
                return None;
            }
            let branch = self.born();
            stamp = Stamp { clock: branch.clock.tick(), nonce: branch.nonce };
        }
        let bag = Bag::packed(keep, tuples, stamp)?;
        let branch = self.born();
        let mismatches = branch.active.add(key, bag);
        branch.partial |= mismatches > 0;
        note_mismatches(mismatches);
        (keep != Keep::All).then_some(stamp)
    }

    /// Whether the first n are chosen: whatever is packed now comes after all that is visible.
    fn has_first(&self, key: BagKey, n: u32) -> bool {
        let full = |bag: &Bag| matches!(bag, Bag::First { slots, .. } if slots.len() >= n as usize);
        n == 0 || self.visible(key).is_some_and(|bag| full(&bag))
    }

    /// The rows that happened before and are still carried; None if there is no such bag.
    pub fn unpack(&self, key: BagKey) -> Option<Cow<'_, Groups>> {
        Some(match self.visible(key)? {
            Cow::Borrowed(bag) => bag.rows(),
            Cow::Owned(bag) => Cow::Owned(bag.rows().into_owned()),
        })
    }

    fn visible(&self, key: BagKey) -> Option<Cow<'_, Bag>> {
        let mut bags = self.branch()?.visible(key);
        let first = Cow::Borrowed(bags.next()?);
        Some(bags.fold(first, |mut all, bag| {
            // Of two shapes the one shows that a join would keep.
            let _ = all.to_mut().merge(bag.clone());
            all
        }))
    }

    /// Drops the bags of queries that were retired.
    pub fn retire(&mut self, is_retired: impl Fn(QueryId) -> bool) {
        if let Some(branch) = &mut self.0 {
            branch.retain(|key| !is_retired(key.query));
        }
    }

    /// Whether something that happened before may be missing.
    pub fn is_partial(&self) -> bool {
        self.branch().is_some_and(|branch| branch.partial || branch.bags().any(|(_, bag)| bag.is_cut()))
    }

    /// The fraction of requests that sampling keeps, in 0..=1: the smallest rate met on the way.
    pub fn keep(&self) -> f64 {
        self.branch().map_or(1.0, |branch| branch.keep)
    }

    /// Lowers the fraction of requests that sampling keeps.
    pub fn keep_at_most(&mut self, fraction: f64) {
        let branch = self.born();
        branch.keep = branch.keep.min(fraction.clamp(0.0, 1.0));
    }

    /// How many instances it carries that other branches may hold too.
    pub fn instances(&self) -> usize {
        self.branch().map_or(0, |branch| branch.frozen.len())
    }

    /// Its part of the request; nothing for an anonymous branch or one that is not born.
    pub fn share(&self) -> Share {
        self.branch().map_or_else(Share::default, |branch| branch.share.clone())
    }

    /// Lowers the depth of share at which branches become anonymous; their forks inherit it.
    pub fn limit_depth(&mut self, levels: u8) {
        let branch = self.born();
        branch.depth_limit = branch.depth_limit.min(levels);
    }
}

fn note_mismatches(mismatches: u64) {
    if mismatches > 0 {
        losses::MISMATCHED.add(mismatches);
    }
}
