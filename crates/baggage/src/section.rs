//! A bag as it came, as it was taken apart, or both.
//!
//! Most bags of a request only pass through. They stay the bytes that they were until somebody
//! packs into them, unpacks them, or has to merge them with another bag of the same key; and what
//! was encoded once is not encoded again as long as it does not change.

use crate::bag::{Bag, Merged};
use crate::layout;
use crate::losses;
use crate::slice::Slice;
use pivot_advice::{BagKey, Groups};
use std::sync::OnceLock;

/// A bag in at least one of its two forms.
#[derive(Debug, Clone)]
pub(crate) struct Section {
    encoded: OnceLock<Slice>,
    /// None if the bytes cannot be read; they still travel on.
    bag: OnceLock<Option<Bag>>,
}

impl Section {
    pub(crate) fn of(bag: Bag) -> Section {
        Section { encoded: OnceLock::new(), bag: OnceLock::from(Some(bag)) }
    }

    pub(crate) fn arrived(bytes: Slice) -> Section {
        Section { encoded: OnceLock::from(bytes), bag: OnceLock::new() }
    }

    /// The bag; None if what arrived cannot be read, which is counted the first time.
    #[inline]
    pub(crate) fn bag(&self) -> Option<&Bag> {
        self.bag.get_or_init(|| self.read()).as_ref()
    }

    fn read(&self) -> Option<Bag> {
        let read = layout::read_bag(self.encoded.get()?);
        read.inspect_err(|_| losses::MALFORMED.add(1)).ok()
    }

    fn into_bag(self) -> Option<Bag> {
        self.bag();
        self.bag.into_inner().flatten()
    }

    /// The rows of a grouped bag of which nothing was cut, to be added to.
    pub(crate) fn rows_mut(&mut self) -> Option<&mut Groups> {
        self.bag();
        let Some(Some(Bag::Grouped { rows, cut: None })) = self.bag.get_mut() else { return None };
        if self.encoded.get().is_some() {
            self.encoded = OnceLock::new();
        }
        Some(rows)
    }

    /// Adds the tuples of another section of the same key. Of two that cannot be merged one is lost.
    pub(crate) fn merge(&mut self, other: Section) -> Merged {
        self.bag();
        let mine = self.bag.get_mut().and_then(Option::as_mut);
        let (merged, changed) = match (mine, other.into_bag()) {
            (Some(mine), Some(theirs)) => (mine.merge(theirs), true),
            (None, Some(only)) => {
                self.bag = OnceLock::from(Some(only));
                (Merged::One, true)
            }
            (_, None) => (Merged::One, false),
        };
        if changed {
            self.encoded = OnceLock::new();
        }
        merged
    }

    /// Its bytes, encoded now if they are not yet.
    pub(crate) fn encoded(&self, key: BagKey) -> &[u8] {
        self.encoded.get_or_init(|| {
            let bag = self.bag.get().and_then(Option::as_ref);
            Slice::new(&bag.map(|bag| layout::write_bag(key, bag)).unwrap_or_default())
        })
    }

    /// The threshold at which its groups were cut; does not take it apart.
    pub(crate) fn cut(&self) -> Option<u64> {
        match (self.bag.get(), self.encoded.get()) {
            (Some(bag), _) => bag.as_ref().and_then(Bag::cut),
            (None, Some(bytes)) => layout::peek_cut(bytes),
            (None, None) => None,
        }
    }

    /// Whether tuples are missing in it; does not take it apart.
    #[inline]
    pub(crate) fn lacks(&self) -> bool {
        match (self.bag.get(), self.encoded.get()) {
            (Some(bag), _) => bag.as_ref().is_none_or(Bag::lacks),
            (None, Some(bytes)) => layout::peek_lacks(bytes),
            (None, None) => false,
        }
    }
}
