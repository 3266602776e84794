//! The rows of a grouped bag, read from the bytes in which it travels; see [`crate::format::grouped_bag`].

use crate::error::{BaggageError, malformed};
use crate::format::bag_header::{ALL, CUT, ONCE, kind_of, read_head};
use crate::format::column;
use crate::format::number;
use crate::format::protobuf::fixed64;
use crate::format::value::ValueRef;
use pivot_advice::codec::{MAX_COLUMNS, Reader};
use pivot_advice::{Aggregate, DecodeError, Groups, State, Value};
use smallvec::SmallVec;

/// The rows of a table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EncodedRows<'a> {
    /// The codes of the aggregates.
    pub(crate) shape: &'a [u8],
    /// The codes of the key columns.
    pub(crate) types: &'a [u8],
    /// Whether each row says how often it counts.
    pub(crate) counts: bool,
    pub(crate) bytes: &'a [u8],
}

/// One row, as it lies in its table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EncodedRow<'a> {
    pub(crate) key: &'a [u8],
    pub(crate) n: u64,
    pub(crate) states: &'a [u8],
}

impl<'a> EncodedRows<'a> {
    /// The parts of a table's bytes; its rows are not looked at.
    pub(crate) fn of(bytes: &'a [u8]) -> Result<EncodedRows<'a>, BaggageError> {
        let (first, _, mut reader) = read_head(bytes)?;
        match kind_of(first) {
            ALL => {}
            CUT => {
                fixed64(&mut reader)?;
            }
            _ => return Err(malformed("a bag is not a table")),
        }
        let keys = usize::try_from(reader.varint()?).unwrap_or(usize::MAX);
        let count = reader.count("shape")?;
        if keys > MAX_COLUMNS || count > MAX_COLUMNS {
            return Err(DecodeError::TooLarge { what: "shape" }.into());
        }
        let shape = reader.raw(count)?;
        if let Some(tag) = shape.iter().find(|code| Aggregate::from_code(**code).is_none()) {
            return Err(DecodeError::UnknownTag { what: "aggregate", tag: *tag }.into());
        }
        let types = reader.raw(keys)?;
        let counts = first & ONCE == 0;
        if !types.iter().all(|code| column::is_code(*code)) || types.is_empty() && !counts {
            return Err(malformed("the columns of a table are of an unknown form"));
        }
        Ok(EncodedRows { shape, types, counts, bytes: reader.rest() })
    }

    /// Whether rows of the other have as many columns and the same aggregates.
    #[inline]
    pub(crate) fn fits(&self, other: &EncodedRows<'_>) -> bool {
        self.types.len() == other.types.len() && self.shape == other.shape
    }

    fn aggregates(&self) -> impl Iterator<Item = Aggregate> + use<'a> {
        self.shape.iter().filter_map(|code| Aggregate::from_code(*code))
    }

    /// Takes the row off the front of `rest`, its key unseen.
    #[inline(always)]
    pub(crate) fn take(&self, rest: &mut &'a [u8]) -> Result<EncodedRow<'a>, DecodeError> {
        let begun = *rest;
        for column in self.types {
            column::skip(rest, *column)?;
        }
        let key = &begun[..begun.len() - rest.len()];
        let (n, states) = self.take_rest(rest)?;
        Ok(EncodedRow { key, n, states })
    }

    /// Takes what stands behind the key.
    #[inline(always)]
    fn take_rest(&self, rest: &mut &'a [u8]) -> Result<(u64, &'a [u8]), DecodeError> {
        let n = if self.counts { number::take(rest).ok_or(DecodeError::Truncated)? } else { 1 };
        let states = *rest;
        if !self.shape.is_empty() {
            *rest = skip_states(rest, self.shape)?;
        }
        Ok((n, &states[..states.len() - rest.len()]))
    }

    /// The same, with the states.
    #[inline]
    pub(crate) fn take_states(
        &self,
        rest: &mut &'a [u8],
    ) -> Result<(u64, SmallVec<[State; 4]>), DecodeError> {
        let n = if self.counts { number::take(rest).ok_or(DecodeError::Truncated)? } else { 1 };
        let mut reader = Reader::new(rest);
        let states = self.aggregates().map(|kind| reader.state(kind)).collect::<Result<_, _>>()?;
        *rest = reader.rest();
        Ok((n, states))
    }

    pub(crate) fn key_of(&self, row: &EncodedRow<'a>) -> impl Iterator<Item = Value> + use<'a> {
        let mut rest = row.key;
        self.types.iter().map(move |column| column::take(&mut rest, *column).unwrap_or_default())
    }

    pub(crate) fn states<'b>(&self, bytes: &'b [u8]) -> impl Iterator<Item = State> + use<'a, 'b> {
        let mut reader = Reader::new(bytes);
        // They were skipped, thus read, before.
        self.aggregates().map(move |kind| reader.state(kind).unwrap_or_else(|_| kind.empty()))
    }

    /// Goes through the rows, which were written here or checked before.
    pub(crate) fn each(&self, mut each: impl FnMut(EncodedRow<'a>)) {
        let mut rest = self.bytes;
        while let Some(row) = (!rest.is_empty()).then(|| self.take(&mut rest).ok()).flatten() {
            each(row);
        }
    }

    /// Goes through the rows, up to the first that cannot be read. Each takes a byte at least.
    #[inline]
    pub(crate) fn try_each(&self, mut each: impl FnMut(&[Value], u64, &[State])) -> Result<(), DecodeError> {
        let mut rest = self.bytes;
        if let ([column], false, []) = (self.types, self.counts, self.shape) {
            // Most are like this.
            while !rest.is_empty() {
                each(&[column::take(&mut rest, *column)?], 1, &[]);
            }
            return Ok(());
        }
        let mut key = SmallVec::<[Value; 4]>::from_elem(Value::Null, self.types.len());
        let mut states = Vec::new();
        while !rest.is_empty() {
            for (value, column) in key.iter_mut().zip(self.types) {
                *value = column::take(&mut rest, *column)?;
            }
            let (n, encoded) = self.take_rest(&mut rest)?;
            if !encoded.is_empty() {
                states.clear();
                states.extend(self.states(encoded));
            }
            each(&key, n, &states);
        }
        Ok(())
    }

    /// The same, with values that are borrowed: each is shown to `see`, and `end` tells the rest of its row.
    #[inline]
    pub(crate) fn try_each_part<C>(
        &self,
        context: &mut C,
        see: impl Fn(&mut C, usize, ValueRef<'a>),
        mut end: impl FnMut(&mut C, u64, &[State]),
    ) -> Result<(), DecodeError> {
        let mut rest = self.bytes;
        if let ([column], false, []) = (self.types, self.counts, self.shape) {
            // Most are like this.
            while !rest.is_empty() {
                see(context, 0, column::take_part(&mut rest, *column)?);
                end(context, 1, &[]);
            }
            return Ok(());
        }
        let mut states = Vec::new();
        while !rest.is_empty() {
            for (i, column) in self.types.iter().enumerate() {
                see(context, i, column::take_part(&mut rest, *column)?);
            }
            let (n, encoded) = self.take_rest(&mut rest)?;
            if !encoded.is_empty() {
                states.clear();
                states.extend(self.states(encoded));
            }
            end(context, n, &states);
        }
        Ok(())
    }

    /// Whether all rows can be read, and how many there are; makes none of their values.
    pub(crate) fn check(&self) -> Result<usize, DecodeError> {
        let (mut rest, mut len) = (self.bytes, 0);
        if let ([column], false, []) = (self.types, self.counts, self.shape) {
            while !rest.is_empty() {
                column::check(&mut rest, *column)?;
                len += 1;
            }
            return Ok(len);
        }
        while !rest.is_empty() {
            for column in self.types {
                column::check(&mut rest, *column)?;
            }
            self.take_rest(&mut rest)?;
            len += 1;
        }
        Ok(len)
    }

    /// Whether its rows have so many key columns and these aggregates.
    #[inline]
    pub(crate) fn has_shape(&self, keys: usize, aggregates: &[Aggregate]) -> bool {
        self.types.len() == keys
            && self.shape.len() == aggregates.len()
            && self.shape.iter().zip(aggregates).all(|(code, aggregate)| *code == *aggregate as u8)
    }

    /// The rows by key. Whatever cannot be read makes all of it unreadable.
    pub(crate) fn groups(&self) -> Result<Groups, DecodeError> {
        let mut groups = Groups::new(self.types.len(), &self.aggregates().collect::<Vec<_>>());
        self.try_each(|key, n, states| groups.entry(key).merge(n, states))?;
        Ok(groups)
    }
}

fn skip_states<'a>(bytes: &'a [u8], shape: &[u8]) -> Result<&'a [u8], DecodeError> {
    let mut reader = Reader::new(bytes);
    for code in shape {
        let unknown = DecodeError::UnknownTag { what: "aggregate", tag: *code };
        reader.state(Aggregate::from_code(*code).ok_or(unknown)?)?;
    }
    Ok(reader.rest())
}
