//! All bags of one branch or of one frozen instance, by key.

use crate::bag::{Bag, Merged};
use pivot_advice::BagKey;

/// Bags by key. A request has a handful, so a sorted list serves better than a tree.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Bags {
    bags: Vec<(BagKey, Bag)>,
}

/// How many bags were lost because two of one key had different shapes.
pub(crate) type Mismatches = u64;

impl Bags {
    pub(crate) fn is_empty(&self) -> bool {
        self.bags.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &(BagKey, Bag)> {
        self.bags.iter()
    }

    pub(crate) fn get(&self, key: BagKey) -> Option<&Bag> {
        let found = self.bags.binary_search_by_key(&key, |(key, _)| *key).ok()?;
        Some(&self.bags[found].1)
    }

    /// Adds the tuples of a bag.
    pub(crate) fn add(&mut self, key: BagKey, bag: Bag) -> Mismatches {
        match self.bags.binary_search_by_key(&key, |(key, _)| *key) {
            Ok(found) => match self.bags[found].1.merge(bag) {
                Merged::Both => 0,
                Merged::One => 1,
            },
            Err(place) => {
                self.bags.insert(place, (key, bag));
                0
            }
        }
    }

    /// Adds the tuples of all bags.
    pub(crate) fn merge(&mut self, other: Bags) -> Mismatches {
        if self.is_empty() {
            *self = other;
            return 0;
        }
        other.bags.into_iter().map(|(key, bag)| self.add(key, bag)).sum()
    }

    pub(crate) fn retain(&mut self, mut keep: impl FnMut(BagKey) -> bool) {
        self.bags.retain(|(key, _)| keep(*key));
    }
}
