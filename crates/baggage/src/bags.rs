//! All bags of one branch or of one frozen instance, by key.

use crate::bag::{Bag, Merged};
use crate::section::Section;
use pivot_advice::{BagKey, Groups};

/// Bags by key. A request has a handful, so a sorted list serves better than a tree.
#[derive(Debug, Clone, Default)]
pub(crate) struct Bags {
    bags: Vec<(BagKey, Section)>,
}

/// How many bags were lost because two of one key had different shapes.
pub(crate) type Mismatches = u64;

impl Bags {
    pub(crate) fn is_empty(&self) -> bool {
        self.bags.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &(BagKey, Section)> {
        self.bags.iter()
    }

    // In turn: there are too few for anything better.
    #[inline]
    pub(crate) fn get(&self, key: BagKey) -> Option<&Section> {
        self.bags.iter().find(|(known, _)| *known == key).map(|(_, section)| section)
    }

    /// The rows of a grouped bag of which nothing was cut, to be added to.
    pub(crate) fn rows_mut(&mut self, key: BagKey) -> Option<&mut Groups> {
        self.bags.iter_mut().find(|(known, _)| *known == key)?.1.rows_mut()
    }

    /// Adds the tuples of a bag.
    pub(crate) fn add(&mut self, key: BagKey, bag: Bag) -> Mismatches {
        self.add_section(key, Section::of(bag))
    }

    fn add_section(&mut self, key: BagKey, section: Section) -> Mismatches {
        match self.bags.binary_search_by_key(&key, |(key, _)| *key) {
            Ok(found) => match self.bags[found].1.merge(section) {
                Merged::Both => 0,
                Merged::One => 1,
            },
            Err(place) => {
                self.bags.insert(place, (key, section));
                0
            }
        }
    }

    /// Adds a bag unless one of that key is there. Tells whether it did.
    pub(crate) fn insert(&mut self, key: BagKey, section: Section) -> bool {
        let place = self.bags.binary_search_by_key(&key, |(key, _)| *key).err();
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
        let Ok(found) = self.bags.binary_search_by_key(&key, |(key, _)| *key) else { return };
        match self.bags[found].1.bag().and_then(change) {
            Some(bag) => self.bags[found].1 = Section::of(bag),
            None => drop(self.bags.remove(found)),
        }
    }

    pub(crate) fn retain(&mut self, mut keep: impl FnMut(BagKey) -> bool) {
        self.bags.retain(|(key, _)| keep(*key));
    }
}
