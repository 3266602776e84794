//! Takes items of the byte form off the front of a slice, checking everything.

use super::MAX_COLUMNS;
use super::varint::{take_short_varint, unzigzag_wide};
use crate::aggregate::{AggregateKind, AggregateState};
use crate::error::DecodeError;
use crate::groups::Groups;
use crate::sum::Sum;
use crate::value::Value;
use std::sync::Arc;

/// Takes items of the byte form off the front of a slice. After an error its position is unspecified.
#[derive(Debug, Clone)]
pub struct ByteReader<'a> {
    bytes: &'a [u8],
}

impl<'a> ByteReader<'a> {
    /// Returns a reader of these bytes.
    pub fn new(bytes: &'a [u8]) -> ByteReader<'a> {
        ByteReader { bytes }
    }

    /// Whether everything was read.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Returns the bytes that were not read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.bytes
    }

    /// Takes one byte.
    #[inline]
    pub fn u8(&mut self) -> Result<u8, DecodeError> {
        Ok(self.raw(1)?[0])
    }

    /// Takes `count` bytes as they are.
    #[inline]
    pub fn raw(&mut self, count: usize) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) = self.bytes.split_at_checked(count).ok_or(DecodeError::Truncated)?;
        self.bytes = rest;
        Ok(taken)
    }

    /// Takes a varint.
    #[inline]
    pub fn varint(&mut self) -> Result<u64, DecodeError> {
        // Most numbers are below 128: one load and one comparison, without a loop.
        if let [first @ 0..0x80, rest @ ..] = self.bytes {
            self.bytes = rest;
            return Ok(u64::from(*first));
        }
        self.long_varint()
    }

    /// Takes a varint of any length that fits 64 bits.
    fn long_varint(&mut self) -> Result<u64, DecodeError> {
        u64::try_from(self.varint128()?).map_err(|_| DecodeError::TooLarge { what: "number" })
    }

    /// Takes a varint of up to 128 bits: sums of integers are that long.
    fn varint128(&mut self) -> Result<u128, DecodeError> {
        // Nearly all numbers are short, and those fit one word.
        if let Some(short) = take_short_varint(&mut self.bytes) {
            return Ok(short.into());
        }

        let mut x: u128 = 0;
        for shift in (0..128).step_by(7) {
            let byte = self.u8()?;
            let bits = u128::from(byte & 0x7f);
            // The last byte may have bits that 128 bits do not hold.
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

    /// Takes a signed number.
    pub(super) fn zigzag(&mut self) -> Result<i128, DecodeError> {
        Ok(unzigzag_wide(self.varint128()?))
    }

    /// Takes a count of items of which each takes at least one byte. More items than bytes are refused,
    /// before anybody allocates for them.
    pub fn count(&mut self, what: &'static str) -> Result<usize, DecodeError> {
        let count = usize::try_from(self.varint()?).unwrap_or(usize::MAX);
        if count > self.bytes.len() { Err(DecodeError::TooLarge { what }) } else { Ok(count) }
    }

    /// Takes a length and then as many bytes.
    pub fn bytes(&mut self) -> Result<&'a [u8], DecodeError> {
        let length = self.count("length")?;
        self.raw(length)
    }

    /// Takes a value with its tag. Lists of lists are refused.
    pub fn value(&mut self) -> Result<Value, DecodeError> {
        let tag = self.u8()?;
        if tag != 10 {
            return self.scalar(tag);
        }

        // A list's memory is a multiple of its bytes, so it grows with what is really there.
        let count = self.count("list")?;
        let mut items = Vec::with_capacity(count.min(64));
        for _ in 0..count {
            let tag = self.u8()?;
            items.push(self.scalar(tag)?);
        }
        Ok(Value::List(items.into()))
    }

    /// Takes the payload of a value that is no list.
    fn scalar(&mut self, tag: u8) -> Result<Value, DecodeError> {
        Ok(match tag {
            0 => Value::Null,
            1 => Value::Bool(false),
            2 => Value::Bool(true),
            // The zigzag of more than 64 bits is a number that no value holds.
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

    /// Takes eight bytes, little-endian.
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

    /// Takes a state of an aggregate.
    pub fn state(&mut self, aggregate: AggregateKind) -> Result<AggregateState, DecodeError> {
        Ok(match aggregate {
            AggregateKind::Count => AggregateState::Count(self.varint()?),
            AggregateKind::Sum => AggregateState::Sum(self.sum()?),
            AggregateKind::Min => AggregateState::Min(self.value()?),
            AggregateKind::Max => AggregateState::Max(self.value()?),
            AggregateKind::Average => AggregateState::Average(self.sum()?, self.varint()?),
            AggregateKind::Any => AggregateState::Any(self.value()?),

            AggregateKind::Moments => AggregateState::Moments(self.moments()?),
            AggregateKind::Distinct => AggregateState::Distinct(self.distinct()?),
            AggregateKind::Histogram => AggregateState::Histogram(Box::new(self.histogram()?)),
            AggregateKind::Tally => AggregateState::Tally(self.tally()?),
            AggregateKind::Top => AggregateState::Top(self.top()?),
        })
    }

    /// Takes a table with its shape. Groups with equal keys, which no honest writer makes, are merged.
    pub fn groups(&mut self) -> Result<Groups, DecodeError> {
        let keys = usize::try_from(self.varint()?).unwrap_or(usize::MAX);
        let count = self.count("shape")?;
        if keys > MAX_COLUMNS || count > MAX_COLUMNS {
            return Err(DecodeError::TooLarge { what: "shape" });
        }
        let shape = self.raw(count)?.iter();
        let aggregates: Vec<AggregateKind> = shape.map(|code| aggregate(*code)).collect::<Result<_, _>>()?;

        // Each row is at least a byte long, so `count` bounds them before any memory is taken.
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

fn aggregate(code: u8) -> Result<AggregateKind, DecodeError> {
    AggregateKind::from_code(code).ok_or(DecodeError::UnknownTag { what: "aggregate", tag: code })
}
