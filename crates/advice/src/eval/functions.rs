//! Scalar functions that are null when an argument is.

use super::operators::narrow;
use crate::bucket_edge::{bucket_between, bucket_edge, bucket_number};
use crate::error::EvalErrors;
use crate::expr::Function;
use crate::value::Value;

/// Calls a function whose arguments are not null. Returns `None` if it has no value for them: they are of the
/// wrong type, or the result is out of range.
pub(super) fn strict(function: Function, values: &[Value], errors: &mut EvalErrors) -> Option<Value> {
    use Function::*;
    use Value::{F64, I64, Str};
    Some(match (function, values) {
        (Lower, [Str(text)]) => Value::str(text.to_lowercase()),
        (Upper, [Str(text)]) => Value::str(text.to_uppercase()),
        (Length, [Str(text)]) => I64(text.chars().count() as i64),
        (Length, [Value::Bytes(bytes)]) => I64(bytes.len() as i64),
        (Length, [Value::List(items)]) => I64(items.len() as i64),
        (Substr, [Str(text), rest @ ..]) => substr(text, rest)?,
        (SplitPart, [Str(text), Str(separator), n]) => split_part(text, separator, n.as_integer()?)?,
        (StartsWith, [Str(text), Str(prefix)]) => Value::Bool(text.starts_with(&**prefix)),
        (Contains, [Str(text), Str(part)]) => Value::Bool(text.contains(&**part)),

        (Abs, [F64(x)]) => F64(x.abs()),
        (Abs, [Value::Duration(x)]) => Value::Duration(x.checked_abs()?),
        (Abs, [I64(x)]) => I64(x.checked_abs()?),
        (Abs, [x @ Value::U64(_)]) => x.clone(),

        // Integers are whole already, and larger ones than a double holds exactly must not become doubles.
        (Floor | Ceil | Round, [x]) if x.as_integer().is_some() => x.clone(),
        (Floor, [F64(x)]) => Value::double(x.floor()),
        (Ceil, [F64(x)]) => Value::double(x.ceil()),
        (Round, [F64(x)]) => Value::double(x.round()),

        (Ln, [x]) => Value::double(x.as_f64()?.ln()),
        (Log2, [x]) => Value::double(x.as_f64()?.log2()),
        (Pow, [x, y]) => Value::double(x.as_f64()?.powf(y.as_f64()?)),

        (Bucket, [x, width]) => bucket(x, width, errors),
        (Truncate, [Value::Timestamp(ns), Str(unit)]) => Value::Timestamp(truncate(*ns, unit)?),
        (WidthBucket, [x, least, most, count]) => I64(width_bucket(x, [least, most], count.as_integer()?)?),

        _ => return None,
    })
}

/// Returns the characters from a position on, counted from 1; at most so many if there is a second number. As in
/// PostgreSQL, positions before the first character count, and hold nothing; a negative length is an error.
fn substr(text: &str, rest: &[Value]) -> Option<Value> {
    let start = rest.first()?.as_integer()?;
    let skipped = usize::try_from(start.max(1) - 1).unwrap_or(usize::MAX);

    let length = match rest.get(1) {
        Some(length) => {
            let length = length.as_integer().filter(|length| *length >= 0)?;
            let end = start.saturating_add(length);
            usize::try_from((end - start.max(1)).max(0)).unwrap_or(usize::MAX)
        }
        None => usize::MAX,
    };
    Some(Value::str(text.chars().skip(skipped).take(length).collect::<String>()))
}

/// Returns the n-th part between separators, counted from 1, or from the end if `n` is negative; empty where there
/// is none. As in PostgreSQL nothing separates at an empty separator, and there is no part 0.
fn split_part(text: &str, separator: &str, n: i128) -> Option<Value> {
    let index = usize::try_from(n.unsigned_abs()).unwrap_or(usize::MAX).checked_sub(1)?;
    let part = match (separator, n > 0) {
        ("", _) => (index == 0).then_some(text),
        (_, true) => text.split(separator).nth(index),
        (_, false) => text.rsplit(separator).nth(index),
    };
    Some(Value::str(part.unwrap_or("")))
}

/// Returns the start of the unit that a time lies in, in UTC.
pub(super) fn truncate(ns: i64, unit: &str) -> Option<i64> {
    const SECOND: i64 = 1_000_000_000;
    const DAY: i64 = 86_400 * SECOND;

    // Weeks begin on Monday, and the epoch was a Thursday.
    let (length, offset) = match unit.to_ascii_lowercase().as_str() {
        "second" => (SECOND, 0),
        "minute" => (60 * SECOND, 0),
        "hour" => (3_600 * SECOND, 0),
        "day" => (DAY, 0),
        "week" => (7 * DAY, 3 * DAY),
        _ => return None,
    };

    let into = i128::from(ns) + i128::from(offset);
    narrow(i128::from(ns) - into.rem_euclid(i128::from(length)))
}

/// Returns the number of the bucket that a number lies in, of `count` buckets of one width between two
/// bounds: from 1 on, 0 below the first bucket and `count + 1` above the last.
pub(super) fn width_bucket(x: &Value, [least, most]: [&Value; 2], count: i128) -> Option<i64> {
    let (x, least, most) = (measure(x)?, measure(least)?, measure(most)?);
    let count = i64::try_from(count).ok().filter(|count| *count > 0)?;
    if x.is_nan() || least >= most || !(most - least).is_finite() {
        return None;
    }

    if x < least {
        return Some(0);
    }
    if x >= most {
        return count.checked_add(1);
    }
    Some(bucket_between(x, least, most, count) + 1)
}

/// Returns a number or a duration as a double.
fn measure(value: &Value) -> Option<f64> {
    match value {
        Value::Duration(ns) => Some(*ns as f64),
        other => other.as_f64(),
    }
}

/// Returns the largest multiple of `width` that is not above `x`: `x - x mod width`, with a remainder that is
/// never negative.
pub(super) fn bucket(x: &Value, width: &Value, errors: &mut EvalErrors) -> Value {
    let result = match (x, width) {
        (Value::Timestamp(x), Value::Duration(w)) => multiple_below(*x, *w).map(Value::Timestamp),
        (Value::Duration(x), Value::Duration(w)) => multiple_below(*x, *w).map(Value::Duration),

        (Value::U64(x), w) => match w.as_integer().map(u64::try_from) {
            Some(Ok(w @ 1..)) => Some(Value::U64(x - x % w)),
            _ => None,
        },
        (Value::I64(x), w) => {
            w.as_integer().and_then(narrow).and_then(|w| multiple_below(*x, w)).map(Value::I64)
        }

        (Value::F64(x), w) => w.as_f64().filter(|w| *w > 0.0).map(|w| double_below(*x, w)),
        _ => None,
    };
    result.unwrap_or_else(|| errors.null())
}

/// Returns the largest multiple of a positive width that is not above `x`, as a decimal number.
fn double_below(x: f64, width: f64) -> Value {
    Value::double(match bucket_number(x, width) {
        Some(number) => bucket_edge(0.0, width, number),
        None => (x / width).floor() * width,
    })
}

/// Returns the largest multiple of a positive width that is not above `x`, if 64 bits hold it.
fn multiple_below(x: i64, width: i64) -> Option<i64> {
    if width <= 0 {
        return None;
    }
    x.checked_sub(x.rem_euclid(width))
}
