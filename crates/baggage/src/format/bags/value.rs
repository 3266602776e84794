//! One value of a key, borrowed: from the bytes of a bag, or on its way there.

use pivot_advice::{Value, codec};

/// A value that can be looked at without making a [`Value`] of it, which would allocate for text.
#[derive(Debug, Clone, PartialEq)]
pub enum ValueRef<'a> {
    /// A signed number.
    I64(i64),
    /// An unsigned number.
    U64(u64),
    /// Text.
    Text(&'a str),
    /// Anything else. Keys of other types are rare enough to be made.
    Other(Value),
}

impl<'a> From<&'a Value> for ValueRef<'a> {
    /// Borrows text, copies a number, and clones anything else.
    #[inline(always)]
    fn from(value: &'a Value) -> ValueRef<'a> {
        match value {
            Value::I64(x) => ValueRef::I64(*x),
            Value::U64(x) => ValueRef::U64(*x),
            Value::Str(text) => ValueRef::Text(text),
            other => ValueRef::Other(other.clone()),
        }
    }
}

impl From<ValueRef<'_>> for Value {
    #[inline(always)]
    fn from(value: ValueRef<'_>) -> Value {
        match value {
            ValueRef::I64(x) => Value::I64(x),
            ValueRef::U64(x) => Value::U64(x),
            ValueRef::Text(text) => Value::str(text),
            ValueRef::Other(value) => value,
        }
    }
}

impl ValueRef<'_> {
    /// Returns about how many bytes the value takes with its tag; see [`pivot_advice::codec::row_size`].
    #[inline]
    pub fn size(&self) -> usize {
        match self {
            ValueRef::I64(x) => codec::value_size(&Value::I64(*x)),
            ValueRef::U64(x) => codec::value_size(&Value::U64(*x)),
            ValueRef::Text(text) => 1 + codec::varint_size(text.len() as u64) + text.len(),
            ValueRef::Other(value) => codec::value_size(value),
        }
    }
}
