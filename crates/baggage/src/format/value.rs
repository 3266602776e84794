//! One value of a key, borrowed: from the bytes of a bag, or on its way there.

use pivot_advice::{Value, codec};

/// A value that need not be made to be looked at.
#[derive(Debug, Clone, PartialEq)]
pub enum Part<'a> {
    /// A signed number.
    I64(i64),
    /// An unsigned number.
    U64(u64),
    /// Text.
    Text(&'a str),
    /// Anything else.
    Other(Value),
}

impl From<Part<'_>> for Value {
    #[inline(always)]
    fn from(part: Part<'_>) -> Value {
        match part {
            Part::I64(x) => Value::I64(x),
            Part::U64(x) => Value::U64(x),
            Part::Text(text) => Value::str(text),
            Part::Other(value) => value,
        }
    }
}

impl<'a> Part<'a> {
    /// A value, borrowed where that saves something.
    #[inline(always)]
    pub fn of(value: &'a Value) -> Part<'a> {
        match value {
            Value::I64(x) => Part::I64(*x),
            Value::U64(x) => Part::U64(*x),
            Value::Str(text) => Part::Text(text),
            other => Part::Other(other.clone()),
        }
    }

    /// About how many bytes it takes with its tag; see [`pivot_advice::codec::row_size`].
    #[inline]
    pub fn size(&self) -> usize {
        match self {
            Part::I64(x) => codec::value_size(&Value::I64(*x)),
            Part::U64(x) => codec::value_size(&Value::U64(*x)),
            Part::Text(text) => 1 + codec::varint_size(text.len() as u64) + text.len(),
            Part::Other(value) => codec::value_size(value),
        }
    }
}
