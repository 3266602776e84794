//! The rows of a grouped bag, read from the bytes in which they travel; see [`super::grouped_bag`].
//!
//! A row is its key, how often it counts (unless each row counts once), and the states of its aggregates.
//! Nothing tells where a row ends but its values, so rows are walked from the first to the last. That all of
//! them can be read is checked once, when a bag arrives and somebody needs it.

use crate::error::{BaggageError, malformed};
use crate::format::bags::bag_header::{EACH_ONCE, GROUPED, GROUPED_CUT, kind_of, read_key};
use crate::format::bags::key_column;
use crate::format::bags::prefix_varint;
use crate::format::bags::value::ValueRef;
use crate::format::protobuf::fixed64;
use pivot_advice::codec::{ByteReader, MAX_COLUMNS};
use pivot_advice::{AggregateKind, AggregateState, DecodeError, Groups, Value};
use smallvec::SmallVec;

/// Rows of a grouped bag, with what its head says of their columns.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EncodedRows<'a> {
    /// The codes of the aggregates.
    pub(crate) aggregates: &'a [u8],
    /// The codes of the key columns; see [`key_column`].
    pub(crate) types: &'a [u8],
    /// Whether each row says how often it counts. Otherwise each counts once.
    pub(crate) has_counts: bool,
    /// The rows, one after the other.
    pub(crate) bytes: &'a [u8],
}

/// One row, as it lies among the others.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EncodedRow<'a> {
    /// The values of the key.
    pub(crate) key: &'a [u8],
    /// How often the row counts.
    pub(crate) n: u64,
    /// The states of the aggregates.
    pub(crate) states: &'a [u8],
}

impl<'a> EncodedRows<'a> {
    /// Returns the rows of a grouped bag. Its head is checked; the rows are not looked at.
    pub(crate) fn new(bag: &'a [u8]) -> Result<EncodedRows<'a>, BaggageError> {
        let (first, _, mut reader) = read_key(bag)?;
        match kind_of(first) {
            GROUPED => {}
            GROUPED_CUT => {
                fixed64(&mut reader)?;
            }
            _ => return Err(malformed("a bag is not a table")),
        }

        let keys = usize::try_from(reader.varint()?).unwrap_or(usize::MAX);
        let count = reader.count("shape")?;
        if keys > MAX_COLUMNS || count > MAX_COLUMNS {
            return Err(DecodeError::TooLarge { what: "shape" }.into());
        }

        let aggregates = reader.raw(count)?;
        if let Some(tag) = aggregates.iter().find(|code| AggregateKind::from_code(**code).is_none()) {
            return Err(DecodeError::UnknownTag { what: "aggregate", tag: *tag }.into());
        }

        // A row of no bytes would let a walk over the rows go on for ever.
        let types = reader.raw(keys)?;
        let has_counts = first & EACH_ONCE == 0;
        if !types.iter().all(|code| key_column::is_code(*code)) || types.is_empty() && !has_counts {
            return Err(malformed("the columns of a table are of an unknown form"));
        }

        Ok(EncodedRows { aggregates, types, has_counts, bytes: reader.rest() })
    }

    /// Whether the rows have so many key columns and these aggregates.
    #[inline]
    pub(crate) fn has_columns(&self, keys: usize, aggregates: &[AggregateKind]) -> bool {
        self.types.len() == keys
            && self.aggregates.len() == aggregates.len()
            && self.aggregates.iter().zip(aggregates).all(|(code, aggregate)| *code == *aggregate as u8)
    }

    /// Whether rows of the other bag have as many key columns and the same aggregates.
    #[inline]
    pub(crate) fn fits(&self, other: &EncodedRows<'_>) -> bool {
        self.types.len() == other.types.len() && self.aggregates == other.aggregates
    }

    fn kinds(&self) -> impl Iterator<Item = AggregateKind> + use<'a> {
        self.aggregates.iter().filter_map(|code| AggregateKind::from_code(*code))
    }

    /// Whether a row is a single value that counts once. Most bags are like this, and are read without the
    /// loop over columns and the states that others take.
    #[inline(always)]
    fn single_column(&self) -> Option<u8> {
        if let ([column], false, []) = (self.types, self.has_counts, self.aggregates) {
            Some(*column)
        } else {
            None
        }
    }

    /// Takes a row off the front of `rest`, without reading its key.
    #[inline(always)]
    pub(crate) fn take(&self, rest: &mut &'a [u8]) -> Result<EncodedRow<'a>, DecodeError> {
        let row = *rest;
        for column in self.types {
            key_column::skip(rest, *column)?;
        }
        let key = &row[..row.len() - rest.len()];
        let (n, states) = self.take_behind_key(rest)?;
        Ok(EncodedRow { key, n, states })
    }

    /// Takes what stands behind the key: how often the row counts, and the bytes of its states.
    #[inline(always)]
    fn take_behind_key(&self, rest: &mut &'a [u8]) -> Result<(u64, &'a [u8]), DecodeError> {
        let n = if self.has_counts { prefix_varint::take(rest).ok_or(DecodeError::Truncated)? } else { 1 };
        let states = *rest;
        if !self.aggregates.is_empty() {
            *rest = skip_states(rest, self.aggregates)?;
        }
        Ok((n, &states[..states.len() - rest.len()]))
    }

    /// Takes what stands behind the key: how often the row counts, and its states.
    #[inline]
    pub(crate) fn take_states(
        &self,
        rest: &mut &'a [u8],
    ) -> Result<(u64, SmallVec<[AggregateState; 4]>), DecodeError> {
        let n = if self.has_counts { prefix_varint::take(rest).ok_or(DecodeError::Truncated)? } else { 1 };
        let mut reader = ByteReader::new(rest);
        let states = self.kinds().map(|kind| reader.state(kind)).collect::<Result<_, _>>()?;
        *rest = reader.rest();
        Ok((n, states))
    }

    /// Returns the values of the key of a row.
    pub(crate) fn key_of(&self, row: &EncodedRow<'a>) -> impl Iterator<Item = Value> + use<'a> {
        let mut rest = row.key;
        self.types.iter().map(move |column| key_column::take(&mut rest, *column).unwrap_or_default())
    }

    /// Returns the states that lie in the bytes of a row.
    pub(crate) fn states<'b>(&self, bytes: &'b [u8]) -> impl Iterator<Item = AggregateState> + use<'a, 'b> {
        let mut reader = ByteReader::new(bytes);
        // They were skipped, thus read, before.
        self.kinds().map(move |kind| reader.state(kind).unwrap_or_else(|_| kind.empty()))
    }

    /// Calls `each` for every row. The rows were written here, or checked before.
    pub(crate) fn each(&self, mut each: impl FnMut(EncodedRow<'a>)) {
        let mut rest = self.bytes;
        while let Some(row) = (!rest.is_empty()).then(|| self.take(&mut rest).ok()).flatten() {
            each(row);
        }
    }

    /// Calls `each` for every row, up to the first that cannot be read.
    #[inline]
    pub(crate) fn try_each(
        &self,
        mut each: impl FnMut(&[Value], u64, &[AggregateState]),
    ) -> Result<(), DecodeError> {
        let mut rest = self.bytes;
        if let Some(column) = self.single_column() {
            while !rest.is_empty() {
                each(&[key_column::take(&mut rest, column)?], 1, &[]);
            }
            return Ok(());
        }

        // One buffer serves for all keys, and one for all states.
        let mut key = SmallVec::<[Value; 4]>::from_elem(Value::Null, self.types.len());
        let mut states = Vec::new();
        while !rest.is_empty() {
            for (value, column) in key.iter_mut().zip(self.types) {
                *value = key_column::take(&mut rest, *column)?;
            }

            let (n, encoded) = self.take_behind_key(&mut rest)?;
            if !encoded.is_empty() {
                states.clear();
                states.extend(self.states(encoded));
            }
            each(&key, n, &states);
        }
        Ok(())
    }

    /// Walks over the rows, up to the first that cannot be read, without making values: each value of a key
    /// is shown to `see` with its column, and then `end` is told how often the row counts and what its states
    /// are.
    #[inline]
    pub(crate) fn try_each_value<C>(
        &self,
        context: &mut C,
        see: impl Fn(&mut C, usize, ValueRef<'a>),
        mut end: impl FnMut(&mut C, u64, &[AggregateState]),
    ) -> Result<(), DecodeError> {
        let mut rest = self.bytes;
        if let Some(column) = self.single_column() {
            while !rest.is_empty() {
                see(context, 0, key_column::take_ref(&mut rest, column)?);
                end(context, 1, &[]);
            }
            return Ok(());
        }

        let mut states = Vec::new();
        while !rest.is_empty() {
            for (i, column) in self.types.iter().enumerate() {
                see(context, i, key_column::take_ref(&mut rest, *column)?);
            }

            let (n, encoded) = self.take_behind_key(&mut rest)?;
            if !encoded.is_empty() {
                states.clear();
                states.extend(self.states(encoded));
            }
            end(context, n, &states);
        }
        Ok(())
    }

    /// Checks whether all rows can be read, without making any of their values, and returns how many there
    /// are.
    pub(crate) fn check(&self) -> Result<usize, DecodeError> {
        let (mut rest, mut len) = (self.bytes, 0);
        if let Some(column) = self.single_column() {
            while !rest.is_empty() {
                key_column::check(&mut rest, column)?;
                len += 1;
            }
            return Ok(len);
        }

        while !rest.is_empty() {
            for column in self.types {
                key_column::check(&mut rest, *column)?;
            }
            self.take_behind_key(&mut rest)?;
            len += 1;
        }
        Ok(len)
    }

    /// Returns the rows by key. If one of them cannot be read there are none.
    pub(crate) fn groups(&self) -> Result<Groups, DecodeError> {
        let mut groups = Groups::new(self.types.len(), &self.kinds().collect::<Vec<_>>());
        self.try_each(|key, n, states| groups.entry(key).merge(n, states))?;
        Ok(groups)
    }
}

/// Returns what stands behind the states of these aggregates.
fn skip_states<'a>(bytes: &'a [u8], aggregates: &[u8]) -> Result<&'a [u8], DecodeError> {
    let mut reader = ByteReader::new(bytes);
    for code in aggregates {
        let unknown = DecodeError::UnknownTag { what: "aggregate", tag: *code };
        reader.state(AggregateKind::from_code(*code).ok_or(unknown)?)?;
    }
    Ok(reader.rest())
}
