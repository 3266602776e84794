//! `CAST(x AS type)`.

use super::operators::narrow;
use crate::duration_text;
use crate::error::EvalErrors;
use crate::timestamp_text::parse_timestamp;
use crate::value::{Type, Value, nearest_integer};

/// Converts a value to a type; null, and counted, if it has no counterpart there.
///
/// Text is read as a value of the type is written in a query. Doubles lose their fraction on the way to
/// integers. Times and integers convert by nanoseconds.
pub(super) fn cast(x: Value, ty: Type, errors: &mut EvalErrors) -> Value {
    let result = match (ty, &x) {
        (_, Value::Null) | (Type::Any, _) => return x,

        (Type::String, _) => Some(Value::str(x.to_string())),
        // By way of 128 bits, so that a number out of range is noticed for either type.
        (Type::I64 | Type::U64, _) => cast_integer(&x).and_then(|n| match ty {
            Type::I64 => i64::try_from(n).ok().map(Value::I64),
            _ => u64::try_from(n).ok().map(Value::U64),
        }),

        (Type::F64, Value::Str(text)) => text.trim().parse().ok().map(Value::double),
        (Type::F64, Value::Duration(ns)) => Some(Value::F64(*ns as f64)),
        (Type::F64, _) => x.as_f64().map(Value::F64),

        (Type::Bool, Value::Str(text)) => text.trim().parse().ok().map(Value::Bool),
        (Type::Duration, Value::Str(text)) => duration_text::parse(text).map(Value::Duration),
        (Type::Duration, Value::I64(_) | Value::U64(_)) => {
            x.as_integer().and_then(narrow).map(Value::Duration)
        }
        (Type::Timestamp, Value::Str(text)) => parse_timestamp(text).ok().map(Value::Timestamp),
        (Type::Timestamp, Value::I64(_) | Value::U64(_)) => {
            x.as_integer().and_then(narrow).map(Value::Timestamp)
        }

        _ if x.type_of() == ty => return x,
        _ => None,
    };
    result.unwrap_or_else(|| errors.null())
}

/// Returns the integer that a value stands for, if any.
fn cast_integer(x: &Value) -> Option<i128> {
    match x {
        Value::Bool(x) => Some(i128::from(*x)),
        Value::Str(text) => text.trim().parse().ok(),
        Value::F64(x) => nearest_integer(x.trunc()).map(i128::from),
        Value::Timestamp(ns) | Value::Duration(ns) => Some(i128::from(*ns)),
        other => other.as_integer(),
    }
}
