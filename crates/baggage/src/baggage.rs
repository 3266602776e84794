//! The baggage of one branch of a request: how it begins, divides, comes together and ends.
//!
//! A request is a tree of branches that fork and join: a task that is spawned, a call to another process.
//! Each branch carries its own [`Baggage`], and what one of them packs is seen by whatever happens after it,
//! once. How that is ensured, whatever the shape of the request, is told in `causality/branch.rs`.
//!
//! Baggage is allocated late. As long as no query packs anything, the baggage of a request is a null pointer
//! that forks, travels and joins for nothing. It gets an id, and a box for its branch, when something is
//! packed, or when the request begins while a query that packs is installed anywhere. From then on it is
//! always passed on.

use crate::carry::leaks;
use crate::causality::branch::{Branch, BranchHome, HomeLink, JoinRefusal};
use crate::causality::request_generation::{self, is_carrying};
use crate::causality::share::Share;
use crate::losses;
use crate::sync::Arc;
use std::sync::atomic::Ordering;

/// The baggage of one live branch of a request.
///
/// It is moved, never copied: a copy would count twice, a [`fork`](Baggage::fork) does not. It is one pointer
/// wide.
#[derive(Debug, Default)]
pub struct Baggage(pub(crate) Option<Box<Branch>>);

/// The outcome of joining a baggage. Refusals are counted, and the result is partial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JoinOutcome {
    /// The contributions of the baggage were taken in.
    Merged,
    /// Refused: the baggage is a copy of a branch that was joined before.
    Duplicate,
    /// Refused: the baggage belongs to another request, or was detached from this one.
    Foreign,
    /// Refused: there was no request to join.
    Outside,
}

impl Baggage {
    /// Returns the baggage of a request that has no id yet. Allocates nothing.
    pub const fn new() -> Baggage {
        Baggage(None)
    }

    pub(crate) fn from_branch(branch: Branch) -> Baggage {
        Baggage(Some(Box::new(branch)))
    }

    /// Returns the baggage of a request that begins now. While a query that packs is installed anywhere, it
    /// has an id and a generation from the start; otherwise it has neither, and costs nothing.
    pub fn begin() -> Baggage {
        if !is_carrying() {
            return Baggage::new();
        }

        let mut branch = Branch::root();
        branch.generation = request_generation::at_begin();
        Baggage::from_branch(branch)
    }

    pub(crate) fn branch(&self) -> Option<&Branch> {
        self.0.as_deref()
    }

    pub(crate) fn into_branch(mut self) -> Option<Box<Branch>> {
        self.leave_home();
        self.0.take()
    }

    /// Returns the branch, to be changed: it gets an id if it has none, and no longer travels as it arrived.
    #[inline]
    pub(crate) fn branch_mut(&mut self) -> &mut Branch {
        let branch = self.0.get_or_insert_with(|| Box::new(Branch::root()));
        branch.arrived = None;
        branch
    }

    /// Lets the baggage be dropped without being joined: what it carries goes on in another form.
    pub(crate) fn allow_drop(&mut self) {
        if let Some(branch) = &mut self.0 {
            branch.origin = None;
        }
    }

    /// Whether the request has been answered, as far as this process knows: what happens in it from now on
    /// comes after the answer.
    #[inline]
    pub fn is_answered(&self) -> bool {
        self.branch().is_some_and(Branch::is_answered)
    }

    /// Whether it is known at a look that sampling keeps all requests and that this one has not been answered. It
    /// may be so, too, if this is false.
    #[inline(always)]
    pub fn is_plain(&self) -> bool {
        self.branch().is_none_or(|branch| branch.sampling_rate >= 1.0 && branch.answered.get().is_none())
    }

    /// Sets whether the request has been answered, for all its branches in this process.
    pub fn set_answered(&mut self, answered: bool) {
        if let Some(branch) = &self.0 {
            branch.answered.get_or_init(Arc::default).store(answered, Ordering::Relaxed);
        }
    }

    /// Ends the request: it has been answered, and this branch is not to be joined.
    pub fn end_request(mut self) {
        self.set_answered(true);
        self.allow_drop();
    }

    /// Ends the meeting with others, if there is one: takes in what they have left.
    #[inline]
    pub(crate) fn leave_home(&mut self) {
        if self.has_home() {
            self.end_meeting();
        }
    }

    #[cold]
    fn end_meeting(&mut self) {
        let Some(mut mine) = self.0.take() else { return };
        self.0 = Some(match mine.home.take() {
            Some(link) => link.home.end(mine, Arc::strong_count(&link.home)),
            None => mine,
        });
    }

    /// Whether another branch of the request would learn anything from this one.
    pub(crate) fn brings_to(&self, other: &Baggage) -> bool {
        match (self.branch(), other.branch()) {
            (Some(mine), Some(theirs)) => mine.brings_to(theirs),
            (mine, _) => mine.is_some(),
        }
    }

    /// Whether nobody who knows what another branch of the request knows would learn anything from this one.
    pub(crate) fn knows_as_much_as(&self, other: &Baggage) -> bool {
        match (self.branch(), other.branch()) {
            (Some(mine), Some(theirs)) => !mine.brings_to(theirs) && mine.is_even_with(theirs),
            _ => false,
        }
    }

    /// Whether the branch meets others at woven events.
    #[inline(always)]
    pub(crate) fn has_home(&self) -> bool {
        self.branch().is_some_and(|branch| branch.home.is_some())
    }

    /// Returns where the branch meets others at woven events, if it does.
    pub(crate) fn meets_at(&self) -> Option<&Arc<dyn BranchHome>> {
        self.branch()?.home.as_ref().map(|link| &link.home)
    }

    /// Returns the version of its home that the branch has seen, if it has a home that is this one.
    pub(crate) fn home_version(&self, is_this: impl FnOnce(&Arc<dyn BranchHome>) -> bool) -> Option<u64> {
        let link = self.branch()?.home.as_ref()?;
        is_this(&link.home).then_some(link.seen)
    }

    /// Takes the branch out of its home, without an end of their meeting. Returns the version that it has seen.
    pub(crate) fn forget_home(&mut self) -> Option<u64> {
        Some(self.0.as_mut()?.home.take()?.seen)
    }

    /// Takes in what others have left at the branch's home, before an event.
    #[cold]
    #[inline(never)]
    pub(crate) fn fetch_news(&mut self) {
        let link = self.branch().and_then(|branch| branch.home.as_ref());
        if link.is_some_and(|link| link.home.has_news(link.seen)) {
            self.exchange();
        }
    }

    /// Leaves what the branch has packed at its home, after an event, if anybody may come for it.
    #[cold]
    #[inline(never)]
    pub(crate) fn publish_packed(&mut self) {
        let link = self.branch().and_then(|branch| branch.home.as_ref());
        if link.is_some_and(|link| link.home.is_visited(Arc::strong_count(&link.home))) {
            self.publish();
        }
    }

    /// Leaves what the branch has packed, or got from branches that joined it, at its home.
    pub(crate) fn publish(&mut self) {
        let has_joined = |branch: &Branch| branch.home.as_ref().is_some_and(|link| link.has_joined);
        if self.branch().is_some_and(|branch| !branch.active.is_empty() || has_joined(branch)) {
            self.exchange();
        }
    }

    /// Has the branch meet others at a home, of which it has seen this version.
    pub(crate) fn meet_at(&mut self, home: Arc<dyn BranchHome>, seen: u64) {
        if let Some(branch) = &mut self.0 {
            branch.home = Some(HomeLink { home, seen, has_joined: false });
        }
    }

    fn exchange(&mut self) {
        let Some(mut mine) = self.0.take() else { return };
        let Some(HomeLink { home, .. }) = mine.home.take() else {
            self.0 = Some(mine);
            return;
        };
        let (mut forked, seen) = home.exchange(mine);
        forked.home = Some(HomeLink { home, seen, has_joined: false });
        self.0 = Some(forked);
    }

    /// Whether the baggage carries nothing, not even an id.
    pub fn has_no_id(&self) -> bool {
        self.0.is_none()
    }

    /// Returns the id of the request, or `None` if it has none yet.
    pub fn request(&self) -> Option<u128> {
        self.branch().map(|branch| branch.request)
    }

    /// Returns the id of the request. If it has none it gets one, and from then on the baggage travels.
    pub fn request_or_begin(&mut self) -> u128 {
        self.request().unwrap_or_else(|| self.branch_mut().request)
    }

    /// Returns the newest generation of advice that every event before has met, or 0 if nobody knows, because
    /// the request began, or passed, where no query that packs was woven. See [`crate::request_generation`].
    pub fn generation(&self) -> u64 {
        self.branch().map_or(0, |branch| branch.generation)
    }

    /// Divides the branch, and returns the new one. Both see what happened so far, and neither sees the other
    /// until they are joined.
    #[track_caller]
    pub fn fork(&mut self) -> Baggage {
        if self.has_no_id() && !is_carrying() {
            return Baggage::new();
        }

        let mut branch = self.branch_mut().fork();
        branch.origin = leaks::origin();
        Baggage(Some(branch))
    }

    /// Takes in a branch that has ended: from now on, what it packed happened before.
    #[track_caller]
    pub fn join(&mut self, other: Baggage) -> JoinOutcome {
        let Some(mut theirs) = other.into_branch() else { return JoinOutcome::Merged };

        if self.has_no_id() {
            // The other branch got its id further on. What happened here before is older than its generation
            // knows.
            (theirs.generation, theirs.arrived, theirs.origin, theirs.home) = (0, None, None, None);
            self.0 = Some(theirs);
            return JoinOutcome::Merged;
        }

        match self.branch_mut().join(*theirs) {
            Ok(mismatches) => {
                losses::note_mismatches(mismatches);
                JoinOutcome::Merged
            }
            Err(JoinRefusal::Duplicate) => {
                losses::DUPLICATE.add(1);
                JoinOutcome::Duplicate
            }
            Err(JoinRefusal::Foreign) => {
                losses::FOREIGN.add(1);
                leaks::crossed();
                JoinOutcome::Foreign
            }
        }
    }

    /// Whether the other baggage is of the same request, and was not detached from it, so that this one may
    /// join it.
    pub fn can_join(&self, other: &Baggage) -> bool {
        self.branch().map(Branch::id) == other.branch().map(Branch::id)
    }

    /// Returns a branch for a message without a reply. It sees what happened so far; should it be joined
    /// after all it is refused.
    pub fn detach(&self) -> Baggage {
        let Some(branch) = self.branch() else { return Baggage::new() };
        let (mut child, mismatches) = branch.detach();
        losses::note_mismatches(mismatches);
        child.partial |= mismatches > 0;
        Baggage::from_branch(child)
    }

    /// Detaches the branch that this is, without a branch left behind that would have to be joined.
    pub fn into_detached(mut self) -> Baggage {
        self.allow_drop();
        self.detach()
    }

    /// Returns the fraction of requests that sampling keeps, in 0..=1: the smallest rate met on the way.
    #[inline]
    pub fn sampling_rate(&self) -> f64 {
        self.branch().map_or(1.0, |branch| branch.sampling_rate)
    }

    /// Lowers the fraction of requests that sampling keeps. A fraction above the present one changes nothing.
    pub fn lower_sampling_rate(&mut self, fraction: f64) {
        if fraction < self.sampling_rate() {
            self.branch_mut().sampling_rate = fraction.max(0.0);
        }
    }

    /// Notes that something that happened before is missing.
    pub fn mark_partial(&mut self) {
        self.branch_mut().partial = true;
    }

    /// Notes that a reply came back without the baggage of its call, and that nobody knows whether it had any.
    pub fn note_bare_reply(&mut self) {
        self.branch_mut().has_bare_reply = true;
    }

    /// Whether a reply came back without the baggage of its call, so that something may be missing if it had any.
    #[inline]
    pub fn has_bare_reply(&self) -> bool {
        self.branch().is_some_and(|branch| branch.has_bare_reply)
    }

    /// Returns how many instances the branch carries that other branches may hold too.
    pub fn instance_count(&self) -> usize {
        self.branch().map_or(0, |branch| branch.frozen.len())
    }

    /// Returns the branch's part of the request: nothing for an anonymous branch, or one without an id.
    pub fn share(&self) -> Share {
        self.branch().map_or_else(Share::default, |branch| branch.share.clone())
    }
}

/// A branch that ends without being joined, sent or detached is a leak, if anybody watches.
impl Drop for Baggage {
    #[inline]
    fn drop(&mut self) {
        if let Some(branch) = &self.0
            && let Some(origin) = branch.origin
        {
            leaks::dropped(origin);
        }
    }
}
