//! Unary and binary operators on values.
//!
//! Integer arithmetic is computed in 128 bits and checked against its result type: `u64 - u64` and mixed
//! operands give `i64`, two `u64` under any other operator give `u64`.

use crate::error::EvalErrors;
use crate::expr::{BinaryOperator, UnaryOperator};
use crate::value::{Value, nearest_integer};
use std::cmp::Ordering;

/// Applies an operator with one operand.
pub fn unary(op: UnaryOperator, x: Value, errors: &mut EvalErrors) -> Value {
    match (op, x) {
        (UnaryOperator::IsNull, x) => Value::Bool(x.is_null()),
        (_, Value::Null) => Value::Null,

        (UnaryOperator::Not, Value::Bool(x)) => Value::Bool(!x),
        (UnaryOperator::Negate, Value::F64(x)) => Value::double(-x),
        (UnaryOperator::Negate, Value::Duration(x)) => {
            x.checked_neg().map_or_else(|| errors.null(), Value::Duration)
        }
        // 128 bits hold the negation of every integer, which then may be too small for 64.
        (UnaryOperator::Negate, x) => match x.as_integer() {
            Some(x) => signed(-x, errors),
            None => errors.null(),
        },
        (UnaryOperator::Not, _) => errors.null(),
    }
}

/// Applies a binary operator, any but AND and OR.
pub fn binary(op: BinaryOperator, x: &Value, y: &Value, errors: &mut EvalErrors) -> Value {
    use BinaryOperator::*;
    if x.is_null() || y.is_null() {
        return Value::Null;
    }

    match op {
        Add | Subtract | Multiply | Divide | Remainder => arithmetic(op, x, y, errors),
        Concat => Value::str(format!("{x}{y}")),
        _ => match compare(x, y) {
            Some(order) => Value::Bool(ordered(op, order).unwrap_or(false)),
            // A NaN differs from every number, and is neither above nor below any.
            None if is_nan(x) || is_nan(y) => Value::Bool(op == NotEqual),
            None => errors.null(),
        },
    }
}

/// Returns the result of a comparison of two operands that are in this order, or `None` if the operator is no
/// comparison.
pub fn ordered(op: BinaryOperator, order: Ordering) -> Option<bool> {
    Some(match op {
        BinaryOperator::Equal => order.is_eq(),
        BinaryOperator::NotEqual => order.is_ne(),
        BinaryOperator::Less => order.is_lt(),
        BinaryOperator::LessEqual => order.is_le(),
        BinaryOperator::Greater => order.is_gt(),
        BinaryOperator::GreaterEqual => order.is_ge(),
        _ => return None,
    })
}

fn is_nan(x: &Value) -> bool {
    matches!(x, Value::F64(x) if x.is_nan())
}

/// Returns the order of two values, or `None` if they cannot be compared: numbers compare by number whatever
/// their types, other values only within one type.
fn compare(x: &Value, y: &Value) -> Option<Ordering> {
    if let (Some(a), Some(b)) = (x.as_integer(), y.as_integer()) {
        return Some(a.cmp(&b));
    }
    // The total order of values has a place for NaN, which comparisons in a query do not.
    if is_nan(x) || is_nan(y) {
        return None;
    }

    let numbers = x.type_of().is_number() && y.type_of().is_number();
    if numbers {
        return Some(x.total_cmp(y));
    }
    let one_type = std::mem::discriminant(x) == std::mem::discriminant(y);
    one_type.then(|| x.total_cmp(y))
}

/// Adds, subtracts, multiplies, divides or takes a remainder.
fn arithmetic(op: BinaryOperator, x: &Value, y: &Value, errors: &mut EvalErrors) -> Value {
    if let (Some(a), Some(b)) = (x.as_integer(), y.as_integer()) {
        let unsigned = matches!((x, y), (Value::U64(_), Value::U64(_))) && op != BinaryOperator::Subtract;
        return match integer(op, a, b) {
            Some(z) if unsigned => u64::try_from(z).map_or_else(|_| errors.null(), Value::U64),
            Some(z) => signed(z, errors),
            None => errors.null(),
        };
    }

    // One operand at least is a double, so both are taken as doubles.
    if let (Some(a), Some(b)) = (x.as_f64(), y.as_f64()) {
        return Value::double(double(op, a, b));
    }
    temporal(op, x, y, errors)
}

fn integer(op: BinaryOperator, a: i128, b: i128) -> Option<i128> {
    match op {
        BinaryOperator::Add => a.checked_add(b),
        BinaryOperator::Subtract => a.checked_sub(b),
        BinaryOperator::Multiply => a.checked_mul(b),
        BinaryOperator::Divide => a.checked_div(b),
        _ => a.checked_rem(b),
    }
}

fn double(op: BinaryOperator, a: f64, b: f64) -> f64 {
    match op {
        BinaryOperator::Add => a + b,
        BinaryOperator::Subtract => a - b,
        BinaryOperator::Multiply => a * b,
        BinaryOperator::Divide => a / b,
        _ => a % b,
    }
}

fn signed(x: i128, errors: &mut EvalErrors) -> Value {
    i64::try_from(x).map_or_else(|_| errors.null(), Value::I64)
}

/// Computes with timestamps and durations.
fn temporal(op: BinaryOperator, x: &Value, y: &Value, errors: &mut EvalErrors) -> Value {
    use BinaryOperator::*;
    use Value::{Duration, Timestamp};
    let result = match (op, x, y) {
        (Subtract, Timestamp(a), Timestamp(b)) => a.checked_sub(*b).map(Duration),
        (Add, Timestamp(a), Duration(b)) | (Add, Duration(b), Timestamp(a)) => {
            a.checked_add(*b).map(Timestamp)
        }
        (Subtract, Timestamp(a), Duration(b)) => a.checked_sub(*b).map(Timestamp),

        // The quotient of two durations is a number; one that would be infinite is none.
        (Divide, Duration(_), Duration(0)) => None,
        (Divide, Duration(a), Duration(b)) => Some(Value::double(*a as f64 / *b as f64)),
        (Add | Subtract | Remainder, Duration(a), Duration(b)) => {
            integer(op, i128::from(*a), i128::from(*b)).and_then(narrow).map(Duration)
        }

        (Multiply | Divide, Duration(a), b) => scale(op, *a, b),
        (Multiply, a, Duration(b)) => scale(op, *b, a),
        _ => None,
    };
    result.unwrap_or_else(|| errors.null())
}

/// Multiplies or divides a duration by a number.
fn scale(op: BinaryOperator, ns: i64, by: &Value) -> Option<Value> {
    if let Some(by) = by.as_integer() {
        return integer(op, i128::from(ns), by).and_then(narrow).map(Value::Duration);
    }
    let ns = double(op, ns as f64, by.as_f64()?);
    nearest_integer(ns).map(Value::Duration)
}

pub(super) fn narrow(x: i128) -> Option<i64> {
    i64::try_from(x).ok()
}
