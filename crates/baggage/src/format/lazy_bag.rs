//! A bag as it travels, as it was taken apart, or both.
//!
//! Most bags of a request only pass through. They stay the bytes that they were until somebody
//! packs into them, unpacks them, or has to merge them with another bag of the same key. Grouped
//! bags are packed into as bytes; temporal ones are encoded when they travel, once.

use crate::format::bag::{Bag, MergeOutcome};
use crate::format::bag_codec;
use crate::format::bag_header;
use crate::format::complete_rows::{CheckedRows, CompleteRows};
use crate::format::encoded_rows::EncodedRows;
use crate::format::grouped_bag::GroupedBag;
use crate::format::shared_bytes::SharedBytes;
use crate::format::temporal_bag::{self, SoleTuple};
use crate::losses;
use pivot_advice::{BagKey, Groups};
use std::sync::OnceLock;

/// A bag.
#[derive(Debug, Clone)]
pub(crate) struct LazyBag {
    form: BagForm,
    /// The bag taken apart, or that its bytes cannot be read. They still travel on.
    bag: OnceLock<Option<Box<Bag>>>,
    /// Whether the rows that came can all be read.
    sound: OnceLock<bool>,
}

#[derive(Debug, Clone)]
enum BagForm {
    /// As it came.
    Arrived(SharedBytes),
    /// Grouped.
    Grouped(GroupedBag),
    /// Temporal or lost: it is taken apart, and encoded once it has travelled.
    Decoded(OnceLock<SharedBytes>),
}

impl LazyBag {
    fn new(form: BagForm) -> LazyBag {
        LazyBag { form, bag: OnceLock::new(), sound: OnceLock::new() }
    }

    pub(crate) fn of(key: BagKey, bag: Bag) -> LazyBag {
        match bag {
            Bag::Grouped { rows, cut } => LazyBag::of_table(GroupedBag::of(key, cut, &rows)),
            bag => LazyBag {
                form: BagForm::Decoded(OnceLock::new()),
                bag: OnceLock::from(Some(Box::new(bag))),
                sound: OnceLock::new(),
            },
        }
    }

    pub(crate) fn of_table(table: GroupedBag) -> LazyBag {
        LazyBag::new(BagForm::Grouped(table))
    }

    pub(crate) fn arrived(bytes: SharedBytes) -> LazyBag {
        LazyBag::new(BagForm::Arrived(bytes))
    }

    /// The bag; None if what arrived cannot be read, which is counted the first time.
    pub(crate) fn bag(&self) -> Option<&Bag> {
        self.bag.get_or_init(|| self.read()).as_deref()
    }

    fn read(&self) -> Option<Box<Bag>> {
        let read = bag_codec::read_bag(self.bytes()?);
        read.map(Box::new).inspect_err(|_| losses::MALFORMED.add(1)).ok()
    }

    fn into_bag(self) -> Option<Bag> {
        self.bag();
        self.bag.into_inner().flatten().map(|bag| *bag)
    }

    /// Its bytes, if it has any yet.
    #[inline]
    fn bytes(&self) -> Option<&[u8]> {
        match &self.form {
            BagForm::Arrived(bytes) => Some(bytes),
            BagForm::Grouped(table) => Some(table.bytes()),
            BagForm::Decoded(encoded) => encoded.get().map(|bytes| &**bytes),
        }
    }

    /// Its bytes, encoded now if they are not yet.
    #[inline]
    pub(crate) fn encoded(&self, key: BagKey) -> &[u8] {
        match &self.form {
            BagForm::Arrived(bytes) => bytes,
            BagForm::Grouped(table) => table.bytes(),
            BagForm::Decoded(encoded) => encoded.get_or_init(|| {
                let bag = self.bag.get().and_then(Option::as_deref);
                SharedBytes::new(&bag.map(|bag| bag_codec::write_bag(key, bag)).unwrap_or_default())
            }),
        }
    }

    /// The rows of a grouped bag, if they can be read. Another kind of bag has none.
    #[inline]
    pub(crate) fn rows(&self) -> Option<EncodedRows<'_>> {
        match &self.form {
            BagForm::Grouped(table) => Some(table.rows()),
            BagForm::Arrived(bytes) if bag_header::peek_grouped(bytes) => {
                let sound = *self.sound.get_or_init(|| GroupedBag::check(bytes).is_ok());
                if sound { EncodedRows::of(bytes).ok() } else { None }
            }
            _ => None,
        }
    }

    /// The tuple that it keeps, if it is temporal and keeps no more than one.
    pub(crate) fn one(&self) -> Option<SoleTuple> {
        match (&self.form, self.bag.get()) {
            (BagForm::Arrived(bytes), _) => temporal_bag::peek_sole(bytes),
            (BagForm::Decoded(_), Some(Some(bag))) => SoleTuple::of(bag),
            _ => None,
        }
    }

    /// All rows, if this is all there is to know of it. A table that nobody has taken apart stays so.
    pub(crate) fn whole(&self) -> Option<CompleteRows<'_>> {
        if self.bag.get().is_none()
            && !self.is_cut()
            && let Some(rows) = self.rows()
        {
            return Some(CompleteRows::Encoded(CheckedRows(rows)));
        }
        self.bag()?.whole().map(CompleteRows::Decoded)
    }

    /// The same if it has been taken apart.
    #[inline]
    pub(crate) fn groups(&self) -> Option<&Groups> {
        self.bag.get()?.as_deref()?.whole()
    }

    /// The table of a grouped bag, to be added to.
    #[inline]
    pub(crate) fn table(&mut self) -> Option<&mut GroupedBag> {
        if let BagForm::Arrived(bytes) = &self.form
            && let Ok(table) = GroupedBag::read(bytes)
        {
            self.form = BagForm::Grouped(table);
        }
        let BagForm::Grouped(table) = &mut self.form else { return None };
        self.bag.take();
        Some(table)
    }

    /// Adds the tuples of another section of the same key. Of two that cannot be merged one is lost.
    pub(crate) fn merge(&mut self, key: BagKey, other: LazyBag) -> MergeOutcome {
        if self.add_rows(&other) {
            return MergeOutcome::Both;
        }
        self.bag();
        let mine = self.bag.take().flatten();
        let (merged, bag) = match (mine, other.into_bag()) {
            (Some(mut mine), Some(theirs)) => (mine.merge(theirs), *mine),
            (None, Some(only)) => (MergeOutcome::OneKept, only),
            (mine, None) => {
                self.bag = OnceLock::from(mine);
                return MergeOutcome::OneKept;
            }
        };
        *self = LazyBag::of(key, bag);
        merged
    }

    /// Adds rows to rows. Does nothing and gives false if that is not all there is to do.
    fn add_rows(&mut self, other: &LazyBag) -> bool {
        let Some(more) = other.rows().filter(|_| !self.is_cut() && !other.is_cut()) else {
            return false;
        };
        let fits = self.rows().is_some_and(|rows| rows.fits(&more));
        let Some(table) = self.table().filter(|_| fits) else { return false };
        table.add_all(&more);
        true
    }

    /// The threshold at which its groups were cut; does not take it apart.
    #[inline]
    pub(crate) fn cut(&self) -> Option<u64> {
        match &self.form {
            BagForm::Arrived(bytes) => bag_header::peek_cut(bytes),
            BagForm::Grouped(table) => bag_header::peek_cut(table.bytes()),
            BagForm::Decoded(_) => None,
        }
    }

    /// Whether its groups were cut.
    #[inline]
    pub(crate) fn is_cut(&self) -> bool {
        self.bytes().is_some_and(bag_header::peek_is_cut)
    }

    /// How many tuples it has chosen as the first; None if those were lost.
    pub(crate) fn first(&self) -> Option<usize> {
        match (&self.form, self.bag.get().and_then(Option::as_deref)) {
            (BagForm::Arrived(bytes), _) => temporal_bag::peek_first(bytes),
            (BagForm::Decoded(_), Some(Bag::First { slots, .. })) => Some(slots.len()),
            (BagForm::Decoded(_), Some(Bag::Lost)) => None,
            _ => Some(0),
        }
    }

    /// Whether tuples are missing in it; does not take it apart.
    pub(crate) fn is_incomplete(&self) -> bool {
        if let Some(bag) = self.bag.get() {
            return bag.as_deref().is_none_or(Bag::is_incomplete);
        }
        let unreadable = self.sound.get().is_some_and(|sound| !sound);
        unreadable || self.bytes().is_some_and(bag_header::peek_is_incomplete)
    }
}
