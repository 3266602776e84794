//! A bag: encoded, decoded, or both.
//!
//! Most bags of a request only pass through. They stay the bytes that they were until somebody packs into
//! them, unpacks them, or has to merge them with another bag of their key:
//!
//! ```text
//!                        ┌── pack, merge ──▶ Grouped: bytes to which rows are added ───────┐
//! Arrived: bytes as ─────┤                                                                   ├─▶ bytes
//! they came              └── merge ────────▶ Decoded: tuples that a temporal bag has chosen ─┘
//!
//! unpack: any of them ─▶ the decoded `Bag`, kept beside the form until the form changes
//! ```
//!
//! Grouped bags are packed into as bytes, so to encode one is to copy it. Temporal bags hold a few tuples, of
//! which new ones displace others, so they are decoded to be packed into, and encoded once when they travel.

use crate::format::bags::bag::{Bag, MergeOutcome};
use crate::format::bags::bag_codec;
use crate::format::bags::bag_header;
use crate::format::bags::bag_rows::{BagRows, CheckedRows};
use crate::format::bags::encoded_rows::EncodedRows;
use crate::format::bags::grouped_bag::GroupedBag;
use crate::format::bags::temporal_codec::{self, SoleTuple};
use crate::format::shared_bytes::SharedBytes;
use crate::losses;
use pivot_advice::{BagKey, Groups};
use std::sync::OnceLock;

/// A bag that is decoded when somebody needs it.
#[derive(Debug, Clone)]
pub(crate) struct LazyBag {
    form: BagRepresentation,
    /// The decoded bag once somebody has asked for it; `None` in the cell if the bytes cannot be read. They
    /// still travel on, as they came.
    decoded: OnceLock<Option<Box<Bag>>>,
    /// Whether the rows that arrived can all be read, once somebody has asked.
    readable: OnceLock<bool>,
}

/// The form in which the content of a bag is held.
#[derive(Debug, Clone)]
enum BagRepresentation {
    /// Bytes as they arrived.
    Arrived(SharedBytes),
    /// The bytes of a grouped bag that was changed here.
    Grouped(GroupedBag),
    /// The decoded bag, temporal or lost, beside this; with its bytes once it has travelled.
    Decoded(OnceLock<SharedBytes>),
}

impl LazyBag {
    fn of_form(form: BagRepresentation) -> LazyBag {
        LazyBag { form, decoded: OnceLock::new(), readable: OnceLock::new() }
    }

    pub(crate) fn new(key: BagKey, bag: Bag) -> LazyBag {
        match bag {
            Bag::Grouped { rows, cut } => LazyBag::grouped(GroupedBag::of_groups(key, cut, &rows)),
            bag => LazyBag {
                decoded: OnceLock::from(Some(Box::new(bag))),
                ..LazyBag::of_form(BagRepresentation::Decoded(OnceLock::new()))
            },
        }
    }

    pub(crate) fn grouped(bag: GroupedBag) -> LazyBag {
        LazyBag::of_form(BagRepresentation::Grouped(bag))
    }

    pub(crate) fn arrived(bytes: SharedBytes) -> LazyBag {
        LazyBag::of_form(BagRepresentation::Arrived(bytes))
    }

    /// Returns the decoded bag, or `None` if what arrived cannot be read, which is counted the first time.
    pub(crate) fn decoded(&self) -> Option<&Bag> {
        self.decoded.get_or_init(|| self.decode()).as_deref()
    }

    fn decode(&self) -> Option<Box<Bag>> {
        let read = bag_codec::read_bag(self.bytes()?);
        read.map(Box::new).inspect_err(|_| losses::MALFORMED.add(1)).ok()
    }

    fn into_decoded(self) -> Option<Bag> {
        self.decoded();
        self.decoded.into_inner().flatten().map(|bag| *bag)
    }

    /// Returns the bytes, if there are any yet.
    #[inline]
    fn bytes(&self) -> Option<&[u8]> {
        match &self.form {
            BagRepresentation::Arrived(bytes) => Some(bytes),
            BagRepresentation::Grouped(bag) => Some(bag.bytes()),
            BagRepresentation::Decoded(encoded) => encoded.get().map(|bytes| &**bytes),
        }
    }

    /// Returns the bytes, encoded now if they are not yet.
    #[inline]
    pub(crate) fn encoded(&self, key: BagKey) -> &[u8] {
        match &self.form {
            BagRepresentation::Arrived(bytes) => bytes,
            BagRepresentation::Grouped(bag) => bag.bytes(),
            BagRepresentation::Decoded(encoded) => encoded.get_or_init(|| {
                let bag = self.decoded.get().and_then(Option::as_deref);
                SharedBytes::new(&bag.map(|bag| bag_codec::write_bag(key, bag)).unwrap_or_default())
            }),
        }
    }

    /// Returns the encoded rows of a grouped bag, or `None` if it is of another kind, or if not all can be
    /// read.
    #[inline]
    pub(crate) fn encoded_rows(&self) -> Option<EncodedRows<'_>> {
        match &self.form {
            BagRepresentation::Grouped(bag) => Some(bag.rows()),
            BagRepresentation::Arrived(bytes) if bag_header::is_grouped(bytes) => {
                let readable = *self.readable.get_or_init(|| GroupedBag::check(bytes).is_ok());
                if readable { EncodedRows::new(bytes).ok() } else { None }
            }
            _ => None,
        }
    }

    /// Returns the tuple that the bag keeps, if it is temporal and keeps no more than one. Does not decode
    /// it.
    pub(crate) fn sole_tuple(&self) -> Option<SoleTuple> {
        match (&self.form, self.decoded.get()) {
            (BagRepresentation::Arrived(bytes), _) => temporal_codec::peek_sole(bytes),
            (BagRepresentation::Decoded(_), Some(Some(bag))) => SoleTuple::of(bag),
            _ => None,
        }
    }

    /// Returns all rows as they lie, if none is missing and nothing has to be merged. A grouped bag that
    /// nobody has decoded stays so.
    pub(crate) fn complete_rows(&self) -> Option<BagRows<'_>> {
        if self.decoded.get().is_none()
            && !self.is_cut()
            && let Some(rows) = self.encoded_rows()
        {
            return Some(BagRows::Encoded(CheckedRows(rows)));
        }
        self.decoded()?.complete_rows().map(BagRows::Decoded)
    }

    /// Returns all rows, if none is missing, nothing has to be merged, and somebody has decoded them before.
    #[inline]
    pub(crate) fn decoded_rows(&self) -> Option<&Groups> {
        self.decoded.get()?.as_deref()?.complete_rows()
    }

    /// Returns the grouped bag, to be added to, or `None` if the bag is of another kind or cannot be read.
    #[inline]
    pub(crate) fn grouped_mut(&mut self) -> Option<&mut GroupedBag> {
        if let BagRepresentation::Arrived(bytes) = &self.form
            && let Ok(bag) = GroupedBag::read(bytes)
        {
            self.form = BagRepresentation::Grouped(bag);
        }

        let BagRepresentation::Grouped(bag) = &mut self.form else { return None };
        // Whatever was decoded is not what the bag will be.
        self.decoded.take();
        Some(bag)
    }

    /// Adds the tuples of another bag of the same key. Of two that cannot be merged one is lost.
    pub(crate) fn merge(&mut self, key: BagKey, other: LazyBag) -> MergeOutcome {
        if self.add_encoded_rows(&other) {
            return MergeOutcome::Both;
        }

        self.decoded();
        let mine = self.decoded.take().flatten();
        let (outcome, bag) = match (mine, other.into_decoded()) {
            (Some(mut mine), Some(theirs)) => (mine.merge(theirs), *mine),
            (None, Some(only)) => (MergeOutcome::OneKept, only),
            (mine, None) => {
                // Our form is unchanged, so that what cannot be read still travels on.
                self.decoded = OnceLock::from(mine);
                return MergeOutcome::OneKept;
            }
        };
        *self = LazyBag::new(key, bag);
        outcome
    }

    /// Adds encoded rows to encoded rows. Returns false, with nothing done, if that is not all there is to
    /// do: if one of the bags is not grouped, was cut, or has other columns than the other one.
    fn add_encoded_rows(&mut self, other: &LazyBag) -> bool {
        let Some(more) = other.encoded_rows().filter(|_| !self.is_cut() && !other.is_cut()) else {
            return false;
        };
        let fits = self.encoded_rows().is_some_and(|rows| rows.fits(&more));
        let Some(bag) = self.grouped_mut().filter(|_| fits) else { return false };
        bag.add_all(&more);
        true
    }

    /// Returns the threshold at which groups were cut, if they were. Does not decode the bag.
    #[inline]
    pub(crate) fn cut(&self) -> Option<u64> {
        match &self.form {
            BagRepresentation::Arrived(bytes) => bag_header::peek_cut(bytes),
            BagRepresentation::Grouped(bag) => bag_header::peek_cut(bag.bytes()),
            BagRepresentation::Decoded(_) => None,
        }
    }

    /// Whether groups were cut. Does not decode the bag.
    #[inline]
    pub(crate) fn is_cut(&self) -> bool {
        self.bytes().is_some_and(bag_header::is_cut)
    }

    /// Whether it is a bag that keeps the first or the most recent tuples, or that has lost them. Does not decode the bag.
    #[cold]
    pub(crate) fn is_temporal(&self) -> bool {
        match (&self.form, self.decoded.get().and_then(Option::as_deref)) {
            (BagRepresentation::Arrived(bytes), _) => !bag_header::is_grouped(bytes),
            (BagRepresentation::Grouped(_), _) => false,
            (BagRepresentation::Decoded(_), bag) => !matches!(bag, Some(Bag::Grouped { .. })),
        }
    }

    /// Returns how many tuples a bag of the first ones has chosen, 0 for any other bag, and `None` if its
    /// tuples were lost. Does not decode the bag.
    pub(crate) fn first_count(&self) -> Option<usize> {
        match (&self.form, self.decoded.get().and_then(Option::as_deref)) {
            (BagRepresentation::Arrived(bytes), _) => temporal_codec::peek_first_count(bytes),
            (BagRepresentation::Decoded(_), Some(Bag::First { tuples, .. })) => Some(tuples.len()),
            (BagRepresentation::Decoded(_), Some(Bag::Lost)) => None,
            _ => Some(0),
        }
    }

    /// Whether tuples are missing, as far as can be said without decoding the bag.
    pub(crate) fn is_incomplete(&self) -> bool {
        if let Some(bag) = self.decoded.get() {
            return bag.as_deref().is_none_or(Bag::is_incomplete);
        }
        let is_unreadable = self.readable.get().is_some_and(|readable| !readable);
        is_unreadable || self.bytes().is_some_and(bag_header::is_incomplete)
    }
}
