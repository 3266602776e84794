//! All bags of one branch or of one frozen instance, by key.

use crate::format::bag::{Bag, MergeOutcome};
use crate::format::grouped_bag::GroupedBag;
use crate::format::lazy_bag::LazyBag;
use pivot_advice::{Aggregate, BagKey};
use smallvec::SmallVec;

/// So many bags are looked at one by one.
const FEW: usize = 4;

/// Bags by key. A request has a handful, so a sorted list serves better than a tree; most have one.
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

    #[inline]
    fn find(&self, key: BagKey) -> Result<usize, usize> {
        // Of a handful, to look at each is less than to compare.
        let bags = self.bags.as_slice();
        match bags.iter().take(FEW).position(|(other, _)| *other == key) {
            Some(found) => Ok(found),
            None => bags.binary_search_by_key(&key, |(key, _)| *key),
        }
    }

    #[inline]
    pub(crate) fn get(&self, key: BagKey) -> Option<&LazyBag> {
        let bags = self.bags.as_slice();
        match bags.iter().take(FEW).find(|(other, _)| *other == key) {
            Some((_, section)) => Some(section),
            None if bags.len() <= FEW => None,
            None => self.get_of_many(key),
        }
    }

    #[inline(never)]
    fn get_of_many(&self, key: BagKey) -> Option<&LazyBag> {
        let found = self.bags.binary_search_by_key(&key, |(key, _)| *key);
        found.ok().map(|found| &self.bags[found].1)
    }

    /// Adds the tuples of a bag.
    pub(crate) fn add(&mut self, key: BagKey, bag: Bag) -> Mismatches {
        self.add_section(key, LazyBag::of(key, bag))
    }

    fn add_section(&mut self, key: BagKey, section: LazyBag) -> Mismatches {
        match self.find(key) {
            Ok(found) => match self.bags[found].1.merge(key, section) {
                MergeOutcome::Both => 0,
                MergeOutcome::OneKept => 1,
            },
            Err(place) => {
                self.bags.insert(place, (key, section));
                0
            }
        }
    }

    /// The table of a grouped bag, made if there is none; None if the one there is of another shape.
    #[inline]
    pub(crate) fn table(
        &mut self,
        key: BagKey,
        keys: usize,
        aggregates: &[Aggregate],
    ) -> Option<&mut GroupedBag> {
        let place = match self.find(key) {
            Ok(found) => found,
            Err(place) => {
                let table = GroupedBag::new(key, None, keys, aggregates);
                self.bags.insert(place, (key, LazyBag::of_table(table)));
                place
            }
        };
        let table = self.bags[place].1.table()?;
        table.fits(keys, aggregates).then_some(table)
    }

    /// Adds a bag unless one of that key is there. Tells whether it did.
    pub(crate) fn insert(&mut self, key: BagKey, section: LazyBag) -> bool {
        let place = self.find(key).err();
        if let Some(place) = place {
            self.bags.insert(place, (key, section));
        }
        place.is_some()
    }

    /// Adds the tuples of all bags.
    pub(crate) fn merge(&mut self, other: BagMap) -> Mismatches {
        if self.is_empty() {
            *self = other;
            return 0;
        }
        other.bags.into_iter().map(|(key, section)| self.add_section(key, section)).sum()
    }

    /// Changes the bag of a key; None takes it away.
    pub(crate) fn change(&mut self, key: BagKey, change: impl FnOnce(&Bag) -> Option<Bag>) {
        let Ok(found) = self.find(key) else { return };
        match self.bags[found].1.bag().and_then(change) {
            Some(bag) => self.bags[found].1 = LazyBag::of(key, bag),
            None => drop(self.bags.remove(found)),
        }
    }
}
