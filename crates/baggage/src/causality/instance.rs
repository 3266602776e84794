//! What a branch had gathered before a fork: bags of which several branches may hold copies.
//!
//! Copies are told by their `uid`, so that each counts once, whichever way they meet again. The content of an
//! instance never changes but for bags that a copy had to leave behind on its way, because they did not fit;
//! the other copy restores them. So copies share their bags behind an `Arc`, and an instance that arrived
//! with a single bag, as nearly all do, is that bag's bytes until somebody asks for more.

use crate::causality::share::Share;
use crate::format::bags::bag_header;
use crate::format::bags::bag_map::BagMap;
use crate::format::bags::lazy_bag::LazyBag;
use crate::format::shared_bytes::SharedBytes;
use pivot_advice::BagKey;
use smallvec::SmallVec;
use std::sync::{Arc, OnceLock};

/// Bags of which several branches may hold copies; see the [module](self).
#[derive(Debug, Clone)]
pub(crate) struct Instance {
    /// A random number by which copies are recognised.
    pub(crate) uid: u64,
    /// Covers the shares of all branches that hold a copy.
    pub(crate) domain: Share,
    /// Whether branches without a share may hold copies, so that the instance never folds.
    pub(crate) pinned: bool,
    /// The only bag, as it arrived. While nobody has asked for `bags` there is no other form of it.
    arrived: Option<SharedBytes>,
    /// The bags, made of `arrived` when they are needed.
    bags: OnceLock<Arc<BagMap>>,
    /// Fields of the encoded form that this build does not know.
    pub(crate) unknown: Vec<u8>,
}

/// Instances in the order of uids. A branch that has forked once has one.
pub(crate) type Instances = SmallVec<[Instance; 1]>;

/// Returns copies of instances. That of a single one is made in place, which a clone of the list does not do.
#[inline]
pub(crate) fn copies(instances: &Instances) -> Instances {
    match instances.as_slice() {
        [] => Instances::new(),
        [only] => smallvec::smallvec![only.clone()],
        many => many.iter().cloned().collect(),
    }
}

impl Instance {
    pub(crate) fn new(uid: u64, domain: Share, bags: BagMap) -> Instance {
        let bags = OnceLock::from(Arc::new(bags));
        Instance { uid, domain, pinned: false, arrived: None, bags, unknown: Vec::new() }
    }

    /// Returns an instance that arrived with a single bag, of which the key can be read.
    pub(crate) fn arrived(uid: u64, domain: Share, bag: SharedBytes) -> Instance {
        Instance {
            uid,
            domain,
            pinned: false,
            arrived: Some(bag),
            bags: OnceLock::new(),
            unknown: Vec::new(),
        }
    }

    /// Returns the bags. They are still encoded, each by itself.
    pub(crate) fn bags(&self) -> &BagMap {
        self.bags.get_or_init(|| Arc::new(self.read()))
    }

    /// Makes a map of the only bag.
    fn read(&self) -> BagMap {
        let mut bags = BagMap::default();
        if let Some(bag) = &self.arrived
            && let Ok(key) = bag_header::peek_key(bag)
        {
            bags.insert(key, LazyBag::arrived(bag.clone()));
        }
        bags
    }

    /// Changes the bags of this copy; other copies keep theirs.
    pub(crate) fn change(&mut self, change: impl FnOnce(&mut BagMap)) {
        self.bags();
        self.arrived = None;
        if let Some(bags) = self.bags.get_mut() {
            change(Arc::make_mut(bags));
        }
    }

    /// Returns the bags, without a copy if nobody else shares them.
    pub(crate) fn into_bags(self) -> BagMap {
        self.bags();
        self.bags.into_inner().map(Arc::unwrap_or_clone).unwrap_or_default()
    }

    /// Whether this copy and the other one have nothing that tells them apart, as far as can be said without
    /// comparing bags: they were the same in memory, and neither has changed.
    pub(crate) fn is_unchanged(&self, other: &Instance) -> bool {
        let ids = self.uid == other.uid && self.pinned == other.pinned && self.domain == other.domain;
        ids && self.has_bags_of(other)
    }

    /// Whether both copies share their bags in memory.
    fn has_bags_of(&self, other: &Instance) -> bool {
        match (&self.arrived, &other.arrived) {
            (Some(mine), Some(theirs)) => mine.is_same(theirs),
            (None, None) => self.bags.get().zip(other.bags.get()).is_some_and(|(a, b)| Arc::ptr_eq(a, b)),
            _ => false,
        }
    }

    /// Calls `each` with the bytes of every bag, as it travels.
    #[inline]
    pub(crate) fn each_encoded(&self, mut each: impl FnMut(&[u8])) {
        match &self.arrived {
            Some(bag) => each(bag),
            None => self.bags().iter().for_each(|(key, bag)| each(bag.encoded(*key))),
        }
    }

    /// Whether groups of the bag of this key were cut.
    #[inline]
    pub(crate) fn is_cut(&self, key: BagKey) -> bool {
        match &self.arrived {
            Some(bag) => bag_header::is_cut(bag) && bag_header::peek_key(bag) == Ok(key),
            None => self.bags().get(key).is_some_and(LazyBag::is_cut),
        }
    }

    /// Whether the instance becomes the own of a branch with this share: nobody outside holds a copy.
    pub(crate) fn folds_within(&self, share: &Share) -> bool {
        !self.pinned && share.contains(&self.domain)
    }

    /// Takes in another copy.
    fn unite(&mut self, copy: &Instance) {
        self.domain.unite(&copy.domain);
        self.pinned |= copy.pinned;
        if !self.has_bags_of(copy) {
            self.restore(copy);
        }
    }

    /// Takes over the bags that this copy had to leave behind on its way, and the other one did not.
    fn restore(&mut self, copy: &Instance) {
        for (key, bag) in copy.bags().iter() {
            if self.bags().get(*key).is_none() {
                self.change(|bags| {
                    bags.insert(*key, bag.clone());
                });
            }
        }
    }
}

/// Adds the instances of another branch to ours. Of those that both hold one copy is left.
pub(crate) fn unite(mine: &mut Instances, theirs: Instances) {
    if theirs.is_empty() {
        return;
    }
    if mine.is_empty() {
        *mine = theirs;
        return;
    }

    // A reply that adds nothing brings back what went with its request, in the same order.
    if are_copies(mine, &theirs) {
        mine.iter_mut().zip(&theirs).for_each(|(mine, copy)| mine.unite(copy));
        return;
    }

    // The sort is stable, so of two copies ours comes first and is kept.
    mine.extend(theirs);
    mine.sort_by_key(|instance| instance.uid);
    mine.dedup_by(|copy, kept| {
        let same = copy.uid == kept.uid;
        if same {
            kept.unite(copy);
        }
        same
    });
}

/// Whether both lists are of the same instances.
pub(crate) fn are_copies(mine: &[Instance], theirs: &[Instance]) -> bool {
    mine.len() == theirs.len() && mine.iter().zip(theirs).all(|(mine, theirs)| mine.uid == theirs.uid)
}
