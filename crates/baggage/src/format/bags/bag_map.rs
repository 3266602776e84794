//! The bags of one branch or of one instance, by key.
//!
//! A request carries a handful of bags, mostly one, so they are a sorted list in place: the first few are
//! looked at one by one, a longer list is searched by halves.

use crate::format::bags::bag::{Bag, MergeOutcome};
use crate::format::bags::grouped_bag::GroupedBag;
use crate::format::bags::lazy_bag::LazyBag;
use pivot_advice::{AggregateKind, BagKey};
use smallvec::SmallVec;

/// How many bags are looked at one by one. To compare two keys for equality is less than to tell which is
/// greater.
const FEW: usize = 4;

/// Bags in the order of their keys.
#[derive(Debug, Clone, Default)]
pub(crate) struct BagMap {
    bags: SmallVec<[(BagKey, LazyBag); 1]>,
}

/// How many bags were lost because two of one key had different shapes.
pub(crate) type Mismatches = u64;

impl BagMap {
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.bags.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &(BagKey, LazyBag)> {
        self.bags.iter()
    }

    /// Returns the position of a bag, or that at which it belongs.
    #[inline]
    fn find(&self, key: BagKey) -> Result<usize, usize> {
        let bags = self.bags.as_slice();
        match bags.iter().take(FEW).position(|(other, _)| *other == key) {
            Some(found) => Ok(found),
            None => bags.binary_search_by_key(&key, |(key, _)| *key),
        }
    }

    /// Returns the bag of a key.
    #[inline]
    pub(crate) fn get(&self, key: BagKey) -> Option<&LazyBag> {
        let bags = self.bags.as_slice();
        match bags.iter().take(FEW).find(|(other, _)| *other == key) {
            Some((_, bag)) => Some(bag),
            None if bags.len() <= FEW => None,
            None => self.get_of_many(key),
        }
    }

    /// Apart from [`BagMap::get`], which stays small enough to be part of its callers.
    #[inline(never)]
    fn get_of_many(&self, key: BagKey) -> Option<&LazyBag> {
        let found = self.bags.binary_search_by_key(&key, |(key, _)| *key);
        found.ok().map(|found| &self.bags[found].1)
    }

    /// Adds the tuples of a bag.
    pub(crate) fn add(&mut self, key: BagKey, bag: Bag) -> Mismatches {
        self.add_lazy(key, LazyBag::new(key, bag))
    }

    fn add_lazy(&mut self, key: BagKey, bag: LazyBag) -> Mismatches {
        match self.find(key) {
            Ok(found) => match self.bags[found].1.merge(key, bag) {
                MergeOutcome::Both => 0,
                MergeOutcome::OneKept => 1,
            },
            Err(position) => {
                self.bags.insert(position, (key, bag));
                0
            }
        }
    }

    /// Returns the grouped bag of a key, to be added to; makes one if there is none. `None` if the bag there
    /// is not grouped, cannot be read, or has other columns.
    #[inline]
    pub(crate) fn grouped(
        &mut self,
        key: BagKey,
        keys: usize,
        aggregates: &[AggregateKind],
    ) -> Option<&mut GroupedBag> {
        let position = match self.find(key) {
            Ok(found) => found,
            Err(position) => {
                let bag = GroupedBag::new(key, None, keys, aggregates);
                self.bags.insert(position, (key, LazyBag::grouped(bag)));
                position
            }
        };

        let bag = self.bags[position].1.grouped_mut()?;
        bag.fits(keys, aggregates).then_some(bag)
    }

    /// Adds a bag unless there is one of that key, and returns whether it did.
    pub(crate) fn insert(&mut self, key: BagKey, bag: LazyBag) -> bool {
        let position = self.find(key).err();
        if let Some(position) = position {
            self.bags.insert(position, (key, bag));
        }
        position.is_some()
    }

    /// Adds the tuples of all bags of another map.
    pub(crate) fn merge(&mut self, other: BagMap) -> Mismatches {
        if self.is_empty() {
            *self = other;
            return 0;
        }
        other.bags.into_iter().map(|(key, bag)| self.add_lazy(key, bag)).sum()
    }

    /// Replaces the bag of a key by what `change` makes of it, or removes it if that is `None`. A bag that
    /// cannot be read is removed too.
    pub(crate) fn change(&mut self, key: BagKey, change: impl FnOnce(&Bag) -> Option<Bag>) {
        let Ok(found) = self.find(key) else { return };
        match self.bags[found].1.decoded().and_then(change) {
            Some(bag) => self.bags[found].1 = LazyBag::new(key, bag),
            None => drop(self.bags.remove(found)),
        }
    }
}
