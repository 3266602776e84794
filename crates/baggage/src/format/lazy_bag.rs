//! A bag as it travels, as it was taken apart, or both.
//!
//! Most bags of a request only pass through. They stay the bytes that they were until somebody
//! packs into them, unpacks them, or has to merge them with another bag of the same key. Grouped
//! bags are packed into as bytes; temporal ones are encoded when they travel, once.

use crate::format::bag::{Bag, Merged};
use crate::format::bag_codec::{self, One};
use crate::format::complete_rows::{Encoded, Whole};
use crate::format::encoded_rows::Rows;
use crate::format::grouped_bag::Table;
use crate::format::shared_bytes::Slice;
use crate::losses;
use pivot_advice::{BagKey, Groups};
use std::sync::OnceLock;

/// A bag.
#[derive(Debug, Clone)]
pub(crate) struct Section {
    form: Form,
    /// The bag taken apart, or that its bytes cannot be read. They still travel on.
    bag: OnceLock<Option<Box<Bag>>>,
    /// Whether the rows that came can all be read.
    sound: OnceLock<bool>,
}

#[derive(Debug, Clone)]
enum Form {
    /// As it came.
    Came(Slice),
    /// Grouped.
    Table(Table),
    /// Temporal or lost: it is taken apart, and encoded once it has travelled.
    Apart(OnceLock<Slice>),
}

impl Section {
    fn new(form: Form) -> Section {
        Section { form, bag: OnceLock::new(), sound: OnceLock::new() }
    }

    pub(crate) fn of(key: BagKey, bag: Bag) -> Section {
        match bag {
            Bag::Grouped { rows, cut } => Section::of_table(Table::of(key, cut, &rows)),
            bag => Section {
                form: Form::Apart(OnceLock::new()),
                bag: OnceLock::from(Some(Box::new(bag))),
                sound: OnceLock::new(),
            },
        }
    }

    pub(crate) fn of_table(table: Table) -> Section {
        Section::new(Form::Table(table))
    }

    pub(crate) fn arrived(bytes: Slice) -> Section {
        Section::new(Form::Came(bytes))
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
            Form::Came(bytes) => Some(bytes),
            Form::Table(table) => Some(table.bytes()),
            Form::Apart(encoded) => encoded.get().map(|bytes| &**bytes),
        }
    }

    /// Its bytes, encoded now if they are not yet.
    #[inline]
    pub(crate) fn encoded(&self, key: BagKey) -> &[u8] {
        match &self.form {
            Form::Came(bytes) => bytes,
            Form::Table(table) => table.bytes(),
            Form::Apart(encoded) => encoded.get_or_init(|| {
                let bag = self.bag.get().and_then(Option::as_deref);
                Slice::new(&bag.map(|bag| bag_codec::write_bag(key, bag)).unwrap_or_default())
            }),
        }
    }

    /// The rows of a grouped bag, if they can be read. Another kind of bag has none.
    #[inline]
    pub(crate) fn rows(&self) -> Option<Rows<'_>> {
        match &self.form {
            Form::Table(table) => Some(table.rows()),
            Form::Came(bytes) if bag_codec::peek_grouped(bytes) => {
                let sound = *self.sound.get_or_init(|| Table::check(bytes).is_ok());
                if sound { Rows::of(bytes).ok() } else { None }
            }
            _ => None,
        }
    }

    /// The tuple that it keeps, if it is temporal and keeps no more than one.
    pub(crate) fn one(&self) -> Option<One> {
        match (&self.form, self.bag.get()) {
            (Form::Came(bytes), _) => bag_codec::peek_one(bytes),
            (Form::Apart(_), Some(Some(bag))) => One::of(bag),
            _ => None,
        }
    }

    /// All rows, if this is all there is to know of it. A table that nobody has taken apart stays so.
    pub(crate) fn whole(&self) -> Option<Whole<'_>> {
        if self.bag.get().is_none()
            && !self.is_cut()
            && let Some(rows) = self.rows()
        {
            return Some(Whole::Encoded(Encoded(rows)));
        }
        self.bag()?.whole().map(Whole::Groups)
    }

    /// The same if it has been taken apart.
    #[inline]
    pub(crate) fn groups(&self) -> Option<&Groups> {
        self.bag.get()?.as_deref()?.whole()
    }

    /// The table of a grouped bag, to be added to.
    #[inline]
    pub(crate) fn table(&mut self) -> Option<&mut Table> {
        if let Form::Came(bytes) = &self.form
            && let Ok(table) = Table::read(bytes)
        {
            self.form = Form::Table(table);
        }
        let Form::Table(table) = &mut self.form else { return None };
        self.bag.take();
        Some(table)
    }

    /// Adds the tuples of another section of the same key. Of two that cannot be merged one is lost.
    pub(crate) fn merge(&mut self, key: BagKey, other: Section) -> Merged {
        if self.add_rows(&other) {
            return Merged::Both;
        }
        self.bag();
        let mine = self.bag.take().flatten();
        let (merged, bag) = match (mine, other.into_bag()) {
            (Some(mut mine), Some(theirs)) => (mine.merge(theirs), *mine),
            (None, Some(only)) => (Merged::One, only),
            (mine, None) => {
                self.bag = OnceLock::from(mine);
                return Merged::One;
            }
        };
        *self = Section::of(key, bag);
        merged
    }

    /// Adds rows to rows. Does nothing and gives false if that is not all there is to do.
    fn add_rows(&mut self, other: &Section) -> bool {
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
            Form::Came(bytes) => bag_codec::peek_cut(bytes),
            Form::Table(table) => bag_codec::peek_cut(table.bytes()),
            Form::Apart(_) => None,
        }
    }

    /// Whether its groups were cut.
    #[inline]
    pub(crate) fn is_cut(&self) -> bool {
        self.bytes().is_some_and(bag_codec::peek_is_cut)
    }

    /// How many tuples it has chosen as the first; None if those were lost.
    pub(crate) fn first(&self) -> Option<usize> {
        match (&self.form, self.bag.get().and_then(Option::as_deref)) {
            (Form::Came(bytes), _) => bag_codec::peek_first(bytes),
            (Form::Apart(_), Some(Bag::First { slots, .. })) => Some(slots.len()),
            (Form::Apart(_), Some(Bag::Lost)) => None,
            _ => Some(0),
        }
    }

    /// Whether tuples are missing in it; does not take it apart.
    pub(crate) fn lacks(&self) -> bool {
        if let Some(bag) = self.bag.get() {
            return bag.as_deref().is_none_or(Bag::lacks);
        }
        let unreadable = self.sound.get().is_some_and(|sound| !sound);
        unreadable || self.bytes().is_some_and(bag_codec::peek_lacks)
    }
}
