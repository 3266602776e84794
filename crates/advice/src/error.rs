//! Errors of this crate. Decoding has errors; running advice has none: an expression without a value is null,
//! and [`EvalErrors`] counts it.

use crate::value::Value;
use std::fmt;

/// Why encoded bytes were refused.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeError {
    /// The bytes end in the middle of an item.
    Truncated,
    /// A tag byte has no meaning here; the name says what was being read.
    UnknownTag {
        /// The kind of item that was being read.
        what: &'static str,
        /// The byte found.
        tag: u8,
    },
    /// A length, count or depth is beyond what the format allows.
    TooLarge {
        /// The kind of item that was being read.
        what: &'static str,
    },
    /// A string is not UTF-8.
    NotUtf8,
    /// A row does not fit the shape that precedes it.
    ShapeMismatch,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => write!(f, "bytes end in the middle of an item"),
            Self::UnknownTag { what, tag } => write!(f, "unknown tag {tag:#04x} for {what}"),
            Self::TooLarge { what } => write!(f, "{what} is too large"),
            Self::NotUtf8 => write!(f, "string is not UTF-8"),
            Self::ShapeMismatch => write!(f, "row does not fit its shape"),
        }
    }
}

impl std::error::Error for DecodeError {}

/// Counts the evaluations of expressions and aggregates that had no value: an overflow, a division by
/// zero, a cast or an operand that does not fit.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct EvalErrors(pub u64);

impl EvalErrors {
    /// Counts one failed evaluation and returns its result, null.
    pub fn null(&mut self) -> Value {
        self.0 += 1;
        Value::Null
    }
}
