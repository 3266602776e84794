//! One live branch of a request: the rules of fork and join.
//!
//! ```text
//! packed "a"     A  share [0,1)    active {a}     frozen {}
//! fork           A  share [0,½)    active {}      frozen {#7: a, domain [0,1)}     freeze
//!                B  share [½,1)    active {}      frozen {#7: a, domain [0,1)}     B may travel
//! packed "b"     B  share [½,1)    active {b}     frozen {#7}
//! join B into A  A  share [0,1)    active {a, b}  frozen {}                        fold: no copy elsewhere
//! ```
//!
//! Three rules keep every contribution counted once, whatever the shape of the request:
//!
//! - **freeze**: before a fork, what the branch has gathered becomes an [`Instance`] with a random
//!   `uid`, because from now on there are copies. Its `domain` is the share of the branch.
//! - **grow**: whoever holds an instance after a join adds its share to the domain.
//! - **fold**: after a join, an instance whose domain lies inside the share becomes the branch's
//!   own again. No other branch can hold a copy any more, so the uid has done its work.
//!
//! They maintain the **invariant**: *every live branch whose share overlaps the domain of an
//! instance, in any copy of it, holds that instance; and whoever holds it lies inside its domain.*
//! Freeze establishes it, since both sides of the fork hold the instance and divide the domain
//! between them; grow maintains it across joins with outsiders; fold relies on it.
//!
//! It also tells copies of a branch apart from other branches, however late they arrive. Call the
//! share of a branch, with the domains of the instances that the other side does not hold, its
//! **territory**. By the invariant the territories of two branches that meet are disjoint. But each
//! contribution stays within the territory of whoever counts it, beginning with the share of the
//! branch that packed it. So if both sides count one contribution apart from a common instance,
//! their territories overlap: the incoming side is a duplicate and is refused.
//!
//! An **anonymous** branch owns no share, because none was left to divide. What it and its parent
//! hold in common never folds, and what it gathered takes a uid when it leaves the process.

use crate::causality::clock::Hlc;
use crate::causality::instance::{self, Instance, Instances};
use crate::causality::random::{random, random128};
use crate::causality::share::Share;
use crate::format::bags::bag_map::{BagMap, Mismatches};
use crate::format::bags::lazy_bag::LazyBag;
use crate::format::shared_bytes::SharedBytes;
use crate::sync::Arc;
use pivot_advice::BagKey;
use std::any::Any;
use std::fmt::Debug;
use std::panic::Location;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// Where the branches of threads and tasks that work for one request meet, while they run.
pub(crate) trait BranchHome: Any + Debug + Send + Sync {
    /// Whether something has come since this version.
    fn has_news(&self, seen: u64) -> bool;

    /// Whether others may want what a branch has packed. There are so many references to the home.
    fn is_visited(&self, references: usize) -> bool;

    /// Joins a branch, and forks another in its place. Returns that and the version that it has seen.
    fn exchange(&self, branch: Box<Branch>) -> (Box<Branch>, u64);

    /// Ends the meeting, if this branch is the one for whose sake there is one. Returns the branch with what
    /// others have left. There are so many references to the home.
    fn end(&self, branch: Box<Branch>, references: usize) -> Box<Branch>;
}

/// The home at which a branch meets others.
#[derive(Debug)]
pub(crate) struct HomeLink {
    pub(crate) home: Arc<dyn BranchHome>,
    /// The version of the home that the branch has seen.
    pub(crate) seen: u64,
    /// Whether a branch has been joined since, which those at the home may not know of.
    pub(crate) has_joined: bool,
}

/// One live branch of a request. What it carries is what it packed itself since the last fork (`active`), and
/// what it holds in common with other branches (`frozen`).
#[derive(Debug, Default)]
pub(crate) struct Branch {
    /// The id of the request.
    pub(crate) request: u128,
    /// Shares are parts of this root. A detached branch begins a new one.
    pub(crate) root: u64,
    /// The part of the root that this branch owns; nothing if it is anonymous.
    pub(crate) share: Share,
    /// Parts of the share given away and not returned, as far as this process has seen.
    pub(crate) outstanding: u32,
    /// The clock of the request, as far as this branch has seen.
    pub(crate) clock: Hlc,
    /// The newest generation of advice that every event before has met; 0 if nobody knows.
    pub(crate) generation: u64,
    /// The second part of the branch's stamps, random.
    pub(crate) nonce: u32,
    /// The fraction of requests that sampling keeps, in 0..=1.
    pub(crate) sampling_rate: f64,
    /// Whether something that happened before is missing.
    pub(crate) partial: bool,
    /// Whether a reply came back without the baggage of its call, and nobody knows whether it had any: then
    /// something that happened before may be missing.
    pub(crate) has_bare_reply: bool,
    /// Bags that the branch has packed or folded. Nobody else holds a copy of them.
    pub(crate) active: BagMap,
    /// Instances, of which other branches may hold copies, in the order of uids.
    pub(crate) frozen: Instances,
    /// Fields of the encoded form that this build does not know.
    pub(crate) unknown: Vec<u8>,
    /// The bytes in which the branch arrived, as long as nothing has changed.
    pub(crate) arrived: Option<SharedBytes>,
    /// Where in the code the branch was forked or decoded, if leaks are being watched.
    pub(crate) origin: Option<&'static Location<'static>>,
    /// Whether the request has been answered, as far as this process knows: shared by all its branches here,
    /// and made when there is a second one.
    pub(crate) answered: OnceLock<Arc<AtomicBool>>,
    /// Where the branch meets others, if it does.
    pub(crate) home: Option<HomeLink>,
}

/// Returns the root with which a request begins. It follows from the request's id, so it need not travel.
pub(crate) fn first_root(request: u128) -> u64 {
    request as u64
}

/// Why a join was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JoinRefusal {
    /// The other branch is of another request, or of another root.
    Foreign,
    /// The other branch is a copy of one that was joined before.
    Duplicate,
}

impl Branch {
    /// Returns the only branch of a new request.
    pub(crate) fn root() -> Branch {
        Branch { share: Share::whole(), ..Branch::blank(random128()) }
    }

    /// Returns a branch of a request that owns nothing of it and has gathered nothing.
    #[inline]
    pub(crate) fn blank(request: u128) -> Branch {
        Branch {
            request,
            root: first_root(request),
            nonce: random() as u32,
            sampling_rate: 1.0,
            ..Branch::default()
        }
    }

    /// Returns another branch of the same request that has gathered nothing.
    #[inline]
    fn sibling(&self, root: u64, share: Share) -> Branch {
        Branch {
            root,
            share,
            clock: self.clock,
            generation: self.generation,
            sampling_rate: self.sampling_rate,
            partial: self.partial,
            has_bare_reply: self.has_bare_reply,
            unknown: self.unknown.clone(),
            answered: OnceLock::from(Arc::clone(self.answered.get_or_init(Arc::default))),
            ..Branch::blank(self.request)
        }
    }

    /// Returns what branches that may be joined have in common: the request and the root.
    pub(crate) fn id(&self) -> (u128, u64) {
        (self.request, self.root)
    }

    /// Divides the branch in two, and returns the new one. Both see what this one has seen so far.
    pub(crate) fn fork(&mut self) -> Box<Branch> {
        // Freeze: the domain is the share before it is divided, since both sides will hold the instance.
        let domain = self.share.clone();
        let share = self.share.split(self.outstanding);
        self.freeze(domain);
        match share {
            Some(_) => self.outstanding = self.outstanding.saturating_add(1),
            // The child is anonymous: no share tells when the last copy of what it holds has come back.
            None => self.frozen.iter_mut().for_each(|instance| instance.pinned = true),
        }

        let mut child = Box::new(self.sibling(self.root, share.unwrap_or_default()));
        child.frozen = instance::copies(&self.frozen);
        child
    }

    /// Returns a new branch that sees what this one sees and is refused if it is ever joined, and how many
    /// bags were lost because their shapes did not fit. The branch has a root of its own, so that its shares
    /// are not taken for parts of ours.
    pub(crate) fn detach(&self) -> (Branch, Mismatches) {
        let mut child = self.sibling(random(), Share::whole());
        child.active = self.active.clone();
        let frozen = self.frozen.iter().map(|instance| instance.bags().clone());
        let mismatches = frozen.map(|bags| child.active.merge(bags)).sum();
        (child, mismatches)
    }

    /// Freezes what an anonymous branch has gathered, before the branch is encoded. A message may arrive twice,
    /// and the second copy of a branch is recognised by its share; this one has none, so the uid of an instance
    /// has to tell. Leaves branches with a share as they are.
    pub(crate) fn seal(&mut self) {
        if self.share.is_empty()
            && let Some(instance) = self.freeze(Share::default())
        {
            instance.pinned = true;
        }
    }

    /// Makes an instance of what the branch has gathered that stays one, so that what it packs from now on is told
    /// from it.
    pub(crate) fn set_apart(&mut self) {
        if let Some(instance) = self.freeze(Share::default()) {
            instance.pinned = true;
        }
    }

    /// Makes an instance of what the branch has gathered, if anything, because from now on there are copies
    /// of it.
    fn freeze(&mut self, domain: Share) -> Option<&mut Instance> {
        if self.active.is_empty() {
            return None;
        }

        let instance = Instance::new(random(), domain, std::mem::take(&mut self.active));
        let position = self.frozen.partition_point(|other| other.uid < instance.uid);
        self.frozen.insert(position, instance);
        self.frozen.get_mut(position)
    }

    /// Takes in another branch, or refuses it and marks this one partial. Returns how many bags were lost
    /// because their shapes did not fit.
    pub(crate) fn join(&mut self, other: Branch) -> Result<Mismatches, JoinRefusal> {
        if let Some(refusal) = self.refusal(&other) {
            self.partial = true;
            return Err(refusal);
        }

        self.clock.receive(other.clock);
        self.generation = self.generation.min(other.generation);
        self.sampling_rate = self.sampling_rate.min(other.sampling_rate);
        self.has_bare_reply |= other.has_bare_reply;
        if self.unknown.is_empty() {
            self.unknown = other.unknown;
        }

        if !other.share.is_empty() {
            self.outstanding = self.outstanding.saturating_sub(1);
        }
        self.share.unite(&other.share);
        if let Some(link) = &mut self.home {
            link.has_joined |= !other.active.is_empty() || !other.frozen.is_empty();
        }
        let mismatches = self.active.merge(other.active);
        instance::unite(&mut self.frozen, other.frozen);

        // Grow, then fold. The other order would give the same: growing adds our share to a domain, so a domain
        // lies inside our share after it exactly if it did before.
        self.frozen.iter_mut().for_each(|instance| instance.domain.unite(&self.share));
        let mismatches = mismatches + self.fold();
        self.partial |= other.partial || mismatches > 0;
        Ok(mismatches)
    }

    /// Returns why another branch cannot be joined, or `None` if it can.
    fn refusal(&self, other: &Branch) -> Option<JoinRefusal> {
        if self.id() != other.id() {
            return Some(JoinRefusal::Foreign);
        }

        // Where both hold the same instances, territories are shares.
        let apart = !instance::are_copies(&self.frozen, &other.frozen);
        let duplicate = self.share.overlaps(&other.share)
            || apart && self.territory(other).overlaps(&other.territory(self));
        duplicate.then_some(JoinRefusal::Duplicate)
    }

    /// Returns the territory of the branch as seen from another one: its share, united with the domains of the
    /// instances that the other does not hold.
    fn territory(&self, other: &Branch) -> Share {
        let mut territory = self.share.clone();
        let apart = self.frozen.iter().filter(|instance| !other.holds(instance.uid));
        apart.for_each(|instance| territory.unite(&instance.domain));
        territory
    }

    /// Whether the request has been answered.
    #[inline]
    pub(crate) fn is_answered(&self) -> bool {
        self.answered.get().is_some_and(|answered| answered.load(Ordering::Relaxed))
    }

    /// Whether another branch of the request would learn anything from this one.
    pub(crate) fn brings_to(&self, other: &Branch) -> bool {
        let has_gathered =
            !self.active.is_empty() || self.frozen.iter().any(|instance| !other.holds(instance.uid));
        has_gathered
            || self.partial && !other.partial
            || self.generation < other.generation
            || self.sampling_rate < other.sampling_rate
    }

    /// Whether a join with another branch, to which this one [brings](Branch::brings_to) nothing, would leave the other
    /// as it is but for its share.
    pub(crate) fn is_even_with(&self, other: &Branch) -> bool {
        self.clock <= other.clock
            && self.has_bare_reply <= other.has_bare_reply
            && (self.unknown.is_empty() || !other.unknown.is_empty())
    }

    /// Whether the branch holds the instance of a uid.
    pub(crate) fn holds(&self, uid: u64) -> bool {
        self.frozen.binary_search_by_key(&uid, |instance| instance.uid).is_ok()
    }

    /// Makes the branch's own again whatever nobody else can hold any more. Returns how many bags were lost
    /// because their shapes did not fit.
    fn fold(&mut self) -> Mismatches {
        let mut mismatches = 0;

        if let [only] = self.frozen.as_slice() {
            // The usual case: the instance of the last fork, without lists of what folds and what stays.
            if only.folds_within(&self.share) {
                let bags = self.frozen.pop().map(Instance::into_bags).unwrap_or_default();
                mismatches += self.active.merge(bags);
            }
        } else if self.frozen.iter().any(|instance| instance.folds_within(&self.share)) {
            let all = std::mem::take(&mut self.frozen).into_iter();
            let (folded, kept) = all.partition::<Instances, _>(|instance| instance.folds_within(&self.share));
            self.frozen = kept;
            for instance in folded {
                mismatches += self.active.merge(instance.into_bags());
            }
        }

        // Nothing is out. The count may still be above 0: of two parts that joined each other before they came
        // back together, only one was subtracted.
        if self.share == Share::whole() {
            self.outstanding = 0;
        }

        mismatches
    }

    /// Returns every bag of a key, the branch's own first. The tuples of the key are those of all of them
    /// together.
    #[inline]
    pub(crate) fn visible(&self, key: BagKey) -> impl Iterator<Item = &LazyBag> {
        let frozen = self.frozen.iter().filter_map(move |instance| instance.bags().get(key));
        self.active.get(key).into_iter().chain(frozen)
    }

    /// Returns a bag that has by itself all that is to be unpacked under a key: the only bag of the key, or,
    /// if all keep one tuple each, the bag of the tuple that a merge would choose. `None` if bags have to be
    /// merged, or if there is none. `own` is the branch's own bag.
    pub(crate) fn sole_bag<'a>(&'a self, own: Option<&'a LazyBag>, key: BagKey) -> Option<&'a LazyBag> {
        let mut found = own;

        for bag in self.frozen.iter().filter_map(|instance| instance.bags().get(key)) {
            found = match found {
                // Bags of several tuples, or of different shapes, are not compared: `?` leaves them to a
                // merge.
                Some(before) if bag.sole_tuple()?.is_chosen_over(&before.sole_tuple()?)? => Some(bag),
                Some(before) => Some(before),
                None => Some(bag),
            };
        }

        found
    }

    /// Returns all bags: those of one key several times, if several instances hold one.
    pub(crate) fn bags(&self) -> impl Iterator<Item = &(BagKey, LazyBag)> {
        self.active.iter().chain(self.frozen.iter().flat_map(|instance| instance.bags().iter()))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::causality::share::MAX_DEPTH;
    use crate::format::bags::bag::Bag;
    use pivot_advice::{Groups, TemporalFilter, Value};
    use proptest::prelude::*;

    const KEY: BagKey = BagKey { query: pivot_advice::QueryId { frontend: 1, number: 7 }, stage: 1 };

    fn pack(branch: &mut Branch, value: u64) {
        let mut rows = Groups::new(1, &[]);
        rows.entry(&[Value::U64(value)]).n = 1;
        let stamp = crate::causality::clock::Stamp { clock: branch.clock.tick(), nonce: branch.nonce };
        branch.active.add(KEY, Bag::packed(TemporalFilter::All, [rows], stamp).unwrap());
    }

    /// Returns a copy of a branch, as if the message with it arrived twice.
    fn copy_of(branch: &Branch) -> Branch {
        let Branch { outstanding, nonce, .. } = *branch;
        let (active, frozen) = (branch.active.clone(), branch.frozen.clone());
        Branch { outstanding, nonce, active, frozen, ..branch.sibling(branch.root, branch.share.clone()) }
    }

    #[test]
    fn a_copy_is_refused_even_after_its_share_went_to_another_child() {
        let mut parent = Branch::root();
        let mut child = parent.fork();
        pack(&mut child, 1);
        let copy = copy_of(&child);
        assert_eq!(parent.join(*child), Ok(0));
        let other = parent.fork();
        assert!(!parent.share.overlaps(&copy.share) && other.share == copy.share);
        assert_eq!(parent.join(copy), Err(JoinRefusal::Duplicate));
        assert!(parent.partial);
    }

    #[test]
    fn copies_joined_by_different_branches_are_refused_where_those_meet() {
        let mut parent = Branch::root();
        let (mut left, mut child) = (parent.fork(), parent.fork());
        pack(&mut child, 1);
        let copy = copy_of(&child);
        assert_eq!((parent.join(*child), left.join(copy)), (Ok(0), Ok(0)));
        let (_, child_of_left) = (parent.fork(), left.fork());
        assert_eq!(parent.join(*child_of_left), Err(JoinRefusal::Duplicate));
    }

    #[test]
    fn a_detached_branch_sees_everything_and_is_refused_when_it_returns() {
        let mut parent = Branch::root();
        pack(&mut parent, 1);
        let _child = parent.fork();
        pack(&mut parent, 2);
        let (detached, mismatches) = parent.detach();
        let rows = detached.active.get(KEY).unwrap().decoded().unwrap().rows().into_owned();
        assert_eq!((rows.len(), mismatches, detached.frozen.len()), (2, 0, 0));
        assert_eq!(parent.join(detached), Err(JoinRefusal::Foreign));
    }

    #[test]
    fn a_cut_in_one_branch_holds_wherever_it_comes() {
        let mut parent = Branch::root();
        (0..300).for_each(|value| pack(&mut parent, value));
        let mut child = parent.fork();
        let cut = crate::format::cut::cut_newest(&mut child, 100);
        assert!(cut > 10 && child.active.get(KEY).unwrap().is_incomplete());
        assert!((0..2).all(|_| crate::format::cut::cut_newest(&mut child, 9) > 0));
        let (threshold, grandchild) = (child.cut(KEY), child.fork());
        assert_eq!((parent.cut(KEY), grandchild.cut(KEY)), (None, threshold));
        assert_eq!((parent.join(*grandchild), parent.join(*child)), (Ok(0), Ok(0)));
        let folded = parent.active.get(KEY).unwrap().decoded().unwrap();
        assert_eq!((parent.cut(KEY), folded.cut(), parent.partial), (threshold, threshold, false));
        assert!(!folded.rows().is_empty() && folded.rows().len() < 300 - cut as usize);
    }

    /// The module's invariant, for every instance of every copy against every live branch.
    fn check_invariant(live: &[Branch]) {
        for holder in live {
            for instance in &holder.frozen {
                assert!(instance.domain.contains(&holder.share), "a holder is outside the domain");
                let inside = live.iter().filter(|branch| branch.share.overlaps(&instance.domain));
                inside
                    .for_each(|branch| assert!(branch.holds(instance.uid), "a branch inside does not hold"));
            }
        }
        for (i, a) in live.iter().enumerate() {
            assert!(live[..i].iter().all(|b| !a.share.overlaps(&b.share)), "two branches own one share");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1000) })]

        #[test]
        fn whoever_is_inside_a_domain_holds_the_instance(
            steps in proptest::collection::vec((0u8..8, 0usize..64, 0usize..64), 1..60), levels in 3u8..64
        ) {
            let mut live = vec![Branch { share: Share::leftmost(MAX_DEPTH - levels), ..Branch::root() }];
            for (step, which, other) in steps {
                let which = which % live.len();
                match step {
                    0..=2 => pack(&mut live[which], 1),
                    3..=4 => {
                        let child = *live[which].fork();
                        live.push(child);
                    }
                    5 if other % 8 == 0 && live.len() > 1 => drop(live.swap_remove(which)),
                    _ if live.len() > 1 => {
                        let ended = live.swap_remove(which);
                        let into = other % live.len();
                        prop_assert_eq!(live[into].join(ended), Ok(0));
                    }
                    _ => {}
                }
                check_invariant(&live);
            }
        }
    }
}
