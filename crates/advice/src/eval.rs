//! Evaluation of expressions. It cannot fail: what has no value is null, and is counted.
//!
//! Integer arithmetic is computed in 128 bits and checked against its result type: `u64 - u64` and
//! mixed operands give `i64`, two `u64` under any other operator give `u64`.

use crate::duration_text;
use crate::error::EvalErrors;
use crate::expr::{Binary, Expr, Function, Unary};
use crate::kleene::Connective;
use crate::stable_hash::stable_hash;
use crate::value::{Type, Value, nearest_integer};
use std::cmp::Ordering;

impl Expr {
    /// The value of this expression over the columns of a row; a column that is not there is null.
    pub fn eval(&self, row: &[Value], errors: &mut EvalErrors) -> Value {
        match self {
            Expr::Column(index) => row.get(usize::from(*index)).cloned().unwrap_or_default(),
            Expr::Literal(value) => value.clone(),
            Expr::Unary(op, x) => unary(*op, x.eval(row, errors), errors),
            Expr::Binary(Binary::And, x, y) => connective(Connective::And, x, y, row, errors),
            Expr::Binary(Binary::Or, x, y) => connective(Connective::Or, x, y, row, errors),
            Expr::Binary(op, x, y) => binary(*op, &x.eval(row, errors), &y.eval(row, errors), errors),
            Expr::Call(function, arguments) => call(*function, arguments, row, errors),
            Expr::Case(arms, otherwise) => {
                let chosen = arms.iter().find(|(when, _)| when.holds(row, errors)).map(|(_, then)| then);
                chosen.or(otherwise.as_deref()).map_or(Value::Null, |then| then.eval(row, errors))
            }
            Expr::In(x, list) => is_in(&x.eval(row, errors), list, row, errors),
            Expr::Matches(x, pattern) => match x.eval(row, errors) {
                Value::Null => Value::Null,
                Value::Str(text) => Value::Bool(pattern.matches(&text)),
                _ => errors.null(),
            },
            Expr::Extract(x, pattern, group) => match x.eval(row, errors) {
                Value::Null => Value::Null,
                Value::Str(text) => pattern.extract(&text, *group).map_or(Value::Null, Value::str),
                _ => errors.null(),
            },
            Expr::Cast(x, ty) => cast(x.eval(row, errors), *ty, errors),
        }
    }

    /// Whether this condition is true; unknown is not.
    pub fn holds(&self, row: &[Value], errors: &mut EvalErrors) -> bool {
        matches!(self.eval(row, errors), Value::Bool(true))
    }
}

/// Evaluates `AND` or `OR`; the right operand only if the left one leaves the result open.
fn connective(op: Connective, x: &Expr, y: &Expr, row: &[Value], errors: &mut EvalErrors) -> Value {
    let left = truth(x.eval(row, errors), errors);
    let result = op.combine(left, || truth(y.eval(row, errors), errors));
    result.map_or(Value::Null, Value::Bool)
}

fn truth(value: Value, errors: &mut EvalErrors) -> Option<bool> {
    match value {
        Value::Bool(x) => Some(x),
        Value::Null => None,
        _ => {
            errors.0 += 1;
            None
        }
    }
}

/// An operator with one operand.
pub fn unary(op: Unary, x: Value, errors: &mut EvalErrors) -> Value {
    match (op, x) {
        (Unary::IsNull, x) => Value::Bool(x.is_null()),
        (_, Value::Null) => Value::Null,
        (Unary::Not, Value::Bool(x)) => Value::Bool(!x),
        (Unary::Negate, Value::F64(x)) => Value::double(-x),
        (Unary::Negate, Value::Duration(x)) => x.checked_neg().map_or_else(|| errors.null(), Value::Duration),
        (Unary::Negate, x) => match x.as_integer() {
            Some(x) => signed(-x, errors),
            None => errors.null(),
        },
        (Unary::Not, _) => errors.null(),
    }
}

/// Any binary operator but AND and OR.
pub fn binary(op: Binary, x: &Value, y: &Value, errors: &mut EvalErrors) -> Value {
    use Binary::*;
    if x.is_null() || y.is_null() {
        return Value::Null;
    }
    match op {
        Add | Subtract | Multiply | Divide | Remainder => arithmetic(op, x, y, errors),
        Concat => Value::str(format!("{x}{y}")),
        _ => match compare(x, y) {
            Some(order) => Value::Bool(ordered(op, order).unwrap_or(false)),
            None if is_nan(x) || is_nan(y) => Value::Bool(op == NotEqual),
            None => errors.null(),
        },
    }
}

/// What a comparison says of two operands in that order; none if the operator compares nothing.
pub fn ordered(op: Binary, order: Ordering) -> Option<bool> {
    Some(match op {
        Binary::Equal => order.is_eq(),
        Binary::NotEqual => order.is_ne(),
        Binary::Less => order.is_lt(),
        Binary::LessEqual => order.is_le(),
        Binary::Greater => order.is_gt(),
        Binary::GreaterEqual => order.is_ge(),
        _ => return None,
    })
}

fn is_nan(x: &Value) -> bool {
    matches!(x, Value::F64(x) if x.is_nan())
}

/// The order of two values that can be compared: numbers by number, otherwise within one type.
pub(crate) fn compare(x: &Value, y: &Value) -> Option<Ordering> {
    if let (Some(a), Some(b)) = (x.as_integer(), y.as_integer()) {
        return Some(a.cmp(&b));
    }
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

fn arithmetic(op: Binary, x: &Value, y: &Value, errors: &mut EvalErrors) -> Value {
    if let (Some(a), Some(b)) = (x.as_integer(), y.as_integer()) {
        let unsigned = matches!((x, y), (Value::U64(_), Value::U64(_))) && op != Binary::Subtract;
        return match integer(op, a, b) {
            Some(z) if unsigned => u64::try_from(z).map_or_else(|_| errors.null(), Value::U64),
            Some(z) => signed(z, errors),
            None => errors.null(),
        };
    }
    if let (Some(a), Some(b)) = (x.as_f64(), y.as_f64()) {
        return Value::double(double(op, a, b));
    }
    temporal(op, x, y, errors)
}

fn integer(op: Binary, a: i128, b: i128) -> Option<i128> {
    match op {
        Binary::Add => a.checked_add(b),
        Binary::Subtract => a.checked_sub(b),
        Binary::Multiply => a.checked_mul(b),
        Binary::Divide => a.checked_div(b),
        _ => a.checked_rem(b),
    }
}

fn double(op: Binary, a: f64, b: f64) -> f64 {
    match op {
        Binary::Add => a + b,
        Binary::Subtract => a - b,
        Binary::Multiply => a * b,
        Binary::Divide => a / b,
        _ => a % b,
    }
}

fn signed(x: i128, errors: &mut EvalErrors) -> Value {
    i64::try_from(x).map_or_else(|_| errors.null(), Value::I64)
}

/// Arithmetic of timestamps and durations.
fn temporal(op: Binary, x: &Value, y: &Value, errors: &mut EvalErrors) -> Value {
    use Binary::*;
    use Value::{Duration, Timestamp};
    let result = match (op, x, y) {
        (Subtract, Timestamp(a), Timestamp(b)) => a.checked_sub(*b).map(Duration),
        (Add, Timestamp(a), Duration(b)) | (Add, Duration(b), Timestamp(a)) => {
            a.checked_add(*b).map(Timestamp)
        }
        (Subtract, Timestamp(a), Duration(b)) => a.checked_sub(*b).map(Timestamp),
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

fn scale(op: Binary, ns: i64, by: &Value) -> Option<Value> {
    if let Some(by) = by.as_integer() {
        return integer(op, i128::from(ns), by).and_then(narrow).map(Value::Duration);
    }
    let ns = double(op, ns as f64, by.as_f64()?);
    nearest_integer(ns).map(Value::Duration)
}

fn narrow(x: i128) -> Option<i64> {
    i64::try_from(x).ok()
}

fn is_in(x: &Value, list: &[Expr], row: &[Value], errors: &mut EvalErrors) -> Value {
    let mut unknown = x.is_null();
    for item in list {
        match binary(Binary::Equal, x, &item.eval(row, errors), errors) {
            Value::Bool(true) => return Value::Bool(true),
            Value::Bool(false) => {}
            _ => unknown = true,
        }
    }
    if unknown { Value::Null } else { Value::Bool(false) }
}

fn cast(x: Value, ty: Type, errors: &mut EvalErrors) -> Value {
    let result = match (ty, &x) {
        (_, Value::Null) | (Type::Any, _) => return x,
        (Type::String, _) => Some(Value::str(x.to_string())),
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
        (Type::Timestamp, Value::I64(_) | Value::U64(_)) => {
            x.as_integer().and_then(narrow).map(Value::Timestamp)
        }
        _ if x.type_of() == ty => return x,
        _ => None,
    };
    result.unwrap_or_else(|| errors.null())
}

fn cast_integer(x: &Value) -> Option<i128> {
    match x {
        Value::Bool(x) => Some(i128::from(*x)),
        Value::Str(text) => text.trim().parse().ok(),
        Value::F64(x) => nearest_integer(x.trunc()).map(i128::from),
        Value::Timestamp(ns) | Value::Duration(ns) => Some(i128::from(*ns)),
        other => other.as_integer(),
    }
}

fn call(function: Function, arguments: &[Expr], row: &[Value], errors: &mut EvalErrors) -> Value {
    match function {
        Function::Coalesce => {
            let mut values = arguments.iter().map(|argument| argument.eval(row, errors));
            return values.find(|value| !value.is_null()).unwrap_or_default();
        }
        Function::If => {
            let [condition, then, otherwise] = arguments else { return errors.null() };
            let chosen = if condition.holds(row, errors) { then } else { otherwise };
            return chosen.eval(row, errors);
        }
        _ => {}
    }
    let values: Vec<Value> = arguments.iter().map(|argument| argument.eval(row, errors)).collect();
    if function == Function::Hash {
        return Value::U64(stable_hash(&values));
    }
    if function == Function::Size {
        let mut writer = crate::codec::ByteWriter::new();
        values.iter().for_each(|value| writer.value(value));
        return Value::U64(writer.len() as u64);
    }
    if values.iter().any(Value::is_null) {
        return Value::Null;
    }
    strict(function, &values, errors).unwrap_or_else(|| errors.null())
}

/// Functions that are null when an argument is.
fn strict(function: Function, values: &[Value], errors: &mut EvalErrors) -> Option<Value> {
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

fn substr(text: &str, rest: &[Value]) -> Option<Value> {
    let start = usize::try_from(rest.first()?.as_integer()?.max(1) - 1).ok()?;
    let length = match rest.get(1) {
        Some(length) => usize::try_from(length.as_integer()?.max(0)).ok()?,
        None => usize::MAX,
    };
    Some(Value::str(text.chars().skip(start).take(length).collect::<String>()))
}

fn split_part(text: &str, separator: &str, n: i128) -> Option<Value> {
    let index = usize::try_from(n).ok()?.checked_sub(1)?;
    if separator.is_empty() {
        return None;
    }
    Some(Value::str(text.split(separator).nth(index).unwrap_or("")))
}

/// The start of the unit that a time lies in.
fn truncate(ns: i64, unit: &str) -> Option<i64> {
    const SECOND: i64 = 1_000_000_000;
    const DAY: i64 = 86_400 * SECOND;
    // The epoch was a Thursday.
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

/// A number between 0 and count + 1.
fn width_bucket(x: &Value, [least, most]: [&Value; 2], count: i128) -> Option<i64> {
    let double = |value: &Value| match value {
        Value::Duration(ns) => Some(*ns as f64),
        other => other.as_f64(),
    };
    let (x, least, most) = (double(x)?, double(least)?, double(most)?);
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
    let place = (x - least) / ((most - least) / count as f64);
    Some((place.floor() as i64).clamp(0, count - 1) + 1)
}

/// `x - x mod width`, with a remainder that is never negative.
fn bucket(x: &Value, width: &Value, errors: &mut EvalErrors) -> Value {
    let whole =
        |x: i64, width: i64| width.is_positive().then(|| x.checked_sub(x.rem_euclid(width))).flatten();
    let result = match (x, width) {
        (Value::Timestamp(x), Value::Duration(w)) => whole(*x, *w).map(Value::Timestamp),
        (Value::Duration(x), Value::Duration(w)) => whole(*x, *w).map(Value::Duration),
        (Value::U64(x), w) => match w.as_integer().map(u64::try_from) {
            Some(Ok(w @ 1..)) => Some(Value::U64(x - x % w)),
            _ => None,
        },
        (Value::I64(x), w) => w.as_integer().and_then(narrow).and_then(|w| whole(*x, w)).map(Value::I64),
        (Value::F64(x), w) => w.as_f64().filter(|w| *w > 0.0).map(|w| Value::double((x / w).floor() * w)),
        _ => None,
    };
    result.unwrap_or_else(|| errors.null())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(op: Binary, x: Value, y: Value, expected: Value) {
        let mut errors = EvalErrors::default();
        let found =
            Expr::binary(op, Expr::Literal(x.clone()), Expr::Literal(y.clone())).eval(&[], &mut errors);
        assert_eq!(found, expected, "{x:?} {op:?} {y:?}");
        assert_eq!(found.type_of(), expected.type_of(), "{x:?} {op:?} {y:?}");
    }

    #[test]
    fn integer_arithmetic_is_checked() {
        use Value::*;
        check(Binary::Add, I64(i64::MAX), I64(1), Null);
        check(Binary::Add, U64(u64::MAX), U64(1), Null);
        check(Binary::Subtract, U64(3), U64(5), I64(-2));
        check(Binary::Divide, I64(1), I64(0), Null);
        check(Binary::Divide, I64(i64::MIN), I64(-1), Null);
        check(Binary::Divide, U64(7), U64(2), U64(3));
        check(Binary::Multiply, I64(-2), U64(3), I64(-6));
    }

    #[test]
    fn times_have_their_own_arithmetic() {
        use Value::*;
        check(Binary::Subtract, Timestamp(9), Timestamp(4), Duration(5));
        check(Binary::Add, Timestamp(9), Duration(4), Timestamp(13));
        check(Binary::Divide, Duration(9), I64(2), Duration(4));
        check(Binary::Divide, Duration(9), Duration(2), F64(4.5));
        check(Binary::Multiply, F64(0.5), Duration(8), Duration(4));
        check(Binary::Add, Timestamp(9), Timestamp(4), Null);
    }

    #[test]
    fn comparison_with_null_is_unknown() {
        check(Binary::Equal, Value::Null, Value::Null, Value::Null);
        check(Binary::And, Value::Null, Value::Bool(false), Value::Bool(false));
        check(Binary::Or, Value::Null, Value::Bool(false), Value::Null);
    }

    #[test]
    fn numbers_compare_across_types() {
        use Value::*;
        check(Binary::Less, I64(-1), U64(u64::MAX), Bool(true));
        check(Binary::Equal, F64(2.0), U64(2), Bool(true));
        check(Binary::NotEqual, F64(f64::NAN), F64(f64::NAN), Bool(true));
    }

    #[test]
    fn a_computed_zero_has_no_sign() {
        let shown = |expr: Expr| expr.eval(&[], &mut EvalErrors::default()).to_string();
        let literal = |x: f64| Box::new(Expr::Literal(Value::F64(x)));
        assert_eq!(shown(Expr::Unary(Unary::Negate, literal(0.0))), "0.0");
        assert_eq!(shown(Expr::Binary(Binary::Multiply, literal(-1.0), literal(0.0))), "0.0");
        assert_eq!(shown(Expr::Call(Function::Ceil, vec![*literal(-0.25)])), "0.0");
        let text = Box::new(Expr::Literal(Value::str("-0.0")));
        assert_eq!(shown(Expr::Cast(text, Type::F64)), "0.0");
    }

    #[test]
    fn values_that_do_not_fit_are_null_and_counted() {
        let mut errors = EvalErrors::default();
        let casted = Expr::Cast(Box::new(Expr::Literal(Value::str("x"))), Type::I64).eval(&[], &mut errors);
        assert_eq!((casted, errors.0), (Value::Null, 1));
        check(Binary::Less, Value::str("a"), Value::I64(1), Value::Null);
    }

    #[test]
    fn units_of_time_begin_where_the_calendar_says() {
        // 2026-11-25 19:27:54.5 UTC, a Wednesday.
        let at = 1_795_634_874_500_000_000;
        let since = |unit| truncate(at, unit).map(|start| (at - start) / 1_000_000);
        assert_eq!(since("second"), Some(500));
        assert_eq!(since("minute"), Some(54_500));
        assert_eq!(since("DAY"), Some(((19 * 60 + 27) * 60 + 54) * 1_000 + 500));
        assert_eq!(since("week"), Some((((48 + 19) * 60 + 27) * 60 + 54) * 1_000 + 500));
        assert_eq!((since("year"), truncate(-1, "second")), (None, Some(-1_000_000_000)));
    }

    #[test]
    fn values_outside_all_buckets_have_buckets_of_their_own() {
        let place = |x: f64| width_bucket(&Value::F64(x), [&Value::I64(0), &Value::I64(100)], 10);
        assert_eq!([-1.0, 0.0, 9.9, 10.0, 99.9, 100.0].map(place), [0, 1, 1, 2, 10, 11].map(Some));
        assert_eq!(width_bucket(&Value::I64(1), [&Value::I64(5), &Value::I64(5)], 10), None);
    }

    #[test]
    fn a_size_is_what_the_values_take_in_baggage() {
        let literal = |value: Value| Expr::Literal(value);
        let size = Expr::Call(Function::Size, vec![literal(Value::str("abc")), literal(Value::Null)]);
        assert_eq!(size.eval(&[], &mut EvalErrors::default()), Value::U64(6));
    }

    #[test]
    fn a_bucket_is_never_above_its_value() {
        let mut errors = EvalErrors::default();
        let found = bucket(&Value::I64(-1), &Value::I64(10), &mut errors);
        assert_eq!(found, Value::I64(-10));
        assert_eq!(bucket(&Value::U64(25), &Value::I64(10), &mut errors), Value::U64(20));
        assert_eq!(bucket(&Value::U64(25), &Value::I64(0), &mut errors), Value::Null);
        assert_eq!(errors.0, 1);
    }
}
