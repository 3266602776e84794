//! Appends items of the byte form to a buffer.

use super::varint::{put_varint, zigzag_wide};
use crate::aggregate::AggregateState;
use crate::groups::Groups;
use crate::sum::Sum;
use crate::value::Value;

/// Appends items of the byte form to a buffer. Writing cannot fail.
#[derive(Debug, Default)]
pub struct ByteWriter {
    bytes: Vec<u8>,
}

impl ByteWriter {
    /// Returns a writer with an empty buffer.
    pub fn new() -> ByteWriter {
        ByteWriter::default()
    }

    /// Returns a writer that appends to these bytes.
    pub fn behind(bytes: Vec<u8>) -> ByteWriter {
        ByteWriter { bytes }
    }

    /// Returns all bytes, those included that were there at the beginning.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Returns the number of bytes in the buffer.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether the buffer is empty.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Appends one byte.
    pub fn u8(&mut self, byte: u8) {
        self.bytes.push(byte);
    }

    /// Appends bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Appends an unsigned number as a varint.
    #[inline]
    pub fn varint(&mut self, x: u64) {
        put_varint(&mut self.bytes, x);
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

    /// Appends a signed number.
    pub(super) fn zigzag(&mut self, x: i128) {
        self.varint128(zigzag_wide(x));
    }

    /// Appends the length of some bytes and then the bytes.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.varint(bytes.len() as u64);
        self.raw(bytes);
    }

    /// Appends a value with its tag.
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

            // Times are near 2^60, where a varint would be longer than eight bytes.
            Value::Timestamp(x) => self.fixed(8, *x as u64),
            Value::Duration(x) => self.fixed(9, *x as u64),
            Value::List(items) => {
                self.u8(10);
                self.varint(items.len() as u64);
                items.iter().for_each(|item| self.value(item));
            }
        }
    }

    /// Appends a tag and eight bytes.
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

    /// Appends a state, without the number of its aggregate: the shape before the rows has it.
    pub fn state(&mut self, state: &AggregateState) {
        match state {
            AggregateState::Count(count) => self.varint(*count),
            AggregateState::Sum(sum) => self.sum(sum),
            AggregateState::Min(value) | AggregateState::Max(value) => self.value(value),
            AggregateState::Average(sum, count) => {
                self.sum(sum);
                self.varint(*count);
            }
            AggregateState::Any(value) => self.value(value),

            AggregateState::Moments(moments) => self.moments(moments),
            AggregateState::Distinct(set) => self.distinct(set),
            AggregateState::Histogram(histogram) => self.histogram(histogram),
            AggregateState::Tally(tally) => self.tally(tally),
            AggregateState::Top(top) => self.top(top),
        }
    }

    /// Appends a table with its shape.
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
