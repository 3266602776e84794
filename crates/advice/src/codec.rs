//! The byte form of values, states and groups, shared by baggage and reports.
//!
//! ```text
//! value   tag:u8 payload            0 null · 1 false · 2 true · 3 i64 zigzag varint · 4 u64 varint
//!                                   5 f64 8 bytes LE · 6 string · 7 bytes (varint length first)
//!                                   8 timestamp · 9 duration (8 bytes LE) · 10 list (varint count first)
//! sum     tag:u8 payload            0 empty · 1 integer · 2 duration (zigzag varint, 128 bits)
//!                                   3 double 8 bytes LE · 4 undefined
//! state   per aggregate             COUNT varint · SUM sum · MIN, MAX, ANY value · AVERAGE sum varint
//!                                   sketches as in [`crate::codec::sketch`]
//! groups  keys:varint count:varint shape:u8*count rows:varint { value*keys n:varint state*count }
//! ```
//!
//! Decoding never allocates more than a small multiple of the bytes it was given.

use crate::aggregate::{Aggregate, State};
use crate::error::DecodeError;
use crate::groups::Groups;
use crate::sum::Sum;
use crate::value::Value;
use std::sync::Arc;

mod sketch;

/// The most key columns, and the most aggregates, that a table may have.
pub const MAX_COLUMNS: usize = 256;

/// Appends items to a buffer.
#[derive(Debug, Default)]
pub struct Writer {
    bytes: Vec<u8>,
}

/// Takes items off the front of a slice.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    bytes: &'a [u8],
}

/// About how many bytes the rows of groups take, without writing them.
pub fn size(groups: &Groups) -> usize {
    groups.iter().map(|group| row_size(&group.key, group.n, group.states.len())).sum()
}

/// The same of one row with so many states.
#[inline]
pub fn row_size(key: &[Value], n: u64, states: usize) -> usize {
    key.iter().map(value_size).sum::<usize>() + varint_size(n) + 4 * states
}

/// The same of a value.
pub fn value_size(value: &Value) -> usize {
    1 + match value {
        Value::Null | Value::Bool(_) => 0,
        Value::I64(x) => varint_size(x.unsigned_abs().saturating_mul(2)),
        Value::U64(x) => varint_size(*x),
        Value::F64(_) | Value::Timestamp(_) | Value::Duration(_) => 8,
        Value::Str(x) => varint_size(x.len() as u64) + x.len(),
        Value::Bytes(x) => varint_size(x.len() as u64) + x.len(),
        Value::List(items) => varint_size(items.len() as u64) + items.iter().map(value_size).sum::<usize>(),
    }
}

/// How many bytes an unsigned number takes.
#[inline]
pub fn varint_size(x: u64) -> usize {
    (64 - (x | 1).leading_zeros() as usize).div_ceil(7)
}

impl Writer {
    /// An empty buffer.
    pub fn new() -> Writer {
        Writer::default()
    }

    /// Goes on behind what is there.
    pub fn behind(bytes: Vec<u8>) -> Writer {
        Writer { bytes }
    }

    /// What was written.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// How many bytes were written.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// One byte.
    pub fn u8(&mut self, byte: u8) {
        self.bytes.push(byte);
    }

    /// Bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// An unsigned number, 7 bits a byte, low bits first.
    #[inline]
    pub fn varint(&mut self, mut x: u64) {
        while x >= 0x80 {
            self.bytes.push(x as u8 | 0x80);
            x >>= 7;
        }
        self.bytes.push(x as u8);
    }

    fn varint128(&mut self, mut x: u128) {
        if let Ok(short) = u64::try_from(x) {
            return self.varint(short);
        }
        while x >= 0x80 {
            self.bytes.push(x as u8 | 0x80);
            x >>= 7;
        }
        self.bytes.push(x as u8);
    }

    pub(super) fn zigzag(&mut self, x: i128) {
        self.varint128(((x << 1) ^ (x >> 127)) as u128);
    }

    /// A length and as many bytes.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.varint(bytes.len() as u64);
        self.raw(bytes);
    }

    /// A value with its tag.
    pub fn value(&mut self, value: &Value) {
        match value {
            Value::Null => self.u8(0),
            Value::Bool(false) => self.u8(1),
            Value::Bool(true) => self.u8(2),
            Value::I64(x) => {
                self.u8(3);
                self.zigzag(i128::from(*x));
            }
            Value::U64(x) => {
                self.u8(4);
                self.varint(*x);
            }
            Value::F64(x) => self.fixed(5, x.to_bits()),
            Value::Str(x) => {
                self.u8(6);
                self.bytes(x.as_bytes());
            }
            Value::Bytes(x) => {
                self.u8(7);
                self.bytes(x);
            }
            Value::Timestamp(x) => self.fixed(8, *x as u64),
            Value::Duration(x) => self.fixed(9, *x as u64),
            Value::List(items) => {
                self.u8(10);
                self.varint(items.len() as u64);
                items.iter().for_each(|item| self.value(item));
            }
        }
    }

    fn fixed(&mut self, tag: u8, bits: u64) {
        self.u8(tag);
        self.raw(&bits.to_le_bytes());
    }

    fn sum(&mut self, sum: &Sum) {
        match sum {
            Sum::Empty => self.u8(0),
            Sum::Integer(x) => {
                self.u8(1);
                self.zigzag(*x);
            }
            Sum::Duration(x) => {
                self.u8(2);
                self.zigzag(*x);
            }
            Sum::Double(x) => self.fixed(3, x.to_bits()),
            Sum::Undefined => self.u8(4),
        }
    }

    /// A state, without its aggregate.
    pub fn state(&mut self, state: &State) {
        match state {
            State::Count(count) => self.varint(*count),
            State::Sum(sum) => self.sum(sum),
            State::Min(value) | State::Max(value) => self.value(value),
            State::Average(sum, count) => {
                self.sum(sum);
                self.varint(*count);
            }
            State::Any(value) => self.value(value),
            State::Moments(moments) => self.moments(moments),
            State::Distinct(set) => self.distinct(set),
            State::Histogram(histogram) => self.histogram(histogram),
            State::Tally(tally) => self.tally(tally),
            State::Top(top) => self.top(top),
        }
    }

    /// A table with its shape.
    pub fn groups(&mut self, groups: &Groups) {
        self.varint(groups.keys() as u64);
        self.varint(groups.aggregates().len() as u64);
        groups.aggregates().iter().for_each(|aggregate| self.u8(*aggregate as u8));
        self.varint(groups.len() as u64);
        for group in groups {
            group.key.iter().for_each(|value| self.value(value));
            self.varint(group.n);
            group.states.iter().for_each(|state| self.state(state));
        }
    }
}

impl<'a> Reader<'a> {
    /// Reads from the front of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { bytes }
    }

    /// Whether everything was read.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The bytes not read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.bytes
    }

    /// One byte.
    #[inline]
    pub fn u8(&mut self) -> Result<u8, DecodeError> {
        Ok(self.raw(1)?[0])
    }

    /// So many bytes as they are.
    #[inline]
    pub fn raw(&mut self, count: usize) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) = self.bytes.split_at_checked(count).ok_or(DecodeError::Truncated)?;
        self.bytes = rest;
        Ok(taken)
    }

    /// An unsigned number.
    #[inline]
    pub fn varint(&mut self) -> Result<u64, DecodeError> {
        if let [first @ 0..0x80, rest @ ..] = self.bytes {
            self.bytes = rest;
            return Ok(u64::from(*first));
        }
        self.long_varint()
    }

    fn long_varint(&mut self) -> Result<u64, DecodeError> {
        u64::try_from(self.varint128()?).map_err(|_| DecodeError::TooLarge { what: "number" })
    }

    fn varint128(&mut self) -> Result<u128, DecodeError> {
        // Up to so many bytes fit a word.
        let mut short: u64 = 0;
        for (i, byte) in self.bytes.iter().take(9).enumerate() {
            short |= u64::from(byte & 0x7f) << (7 * i);
            if *byte < 0x80 {
                self.bytes = &self.bytes[i + 1..];
                return Ok(short.into());
            }
        }
        let mut x: u128 = 0;
        for shift in (0..128).step_by(7) {
            let byte = self.u8()?;
            let bits = u128::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                break;
            }
            x |= bits << shift;
            if byte < 0x80 {
                return Ok(x);
            }
        }
        Err(DecodeError::TooLarge { what: "number" })
    }

    pub(super) fn zigzag(&mut self) -> Result<i128, DecodeError> {
        let x = self.varint128()?;
        Ok((x >> 1) as i128 ^ -((x & 1) as i128))
    }

    /// A count of items of which each takes at least one byte, so it cannot exceed the bytes left.
    pub fn count(&mut self, what: &'static str) -> Result<usize, DecodeError> {
        let count = usize::try_from(self.varint()?).unwrap_or(usize::MAX);
        if count > self.bytes.len() { Err(DecodeError::TooLarge { what }) } else { Ok(count) }
    }

    /// A length and as many bytes.
    pub fn bytes(&mut self) -> Result<&'a [u8], DecodeError> {
        let length = self.count("length")?;
        self.raw(length)
    }

    /// A value with its tag.
    pub fn value(&mut self) -> Result<Value, DecodeError> {
        let tag = self.u8()?;
        if tag != 10 {
            return self.scalar(tag);
        }
        let count = self.count("list")?;
        let mut items = Vec::with_capacity(count.min(64));
        for _ in 0..count {
            let tag = self.u8()?;
            items.push(self.scalar(tag)?);
        }
        Ok(Value::List(items.into()))
    }

    fn scalar(&mut self, tag: u8) -> Result<Value, DecodeError> {
        Ok(match tag {
            0 => Value::Null,
            1 => Value::Bool(false),
            2 => Value::Bool(true),
            3 => {
                let x = i64::try_from(self.zigzag()?);
                Value::I64(x.map_err(|_| DecodeError::TooLarge { what: "i64" })?)
            }
            4 => Value::U64(self.varint()?),
            5 => Value::F64(f64::from_bits(self.fixed()?)),
            6 => {
                let text = std::str::from_utf8(self.bytes()?);
                Value::str(text.map_err(|_| DecodeError::NotUtf8)?)
            }
            7 => Value::Bytes(Arc::from(self.bytes()?)),
            8 => Value::Timestamp(self.fixed()? as i64),
            9 => Value::Duration(self.fixed()? as i64),
            tag => return Err(DecodeError::UnknownTag { what: "value", tag }),
        })
    }

    pub(super) fn fixed(&mut self) -> Result<u64, DecodeError> {
        let mut bits = [0; 8];
        bits.copy_from_slice(self.raw(8)?);
        Ok(u64::from_le_bytes(bits))
    }

    fn sum(&mut self) -> Result<Sum, DecodeError> {
        Ok(match self.u8()? {
            0 => Sum::Empty,
            1 => Sum::Integer(self.zigzag()?),
            2 => Sum::Duration(self.zigzag()?),
            3 => Sum::Double(f64::from_bits(self.fixed()?)),
            4 => Sum::Undefined,
            tag => return Err(DecodeError::UnknownTag { what: "sum", tag }),
        })
    }

    /// A state of an aggregate.
    pub fn state(&mut self, aggregate: Aggregate) -> Result<State, DecodeError> {
        Ok(match aggregate {
            Aggregate::Count => State::Count(self.varint()?),
            Aggregate::Sum => State::Sum(self.sum()?),
            Aggregate::Min => State::Min(self.value()?),
            Aggregate::Max => State::Max(self.value()?),
            Aggregate::Average => State::Average(self.sum()?, self.varint()?),
            Aggregate::Any => State::Any(self.value()?),
            Aggregate::Moments => State::Moments(self.moments()?),
            Aggregate::Distinct => State::Distinct(self.distinct()?),
            Aggregate::Histogram => State::Histogram(Box::new(self.histogram()?)),
            Aggregate::Tally => State::Tally(self.tally()?),
            Aggregate::Top => State::Top(self.top()?),
        })
    }

    /// A table with its shape. Equal keys are merged.
    pub fn groups(&mut self) -> Result<Groups, DecodeError> {
        let keys = usize::try_from(self.varint()?).unwrap_or(usize::MAX);
        let count = self.count("shape")?;
        if keys > MAX_COLUMNS || count > MAX_COLUMNS {
            return Err(DecodeError::TooLarge { what: "shape" });
        }
        let shape = self.raw(count)?.iter();
        let aggregates: Vec<Aggregate> = shape
            .map(|code| {
                Aggregate::from_code(*code).ok_or(DecodeError::UnknownTag { what: "aggregate", tag: *code })
            })
            .collect::<Result<_, _>>()?;
        let mut groups = Groups::new(keys, &aggregates);
        let rows = self.count("rows")?;
        for _ in 0..rows {
            let key = (0..keys).map(|_| self.value()).collect::<Result<Vec<_>, _>>()?;
            let n = self.varint()?;
            let states = aggregates.iter().map(|a| self.state(*a)).collect::<Result<Vec<_>, _>>()?;
            groups.entry(&key).merge(n, &states);
        }
        Ok(groups)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::Errors;

    fn sample() -> Groups {
        let mut groups = Groups::new(2, &Aggregate::ALL);
        let inputs = [Value::I64(-5), Value::U64(u64::MAX), Value::Duration(7), Value::F64(0.5), Value::Null];
        for (i, input) in inputs.iter().enumerate() {
            let list = Value::List([Value::str("a"), Value::Null].into());
            let group = groups.entry(&[Value::U64(i as u64), list]);
            group.n += 3;
            group.states.iter_mut().for_each(|state| state.update(input, 3, &mut Errors::default()));
        }
        groups
    }

    #[test]
    fn sizes_are_those_of_what_would_be_written() {
        let long = Value::str("x".repeat(300));
        let values = [Value::Null, Value::I64(-64), Value::I64(i64::MIN), Value::U64(1 << 35), long];
        let list = Value::List(values.clone().into());
        for value in values.iter().chain([&list, &Value::F64(0.5), &Value::Bool(true)]) {
            let mut writer = Writer::new();
            writer.value(value);
            assert!(writer.len().abs_diff(value_size(value)) <= 1, "{value:?}");
        }
        let mut groups = Groups::new(1, &[]);
        groups.entry(&[Value::U64(7)]).n = 1;
        assert_eq!(size(&groups), 3);
    }

    #[test]
    fn groups_round_trip() {
        let mut writer = Writer::new();
        writer.groups(&sample());
        let bytes = writer.into_bytes();
        let mut reader = Reader::new(&bytes);
        assert_eq!(reader.groups(), Ok(sample()));
        assert!(reader.is_empty());
    }

    #[test]
    fn every_kind_of_value_round_trips() {
        let bytes = Value::Bytes([1, 2].as_slice().into());
        let values = [
            Value::Null,
            Value::Bool(true),
            Value::I64(i64::MIN),
            Value::U64(u64::MAX),
            Value::F64(-1.5),
            Value::str("é"),
            Value::Timestamp(i64::MIN),
            Value::Duration(-1),
            bytes.clone(),
            Value::List([bytes, Value::Bool(false)].into()),
        ];
        for value in values {
            let mut writer = Writer::new();
            writer.value(&value);
            assert_eq!(Reader::new(&writer.into_bytes()).value(), Ok(value));
        }
    }

    #[test]
    fn every_cut_of_the_bytes_is_an_error() {
        let mut writer = Writer::new();
        writer.groups(&sample());
        let bytes = writer.into_bytes();
        for end in 0..bytes.len() {
            assert!(Reader::new(&bytes[..end]).groups().is_err(), "{end} bytes of {}", bytes.len());
        }
    }

    #[test]
    fn a_count_beyond_the_bytes_is_refused_before_allocating() {
        assert_eq!(Reader::new(&[10, 0xff, 0xff, 0x7f]).value(), Err(DecodeError::TooLarge { what: "list" }));
        assert!(Reader::new(&[0xff; 32]).varint().is_err());
        assert_eq!(
            Reader::new(&[10, 1, 10, 0]).value(),
            Err(DecodeError::UnknownTag { what: "value", tag: 10 })
        );
    }
}
