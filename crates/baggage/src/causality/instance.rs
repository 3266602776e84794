//! What a branch had gathered before a fork, of which several branches may hold copies.

use crate::causality::share::Share;
use crate::format::bag_header;
use crate::format::bag_map::BagMap;
use crate::format::lazy_bag::LazyBag;
use crate::format::shared_bytes::SharedBytes;
use pivot_advice::BagKey;
use smallvec::SmallVec;
use std::sync::{Arc, OnceLock};

/// Contributions of which several branches may hold copies. Its bags do not change any more.
#[derive(Debug, Clone)]
pub(crate) struct Instance {
    pub(crate) uid: u64,
    pub(crate) domain: Share,
    /// Copies may be in branches without a share, so it never folds.
    pub(crate) pinned: bool,
    /// Its only bag, as it came. One that has not been asked for has no other form.
    arrived: Option<SharedBytes>,
    bags: OnceLock<Arc<BagMap>>,
    /// Fields of the encoded form that this build does not know.
    pub(crate) unknown: Vec<u8>,
}

/// A branch that has forked once has one.
pub(crate) type Instances = SmallVec<[Instance; 1]>;

/// Copies of instances; of one without the detours for several.
#[inline]
pub(crate) fn copies(instances: &Instances) -> Instances {
    match instances.as_slice() {
        [] => Instances::new(),
        [only] => smallvec::smallvec![only.clone()],
        many => many.iter().cloned().collect(),
    }
}

impl Instance {
    pub(crate) fn new(uid: u64, domain: Share, pinned: bool, bags: BagMap) -> Instance {
        let bags = OnceLock::from(Arc::new(bags));
        Instance { uid, domain, pinned, arrived: None, bags, unknown: Vec::new() }
    }

    /// One with a single bag, which has a key that can be read.
    pub(crate) fn arrived(uid: u64, domain: Share, pinned: bool, bag: SharedBytes) -> Instance {
        Instance { uid, domain, pinned, arrived: Some(bag), bags: OnceLock::new(), unknown: Vec::new() }
    }

    pub(crate) fn bags(&self) -> &BagMap {
        self.bags.get_or_init(|| Arc::new(self.read()))
    }

    fn read(&self) -> BagMap {
        let mut bags = BagMap::default();
        if let Some(bag) = &self.arrived
            && let Ok(key) = bag_header::peek_key(bag)
        {
            bags.insert(key, LazyBag::arrived(bag.clone()));
        }
        bags
    }

    /// Changes the bags of this copy.
    pub(crate) fn change(&mut self, change: impl FnOnce(&mut BagMap)) {
        self.bags();
        self.arrived = None;
        if let Some(bags) = self.bags.get_mut() {
            change(Arc::make_mut(bags));
        }
    }

    pub(crate) fn into_bags(self) -> BagMap {
        self.bags();
        self.bags.into_inner().map(Arc::unwrap_or_clone).unwrap_or_default()
    }

    /// Whether the other is this very copy, with nothing changed on either side.
    pub(crate) fn is_unchanged(&self, other: &Instance) -> bool {
        let ids = self.uid == other.uid && self.pinned == other.pinned && self.domain == other.domain;
        ids && self.has_bags_of(other)
    }

    fn has_bags_of(&self, other: &Instance) -> bool {
        match (&self.arrived, &other.arrived) {
            (Some(mine), Some(theirs)) => mine.is(theirs),
            (None, None) => self.bags.get().zip(other.bags.get()).is_some_and(|(a, b)| Arc::ptr_eq(a, b)),
            _ => false,
        }
    }

    /// Goes through the bags as they travel.
    #[inline]
    pub(crate) fn each_encoded(&self, mut each: impl FnMut(&[u8])) {
        match &self.arrived {
            Some(bag) => each(bag),
            None => self.bags().iter().for_each(|(key, section)| each(section.encoded(*key))),
        }
    }

    /// Whether groups of its bag of this key were cut.
    #[inline]
    pub(crate) fn is_cut(&self, key: BagKey) -> bool {
        match &self.arrived {
            Some(bag) => bag_header::peek_is_cut(bag) && bag_header::peek_key(bag) == Ok(key),
            None => self.bags().get(key).is_some_and(LazyBag::is_cut),
        }
    }

    /// Takes in another copy.
    fn unite(&mut self, copy: &Instance) {
        self.domain.unite(&copy.domain);
        self.pinned |= copy.pinned;
        if !self.has_bags_of(copy) {
            self.restore(copy);
        }
    }

    /// Takes over the bags that this copy had to leave behind on its way and the other did not.
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

/// The instances of both sides by uid, those of both once.
pub(crate) fn unite(mine: &mut Instances, theirs: Instances) {
    if theirs.is_empty() {
        return;
    }
    if mine.is_empty() {
        *mine = theirs;
        return;
    }
    if are_copies(mine, &theirs) {
        mine.iter_mut().zip(&theirs).for_each(|(mine, copy)| mine.unite(copy));
        return;
    }
    mine.extend(theirs);
    // Stable, so that of two copies ours comes first.
    mine.sort_by_key(|instance| instance.uid);
    mine.dedup_by(|copy, kept| {
        let same = copy.uid == kept.uid;
        if same {
            kept.unite(copy);
        }
        same
    });
}

/// Whether both are copies of the same instances.
pub(crate) fn are_copies(mine: &[Instance], theirs: &[Instance]) -> bool {
    mine.len() == theirs.len() && mine.iter().zip(theirs).all(|(mine, theirs)| mine.uid == theirs.uid)
}
