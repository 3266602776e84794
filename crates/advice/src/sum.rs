//! Running sums that order and grouping cannot change, as long as they are of integers.

use crate::error::EvalErrors;
use crate::value::{Value, nearest_integer};

/// A running sum. Integers add up in 128 bits, so order and grouping cannot change the result.
#[derive(Debug, Clone, PartialEq)]
pub enum Sum {
    /// Nothing was added.
    Empty,
    /// A sum of integers.
    Integer(i128),
    /// A sum of durations in nanoseconds.
    Duration(i128),
    /// A sum with a double in it.
    Double(f64),
    /// Beyond 128 bits, or of values that do not add up; finishes as null.
    Undefined,
}

impl Sum {
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

    pub(crate) fn add(&mut self, other: Sum) {
        use Sum::*;
        let sum = match (&*self, &other) {
            (_, Empty) => return,
            (Empty, _) => Some(other),
            (Integer(a), Integer(b)) => a.checked_add(*b).map(Integer),
            (Duration(a), Duration(b)) => a.checked_add(*b).map(Duration),
            (Double(a), Double(b)) => Some(Double(a + b)),
            (Double(a), Integer(b)) | (Integer(b), Double(a)) => Some(Double(a + *b as f64)),
            _ => None,
        };
        *self = sum.unwrap_or(Undefined);
    }

    pub(crate) fn scale(&mut self, by: u64) {
        let scaled = match self {
            Sum::Integer(x) => x.checked_mul(i128::from(by)).map(Sum::Integer),
            Sum::Duration(x) => x.checked_mul(i128::from(by)).map(Sum::Duration),
            Sum::Double(x) => Some(Sum::Double(*x * by as f64)),
            Sum::Empty | Sum::Undefined => return,
        };
        *self = scaled.unwrap_or(Sum::Undefined);
    }

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
