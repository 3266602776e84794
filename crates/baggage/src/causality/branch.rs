//! One live branch of a request: the rules of fork and join.
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
use crate::format::bag_map::{BagMap, Mismatches};
use crate::format::lazy_bag::LazyBag;
use crate::format::shared_bytes::SharedBytes;
use pivot_advice::BagKey;
use std::panic::Location;

/// One live branch.
#[derive(Debug)]
pub(crate) struct Branch {
    pub(crate) request: u128,
    /// Shares are parts of this root. A detached branch begins a new one.
    pub(crate) root: u64,
    pub(crate) share: Share,
    /// Parts of the share given away and not returned, as far as this process has seen.
    pub(crate) outstanding: u32,
    pub(crate) clock: Hlc,
    /// Every event that happened before met the advice of this generation; 0 if nobody knows.
    pub(crate) generation: u64,
    /// Random per branch, the second part of its stamps.
    pub(crate) nonce: u32,
    /// The fraction of requests that sampling keeps.
    pub(crate) sampling_rate: f64,
    /// Something that happened before is missing.
    pub(crate) partial: bool,
    pub(crate) active: BagMap,
    /// By uid.
    pub(crate) frozen: Instances,
    /// Fields of the encoded form that this build does not know.
    pub(crate) unknown: Vec<u8>,
    /// The bytes in which it arrived, as long as nothing has changed.
    pub(crate) arrived: Option<SharedBytes>,
    /// Where it was forked or decoded, if leaks are being watched.
    pub(crate) origin: Option<&'static Location<'static>>,
}

/// The root with which a request begins. It follows from the request's id, so it need not travel.
pub(crate) fn first_root(request: u128) -> u64 {
    request as u64
}

/// Why a join was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JoinRefusal {
    Foreign,
    Duplicate,
}

impl Branch {
    /// The only branch of a new request.
    pub(crate) fn root() -> Branch {
        Branch { share: Share::whole(), ..Branch::blank(random128()) }
    }

    /// A branch of a request that owns nothing of it and has gathered nothing.
    #[inline]
    pub(crate) fn blank(request: u128) -> Branch {
        Branch {
            request,
            root: first_root(request),
            share: Share::default(),
            outstanding: 0,
            clock: Hlc::default(),
            generation: 0,
            nonce: random() as u32,
            sampling_rate: 1.0,
            partial: false,
            active: BagMap::default(),
            frozen: Instances::new(),
            unknown: Vec::new(),
            arrived: None,
            origin: None,
        }
    }

    /// A branch of the same request that has gathered nothing.
    #[inline]
    fn sibling(&self, root: u64, share: Share) -> Branch {
        Branch {
            request: self.request,
            root,
            share,
            outstanding: 0,
            clock: self.clock,
            generation: self.generation,
            nonce: random() as u32,
            sampling_rate: self.sampling_rate,
            partial: self.partial,
            active: BagMap::default(),
            frozen: Instances::new(),
            unknown: self.unknown.clone(),
            arrived: None,
            origin: None,
        }
    }

    /// A new branch that sees what this one sees.
    pub(crate) fn fork(&mut self) -> Box<Branch> {
        let domain = self.share.clone();
        let share = self.share.split(self.outstanding);
        let pinned = share.is_none();
        self.freeze(domain, pinned);
        match share {
            Some(_) => self.outstanding = self.outstanding.saturating_add(1),
            None => self.frozen.iter_mut().for_each(|instance| instance.pinned = true),
        }
        let mut child = Box::new(self.sibling(self.root, share.unwrap_or_default()));
        child.frozen = instance::copies(&self.frozen);
        child
    }

    /// A new branch that sees what this one sees and will not be joined again.
    pub(crate) fn detach(&self) -> (Branch, Mismatches) {
        let mut child = self.sibling(random(), Share::whole());
        child.active = self.active.clone();
        let frozen = self.frozen.iter().map(|instance| instance.bags().clone());
        let mismatches = frozen.map(|bags| child.active.merge(bags)).sum();
        (child, mismatches)
    }

    /// Gives what an anonymous branch gathered a uid, so that copies can be recognised without a
    /// share. Other branches are recognised by theirs.
    pub(crate) fn seal(&mut self) {
        if self.share.is_empty() {
            self.freeze(Share::default(), true);
        }
    }

    fn freeze(&mut self, domain: Share, pinned: bool) {
        if self.active.is_empty() {
            return;
        }
        let instance = Instance::new(random(), domain, pinned, std::mem::take(&mut self.active));
        let place = self.frozen.partition_point(|other| other.uid < instance.uid);
        self.frozen.insert(place, instance);
    }

    /// Takes in another branch, or refuses it and is marked partial.
    pub(crate) fn join(&mut self, other: Branch) -> Result<Mismatches, JoinRefusal> {
        if let Some(refusal) = self.refusal(&other) {
            self.partial = true;
            return Err(refusal);
        }
        self.clock.receive(other.clock);
        self.generation = self.generation.min(other.generation);
        self.sampling_rate = self.sampling_rate.min(other.sampling_rate);
        if self.unknown.is_empty() {
            self.unknown = other.unknown;
        }
        if !other.share.is_empty() {
            self.outstanding = self.outstanding.saturating_sub(1);
        }
        self.share.unite(&other.share);
        let mismatches = self.active.merge(other.active);
        instance::unite(&mut self.frozen, other.frozen);
        self.frozen.iter_mut().for_each(|instance| instance.domain.unite(&self.share));
        let mismatches = mismatches + self.fold();
        self.partial |= other.partial || mismatches > 0;
        Ok(mismatches)
    }

    fn refusal(&self, other: &Branch) -> Option<JoinRefusal> {
        if self.request != other.request || self.root != other.root {
            return Some(JoinRefusal::Foreign);
        }
        // Where both hold the same instances, territories are shares.
        let apart = !instance::are_copies(&self.frozen, &other.frozen);
        let duplicate = self.share.overlaps(&other.share)
            || apart && self.territory(other).overlaps(&other.territory(self));
        duplicate.then_some(JoinRefusal::Duplicate)
    }

    fn territory(&self, other: &Branch) -> Share {
        let mut territory = self.share.clone();
        let apart = self.frozen.iter().filter(|instance| !other.holds(instance.uid));
        apart.for_each(|instance| territory.unite(&instance.domain));
        territory
    }

    pub(crate) fn holds(&self, uid: u64) -> bool {
        self.frozen.binary_search_by_key(&uid, |instance| instance.uid).is_ok()
    }

    fn fold(&mut self) -> Mismatches {
        let (mut mismatches, share) = (0, &self.share);
        let settled = |instance: &Instance| !instance.pinned && share.contains(&instance.domain);
        if self.frozen.len() == 1 && settled(&self.frozen[0]) {
            let bags = self.frozen.pop().map(Instance::into_bags).unwrap_or_default();
            mismatches += self.active.merge(bags);
        } else if self.frozen.iter().any(settled) {
            let (folded, kept) =
                std::mem::take(&mut self.frozen).into_iter().partition::<Instances, _>(settled);
            self.frozen = kept;
            let bags = folded.into_iter().map(Instance::into_bags);
            mismatches += bags.map(|bags| self.active.merge(bags)).sum::<Mismatches>();
        }
        if *share == Share::whole() {
            self.outstanding = 0;
        }
        mismatches
    }

    /// Every bag of a key: its tuples are those of all of them together.
    #[inline]
    pub(crate) fn visible(&self, key: BagKey) -> impl Iterator<Item = &LazyBag> {
        let frozen = self.frozen.iter().filter_map(move |instance| instance.bags().get(key));
        self.active.get(key).into_iter().chain(frozen)
    }

    /// The bag of a key that has all its tuples: the only one, or, of those that keep one tuple each, that of
    /// the tuple which is chosen. `own` is the branch's own.
    pub(crate) fn only<'a>(&'a self, own: Option<&'a LazyBag>, key: BagKey) -> Option<&'a LazyBag> {
        let mut found = own;
        for section in self.frozen.iter().filter_map(|instance| instance.bags().get(key)) {
            found = match found {
                Some(before) if section.one()?.is_before(&before.one()?)? => Some(section),
                Some(before) => Some(before),
                None => Some(section),
            };
        }
        found
    }

    /// All bags, those of one key once for each place that holds one.
    pub(crate) fn bags(&self) -> impl Iterator<Item = &(BagKey, LazyBag)> {
        self.active.iter().chain(self.frozen.iter().flat_map(|instance| instance.bags().iter()))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::causality::share::MAX_DEPTH;
    use crate::format::bag::Bag;
    use pivot_advice::{Groups, Keep, Value};
    use proptest::prelude::*;

    const KEY: BagKey = BagKey { query: pivot_advice::QueryId { frontend: 1, number: 7 }, stage: 1 };

    fn pack(branch: &mut Branch, value: u64) {
        let mut rows = Groups::new(1, &[]);
        rows.entry(&[Value::U64(value)]).n = 1;
        let stamp = crate::causality::clock::Stamp { clock: branch.clock.tick(), nonce: branch.nonce };
        branch.active.add(KEY, Bag::packed(Keep::All, [rows], stamp).unwrap());
    }

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
        let rows = detached.active.get(KEY).unwrap().bag().unwrap().rows().into_owned();
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
        let folded = parent.active.get(KEY).unwrap().bag().unwrap();
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
