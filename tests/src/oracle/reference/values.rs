//! How values compare and compute, from the language alone: `Value` is taken as plain data.

use crate::oracle::language::calendar;
use crate::oracle::language::query::BinaryOp;
use pivot_advice::{Type, Value};
use std::cell::Cell;
use std::cmp::Ordering;

thread_local! {
    static ERRORS: Cell<u64> = const { Cell::new(0) };
}

/// Runs a computation and counts how often something in it had no value although its operands had.
pub(crate) fn counting_errors<T>(compute: impl FnOnce() -> T) -> (T, u64) {
    let before = ERRORS.get();
    let value = compute();
    (value, ERRORS.get() - before)
}

/// Null, where there should have been a value.
pub(crate) fn failed() -> Value {
    ERRORS.set(ERRORS.get() + 1);
    Value::Null
}

/// Any integer.
pub(crate) fn integer(x: &Value) -> Option<i128> {
    match x {
        Value::I64(x) => Some(i128::from(*x)),
        Value::U64(x) => Some(i128::from(*x)),
        _ => None,
    }
}

/// Any number as a double.
pub(crate) fn double(x: &Value) -> Option<f64> {
    match x {
        Value::F64(x) => Some(*x),
        other => integer(other).map(|x| x as f64),
    }
}

/// The order of two values as operators see it: numbers by number, others within their type.
pub(crate) fn compare(x: &Value, y: &Value) -> Option<Ordering> {
    match (x, y) {
        (Value::F64(x), Value::F64(y)) => x.partial_cmp(y),
        // An integer is not made a double, which would round it.
        (Value::F64(x), y) => integer(y).and_then(|y| against_double(y, *x)).map(Ordering::reverse),
        (x, Value::F64(y)) => integer(x).and_then(|x| against_double(x, *y)),
        _ if integer(x).is_some() && integer(y).is_some() => Some(integer(x).cmp(&integer(y))),

        (Value::Bool(x), Value::Bool(y)) => Some(x.cmp(y)),
        (Value::Str(x), Value::Str(y)) => Some(x.cmp(y)),
        (Value::Bytes(x), Value::Bytes(y)) => Some(x.cmp(y)),
        (Value::Timestamp(x), Value::Timestamp(y)) | (Value::Duration(x), Value::Duration(y)) => {
            Some(x.cmp(y))
        }
        (Value::List(_), Value::List(_)) => Some(order(x, y)),
        _ => None,
    }
}

/// An integer against a double, exactly.
fn against_double(x: i128, y: f64) -> Option<Ordering> {
    if y.is_nan() {
        return None;
    }
    // Beyond all integers the conversion stays beyond them.
    let whole = y.floor() as i128;
    Some(x.cmp(&whole).then(if y > y.floor() { Ordering::Less } else { Ordering::Equal }))
}

/// The order in which values are sorted: null first, then by kind, a NaN after all numbers, an integer
/// before the double that is the same number.
pub(crate) fn order(x: &Value, y: &Value) -> Ordering {
    let kind = |value: &Value| match value {
        Value::Null => 0,
        Value::Bool(_) => 1,
        Value::I64(_) | Value::U64(_) | Value::F64(_) => 2,
        Value::Str(_) => 3,
        Value::Bytes(_) => 4,
        Value::Timestamp(_) => 5,
        Value::Duration(_) => 6,
        Value::List(_) => 7,
    };

    if let (Value::List(x), Value::List(y)) = (x, y) {
        let differing = x.iter().zip(y.iter()).map(|(x, y)| order(x, y)).find(|order| order.is_ne());
        return differing.unwrap_or(x.len().cmp(&y.len()));
    }

    let by_kind = kind(x).cmp(&kind(y));
    // What cannot be compared is a NaN, which comes last.
    let by_value = by_kind.then_with(|| compare(x, y).unwrap_or_else(|| is_nan(x).cmp(&is_nan(y))));
    by_value.then(matches!(x, Value::F64(_)).cmp(&matches!(y, Value::F64(_))))
}

fn is_nan(x: &Value) -> bool {
    matches!(x, Value::F64(x) if x.is_nan())
}

/// Whether two values are one group: a double is never one with an integer.
pub(crate) fn same(x: &Value, y: &Value) -> bool {
    order(x, y).is_eq()
}

/// Whether rows are one group.
pub(crate) fn same_all(x: &[Value], y: &[Value]) -> bool {
    x.iter().zip(y).all(|(x, y)| same(x, y))
}

/// Any operator but AND and OR. What has no value is null.
pub(crate) fn binary(op: BinaryOp, x: &Value, y: &Value) -> Value {
    if *x == Value::Null || *y == Value::Null {
        return Value::Null;
    }

    match op {
        BinaryOp::Concat => Value::str(format!("{}{}", text(x), text(y))),
        BinaryOp::Add | BinaryOp::Subtract | BinaryOp::Multiply | BinaryOp::Divide | BinaryOp::Remainder => {
            arithmetic(op, x, y).unwrap_or_else(failed)
        }
        BinaryOp::NotEqual if is_nan(x) || is_nan(y) => Value::Bool(true),
        _ if is_nan(x) || is_nan(y) => Value::Bool(false),
        _ => compare(x, y).map_or_else(failed, |order| {
            Value::Bool(match op {
                BinaryOp::Equal => order.is_eq(),
                BinaryOp::NotEqual => order.is_ne(),
                BinaryOp::Less => order.is_lt(),
                BinaryOp::LessEqual => order.is_le(),
                BinaryOp::Greater => order.is_gt(),
                _ => order.is_ge(),
            })
        }),
    }
}

fn arithmetic(op: BinaryOp, x: &Value, y: &Value) -> Option<Value> {
    use Value::{Duration, F64, Timestamp};

    match (x, y) {
        (Timestamp(x), Timestamp(y)) if op == BinaryOp::Subtract => x.checked_sub(*y).map(Duration),
        (Timestamp(x), Duration(y)) if op == BinaryOp::Add => x.checked_add(*y).map(Timestamp),
        (Timestamp(x), Duration(y)) if op == BinaryOp::Subtract => x.checked_sub(*y).map(Timestamp),
        (Duration(x), Timestamp(y)) if op == BinaryOp::Add => x.checked_add(*y).map(Timestamp),
        (Duration(x), Duration(y)) => match op {
            BinaryOp::Multiply => None,
            BinaryOp::Divide => (*y != 0).then(|| F64(0.0 + *x as f64 / *y as f64)),
            _ => whole(op, i128::from(*x), i128::from(*y)).and_then(narrow).map(Duration),
        },
        (Duration(ns), by) if op == BinaryOp::Multiply || op == BinaryOp::Divide => scaled(op, *ns, by),
        (by, Duration(ns)) if op == BinaryOp::Multiply => scaled(op, *ns, by),
        _ => numbers(op, x, y),
    }
}

fn numbers(op: BinaryOp, x: &Value, y: &Value) -> Option<Value> {
    if let (Some(a), Some(b)) = (integer(x), integer(y)) {
        let result = whole(op, a, b)?;
        let both = matches!((x, y), (Value::U64(_), Value::U64(_)));
        return match both && op != BinaryOp::Subtract {
            true => u64::try_from(result).ok().map(Value::U64),
            false => narrow(result).map(Value::I64),
        };
    }
    let (x, y) = (double(x)?, double(y)?);
    Some(Value::F64(fraction(op, x, y)))
}

fn whole(op: BinaryOp, x: i128, y: i128) -> Option<i128> {
    match op {
        BinaryOp::Add => Some(x + y),
        BinaryOp::Subtract => Some(x - y),
        BinaryOp::Multiply => x.checked_mul(y),
        BinaryOp::Divide if y == 0 => None,
        BinaryOp::Divide => Some(x / y),
        _ if y == 0 => None,
        _ => Some(x % y),
    }
}

/// Zero has no sign.
fn fraction(op: BinaryOp, x: f64, y: f64) -> f64 {
    0.0 + match op {
        BinaryOp::Add => x + y,
        BinaryOp::Subtract => x - y,
        BinaryOp::Multiply => x * y,
        BinaryOp::Divide => x / y,
        _ => x % y,
    }
}

/// A duration times or through a number, to the nearest nanosecond if that is a double.
fn scaled(op: BinaryOp, ns: i64, by: &Value) -> Option<Value> {
    match integer(by) {
        Some(by) => whole(op, i128::from(ns), by).and_then(narrow).map(Value::Duration),
        None => nearest(fraction(op, ns as f64, double(by)?)).map(Value::Duration),
    }
}

/// The nearest integer, halves away from zero.
pub(crate) fn nearest(x: f64) -> Option<i64> {
    let x = x.round();
    let inside = x >= i64::MIN as f64 && x < -(i64::MIN as f64);
    inside.then_some(x as i64)
}

pub(crate) fn narrow(x: i128) -> Option<i64> {
    i64::try_from(x).ok()
}

pub(crate) fn negated(x: &Value) -> Value {
    let result = match x {
        Value::Null => return Value::Null,
        Value::F64(x) => Some(Value::F64(0.0 - x)),
        Value::Duration(x) => x.checked_neg().map(Value::Duration),
        other => integer(other).and_then(|x| narrow(-x)).map(Value::I64),
    };
    result.unwrap_or_else(failed)
}

/// How a value reads inside a text.
pub(crate) fn text(x: &Value) -> String {
    match x {
        Value::Bool(x) => x.to_string(),
        Value::F64(x) => format!("{x:?}"),
        Value::Str(x) => x.to_string(),
        other => integer(other).map_or_else(|| other.to_string(), |x| x.to_string()),
    }
}

/// `CAST(x AS ty)`; null if x has no such value.
pub(crate) fn cast(x: &Value, ty: Type) -> Value {
    let number = match x {
        Value::Bool(x) => Some(i128::from(*x)),
        Value::Str(text) => text.trim().parse().ok(),
        Value::Timestamp(ns) | Value::Duration(ns) => Some(i128::from(*ns)),
        Value::F64(x) => nearest(x.trunc()).map(i128::from),
        other => integer(other),
    };

    let result = match (ty, x) {
        (_, Value::Null) => return Value::Null,
        (Type::String, x) => Some(Value::str(text(x))),
        (Type::I64, _) => number.and_then(narrow).map(Value::I64),
        (Type::U64, _) => number.and_then(|x| u64::try_from(x).ok()).map(Value::U64),
        (Type::F64, Value::Str(text)) => text.trim().parse().ok().map(|x: f64| Value::F64(0.0 + x)),
        (Type::F64, Value::Duration(ns)) => Some(Value::F64(*ns as f64)),
        (Type::F64, x) => double(x).map(Value::F64),
        (Type::Bool, Value::Bool(x)) => Some(Value::Bool(*x)),
        (Type::Bool, Value::Str(text)) => text.trim().parse().ok().map(Value::Bool),
        (Type::Duration, Value::Duration(ns)) => Some(Value::Duration(*ns)),
        (Type::Duration, x) => integer(x).and_then(narrow).map(Value::Duration),
        (Type::Timestamp, Value::Timestamp(ns)) => Some(Value::Timestamp(*ns)),
        (Type::Timestamp, Value::Str(text)) => calendar::read(text).map(Value::Timestamp),
        (Type::Timestamp, x) => integer(x).and_then(narrow).map(Value::Timestamp),
        _ => None,
    };

    result.unwrap_or_else(failed)
}
