//! Running sums that neither order nor grouping of the rows can change, as long as they are of integers.
//!
//! Integers and durations add up in 128 bits: 2^64 rows of the largest 64-bit number fit. The result is
//! checked against 64 bits only when it is finished, so a sum may leave their range on its way. Sums of
//! doubles round, and differ in their last digits with the order.

use crate::error::EvalErrors;
use crate::value::{Value, nearest_integer};

/// A running sum; see the head of this file.
#[derive(Debug, Clone, PartialEq)]
pub enum Sum {
    /// The sum of no values.
    Empty,
    /// A sum of integers.
    Integer(i128),
    /// A sum of durations in nanoseconds.
    Duration(i128),
    /// A sum of numbers with a double among them.
    Double(f64),
    /// A sum beyond 128 bits, or of a duration and a number; it finishes as null.
    Undefined,
}

impl Sum {
    /// Returns the sum of one value that counts `weight` times; empty, and counted as an error, if the value
    /// does not add up.
    pub(crate) fn of(value: &Value, weight: u64, errors: &mut EvalErrors) -> Sum {
        let mut sum = match value {
            Value::F64(x) => Sum::Double(*x),
            Value::Duration(ns) => Sum::Duration(i128::from(*ns)),
            other => match other.as_integer() {
                Some(x) => Sum::Integer(x),
                None => {
                    errors.0 += 1;
                    Sum::Empty
                }
            },
        };

        sum.scale(weight);
        sum
    }

    /// Adds another sum.
    pub(crate) fn add(&mut self, other: Sum) {
        use Sum::*;
        let sum = match (&*self, &other) {
            (_, Empty) => return,
            (Empty, _) => Some(other),

            (Integer(a), Integer(b)) => a.checked_add(*b).map(Integer),
            (Duration(a), Duration(b)) => a.checked_add(*b).map(Duration),
            (Double(a), Double(b)) => Some(Double(a + b)),
            (Double(a), Integer(b)) | (Integer(b), Double(a)) => Some(Double(a + *b as f64)),
            // A duration and a number, or an undefined sum.
            _ => None,
        };
        *self = sum.unwrap_or(Undefined);
    }

    /// Multiplies the sum.
    pub(crate) fn scale(&mut self, by: u64) {
        let scaled = match self {
            Sum::Integer(x) => x.checked_mul(i128::from(by)).map(Sum::Integer),
            Sum::Duration(x) => x.checked_mul(i128::from(by)).map(Sum::Duration),
            Sum::Double(x) => Some(Sum::Double(*x * by as f64)),
            Sum::Empty | Sum::Undefined => return,
        };
        *self = scaled.unwrap_or(Sum::Undefined);
    }

    /// Returns the sum as a value: an integer as `i64`, or as `u64` if it is too large for that.
    pub(crate) fn finish(&self, errors: &mut EvalErrors) -> Value {
        let value = match self {
            Sum::Empty => return Value::Null,
            Sum::Double(x) => Some(Value::double(*x)),
            Sum::Duration(x) => i64::try_from(*x).ok().map(Value::Duration),
            Sum::Integer(x) => {
                let signed = i64::try_from(*x).map(Value::I64);
                signed.or_else(|_| u64::try_from(*x).map(Value::U64)).ok()
            }
            Sum::Undefined => None,
        };

        value.unwrap_or_else(|| errors.null())
    }

    /// Returns the sum divided by the number of values.
    pub(crate) fn mean(&self, count: u64, errors: &mut EvalErrors) -> Value {
        match self {
            _ if count == 0 => Value::Null,
            Sum::Empty => Value::Null,
            Sum::Integer(x) => Value::F64(*x as f64 / count as f64),
            Sum::Double(x) => Value::double(x / count as f64),
            Sum::Duration(x) => {
                nearest_integer(*x as f64 / count as f64).map_or_else(|| errors.null(), Value::Duration)
            }
            Sum::Undefined => errors.null(),
        }
    }
}
