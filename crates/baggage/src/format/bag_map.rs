//! All bags of one branch or of one frozen instance, by key.

use crate::format::bag::{Bag, Merged};
use crate::format::grouped_bag::Table;
use crate::format::lazy_bag::Section;
use pivot_advice::{Aggregate, BagKey};
use smallvec::SmallVec;

/// So many bags are looked at one by one.
const FEW: usize = 4;

/// Bags by key. A request has a handful, so a sorted list serves better than a tree; most have one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Bags {
    bags: SmallVec<[(BagKey, Section); 1]>,
}

/// How many bags were lost because two of one key had different shapes.
pub(crate) type Mismatches = u64;

impl Bags {
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.bags.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &(BagKey, Section)> {
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
    pub(crate) fn get(&self, key: BagKey) -> Option<&Section> {
        let bags = self.bags.as_slice();
        match bags.iter().take(FEW).find(|(other, _)| *other == key) {
            Some((_, section)) => Some(section),
            None if bags.len() <= FEW => None,
            None => self.get_of_many(key),
        }
    }

    #[inline(never)]
    fn get_of_many(&self, key: BagKey) -> Option<&Section> {
        let found = self.bags.binary_search_by_key(&key, |(key, _)| *key);
        found.ok().map(|found| &self.bags[found].1)
    }

    /// Adds the tuples of a bag.
    pub(crate) fn add(&mut self, key: BagKey, bag: Bag) -> Mismatches {
        self.add_section(key, Section::of(key, bag))
    }

    fn add_section(&mut self, key: BagKey, section: Section) -> Mismatches {
        match self.find(key) {
            Ok(found) => match self.bags[found].1.merge(key, section) {
                Merged::Both => 0,
                Merged::One => 1,
            },
            Err(place) => {
                self.bags.insert(place, (key, section));
                0
            }
        }
    }

    /// The table of a grouped bag, made if there is none; None if the one there is of another shape.
    #[inline]
    pub(crate) fn table(&mut self, key: BagKey, keys: usize, aggregates: &[Aggregate]) -> Option<&mut Table> {
        let place = match self.find(key) {
            Ok(found) => found,
            Err(place) => {
                let table = Table::new(key, None, keys, aggregates);
                self.bags.insert(place, (key, Section::of_table(table)));
                place
            }
        };
        let table = self.bags[place].1.table()?;
        table.fits(keys, aggregates).then_some(table)
    }

    /// Adds a bag unless one of that key is there. Tells whether it did.
    pub(crate) fn insert(&mut self, key: BagKey, section: Section) -> bool {
        let place = self.find(key).err();
        if let Some(place) = place {
            self.bags.insert(place, (key, section));
        }
        place.is_some()
    }

    /// Adds the tuples of all bags.
    pub(crate) fn merge(&mut self, other: Bags) -> Mismatches {
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
            Some(bag) => self.bags[found].1 = Section::of(key, bag),
            None => drop(self.bags.remove(found)),
        }
    }

    pub(crate) fn retain(&mut self, mut keep: impl FnMut(BagKey) -> bool) {
        self.bags.retain(|(key, _)| keep(*key));
    }
}
