//! The value of an expression. Nothing fails: what has no value is null.

use crate::oracle::language::query::{BinaryOp, OperatorNegation, QueryExpr, ScalarFunction};
use crate::oracle::language::regex::Regex;
use crate::oracle::reference::values::{
    binary, cast, compare, double, failed, integer, narrow, negated, order,
};
use pivot_advice::Value;

/// The values that the names in an expression stand for.
pub(crate) trait NameValues {
    /// `alias.field`
    fn column(&self, alias: &str, field: &str) -> Value;
    /// A name alone.
    fn name(&self, name: &str) -> Value;
    /// An aggregate, COUNT or RATE.
    fn aggregate(&self, expr: &QueryExpr) -> Value;
    /// A column of the result, by its number from 1.
    fn place(&self, number: usize) -> Value;
}

/// Returns the value of an expression.
pub(crate) fn value(expr: &QueryExpr, names: &dyn NameValues) -> Value {
    let of = |expr: &QueryExpr| value(expr, names);

    match expr {
        QueryExpr::Literal(value) | QueryExpr::Param(_, value) => value.clone(),
        QueryExpr::Column(alias, field) => names.column(alias, field),
        QueryExpr::Name(name) => names.name(name),
        QueryExpr::Place(number) => names.place(*number),
        QueryExpr::CountRows | QueryExpr::Aggregate(..) | QueryExpr::Rate(_) => names.aggregate(expr),

        // Logic of three values: a null operand is unknown, and the other may still decide.
        QueryExpr::Not(x) => inverse(truth(&of(x))),
        QueryExpr::Negate(x) => negated(&of(x)),
        QueryExpr::Binary(BinaryOp::And, x, y) => both(truth(&of(x)), || truth(&of(y))),
        QueryExpr::Binary(BinaryOp::Or, x, y) => either(truth(&of(x)), || truth(&of(y))),

        QueryExpr::Binary(op, x, y) => binary(*op, &of(x), &of(y)),
        QueryExpr::In(negated, x, items) => perhaps_not(*negated, is_in(&of(x), items, names)),
        QueryExpr::Between(negated, x, low, high) => {
            let x = of(x);
            let above = truth(&binary(BinaryOp::GreaterEqual, &x, &of(low)));
            let below = || truth(&binary(BinaryOp::LessEqual, &x, &of(high)));
            perhaps_not(*negated, truth(&both(above, below)))
        }

        QueryExpr::Like(negated, x, pattern) => {
            let pattern: Vec<char> = pattern.chars().collect();
            let matched = text_of(&of(x)).map(|text| is_like(&pattern, &text.chars().collect::<Vec<_>>()));
            perhaps_not(*negated, matched)
        }
        QueryExpr::Regex(negated, x, regex) => {
            perhaps_not(*negated, text_of(&of(x)).map(|text| regex.find(&text).is_some()))
        }
        QueryExpr::Extract(x, regex, group) => extracted(&of(x), regex, *group),
        QueryExpr::IsNull(negated, x) => perhaps_not(*negated, Some(of(x) == Value::Null)),

        // What is not chosen is not evaluated, and so cannot fail.
        QueryExpr::Case { operand, arms, otherwise } => {
            let chosen = chosen_arm(operand.as_deref(), arms, names).or(otherwise.as_deref());
            chosen.map_or(Value::Null, of)
        }
        QueryExpr::Cast(x, ty) => cast(&of(x), *ty),
        QueryExpr::Call(ScalarFunction::Coalesce, arguments) => {
            arguments.iter().map(of).find(|value| *value != Value::Null).unwrap_or(Value::Null)
        }
        QueryExpr::Call(ScalarFunction::If, arguments) => {
            let chosen = if truth(&of(&arguments[0])) == Some(true) { 1 } else { 2 };
            of(&arguments[chosen])
        }

        QueryExpr::Call(function, arguments) => {
            let values: Vec<Value> = arguments.iter().map(of).collect();
            match values.contains(&Value::Null) {
                true => Value::Null,
                false => call(*function, &values).unwrap_or_else(failed),
            }
        }
    }
}

/// Returns `x OR y`, which is `NOT (NOT x AND NOT y)`. The second is evaluated unless the first decides.
fn either(x: Option<bool>, y: impl FnOnce() -> Option<bool>) -> Value {
    inverse(truth(&both(not(x), || not(y()))))
}

/// Returns whether a value is among others: unknown if it is not and one of them is null.
fn is_in(x: &Value, items: &[QueryExpr], names: &dyn NameValues) -> Option<bool> {
    let mut found = Some(false);

    for item in items {
        match truth(&binary(BinaryOp::Equal, x, &value(item, names))) {
            Some(true) => return Some(true),
            None => found = None,
            Some(false) => {}
        }
    }

    found
}

/// Returns the part of a text that a pattern matches: all of it for group 0, otherwise its group if it has one.
fn extracted(x: &Value, regex: &Regex, group: Option<usize>) -> Value {
    let Some(text) = text_of(x) else { return Value::Null };
    let Some(found) = regex.find(&text) else { return Value::Null };

    let part = if group == Some(0) { found.whole } else { found.group.unwrap_or(found.whole) };
    Value::str(text.chars().skip(part.start).take(part.len()).collect::<String>())
}

/// Returns what the first arm of a CASE gives that applies; arms behind it are not evaluated.
fn chosen_arm<'e>(
    operand: Option<&QueryExpr>,
    arms: &'e [(QueryExpr, QueryExpr)],
    names: &dyn NameValues,
) -> Option<&'e QueryExpr> {
    // The operand is evaluated once, whatever the number of arms.
    let operand = operand.map(|operand| value(operand, names));

    let chosen = arms.iter().find(|(when, _)| {
        let when = value(when, names);
        let applies =
            operand.as_ref().map_or_else(|| when.clone(), |operand| binary(BinaryOp::Equal, operand, &when));
        truth(&applies) == Some(true)
    });
    chosen.map(|(_, then)| then)
}

/// Returns whether a condition is true; unknown is not.
pub(crate) fn holds(expr: &QueryExpr, names: &dyn NameValues) -> bool {
    truth(&value(expr, names)) == Some(true)
}

fn truth(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(x) => Some(*x),
        Value::Null => None,
        _ => {
            failed();
            None
        }
    }
}

fn not(x: Option<bool>) -> Option<bool> {
    x.map(|x| !x)
}

fn inverse(x: Option<bool>) -> Value {
    not(x).map_or(Value::Null, Value::Bool)
}

/// The second operand is not looked at where the first decides.
fn both(x: Option<bool>, y: impl FnOnce() -> Option<bool>) -> Value {
    if x == Some(false) {
        return Value::Bool(false);
    }
    match (x, y()) {
        (_, Some(false)) => Value::Bool(false),
        (Some(true), Some(true)) => Value::Bool(true),
        _ => Value::Null,
    }
}

fn perhaps_not(negated: OperatorNegation, x: Option<bool>) -> Value {
    let x = if negated == OperatorNegation::Yes { not(x) } else { x };
    x.map_or(Value::Null, Value::Bool)
}

fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::Str(text) => return Some(text.to_string()),
        Value::Null => {}
        _ => drop(failed()),
    }
    None
}

fn is_like(pattern: &[char], text: &[char]) -> bool {
    match pattern {
        [] => text.is_empty(),
        ['%', rest @ ..] => (0..=text.len()).any(|skip| is_like(rest, &text[skip..])),
        ['\\', escaped, rest @ ..] => text.first() == Some(escaped) && is_like(rest, &text[1..]),
        ['_', rest @ ..] => !text.is_empty() && is_like(rest, &text[1..]),
        [first, rest @ ..] => text.first() == Some(first) && is_like(rest, &text[1..]),
    }
}

/// A function of values that are not null.
fn call(function: ScalarFunction, values: &[Value]) -> Option<Value> {
    use Value::{Bool, Duration, F64, I64, Str, Timestamp, U64};
    let number = |i: usize| values.get(i).and_then(double);
    let length = |length: usize| i64::try_from(length).ok().map(I64);

    match (function, values) {
        (ScalarFunction::Lower, [Str(text)]) => Some(Value::str(text.to_lowercase())),
        (ScalarFunction::Upper, [Str(text)]) => Some(Value::str(text.to_uppercase())),
        (ScalarFunction::Length, [Str(text)]) => length(text.chars().count()),
        (ScalarFunction::Length, [Value::Bytes(bytes)]) => length(bytes.len()),
        (ScalarFunction::Length, [Value::List(items)]) => length(items.len()),
        (ScalarFunction::Substr, [Str(text), rest @ ..]) => substring(text, &rest[0], rest.get(1)),
        (ScalarFunction::SplitPart, [Str(text), Str(separator), n]) => part(text, separator, integer(n)?),
        (ScalarFunction::StartsWith, [Str(text), Str(start)]) => Some(Bool(text.starts_with(&**start))),
        (ScalarFunction::Contains, [Str(text), Str(part)]) => Some(Bool(text.contains(&**part))),
        (ScalarFunction::Abs, [F64(x)]) => Some(F64(x.abs())),
        (ScalarFunction::Abs, [I64(x)]) => x.checked_abs().map(I64),
        (ScalarFunction::Abs, [Duration(x)]) => x.checked_abs().map(Duration),
        (
            ScalarFunction::Abs | ScalarFunction::Floor | ScalarFunction::Ceil | ScalarFunction::Round,
            [x @ (U64(_) | I64(_))],
        ) => Some(x.clone()),
        // Added to 0.0, because results have no negative zero.
        (ScalarFunction::Floor, [F64(x)]) => Some(F64(0.0 + x.floor())),
        (ScalarFunction::Ceil, [F64(x)]) => Some(F64(0.0 + x.ceil())),
        (ScalarFunction::Round, [F64(x)]) => Some(F64(0.0 + x.round())),
        (ScalarFunction::Ln, _) => number(0).map(|x| F64(0.0 + x.ln())),
        (ScalarFunction::Log2, _) => number(0).map(|x| F64(0.0 + x.log2())),
        (ScalarFunction::Pow, _) => Some(F64(0.0 + number(0)?.powf(number(1)?))),
        (ScalarFunction::Bucket, [x, width]) => bucket(x, width),
        (ScalarFunction::Truncate, [Timestamp(ns), Str(unit)]) => truncated(*ns, unit),
        _ => None,
    }
}

/// Returns the characters at the places from `start` on, of which there may be some before the first character. There
/// is no length below zero.
fn substring(text: &str, start: &Value, length: Option<&Value>) -> Option<Value> {
    let start = integer(start)?;
    let end = match length {
        Some(length) => start + integer(length).filter(|length| *length >= 0)?,
        None => i128::MAX,
    };
    let places = (1_i128..).zip(text.chars());
    let inside = places.filter(|(place, _)| start <= *place && *place < end);
    Some(Value::str(inside.map(|(_, c)| c).collect::<String>()))
}

/// Returns the n-th part between separators, or from the end. An empty separator separates nothing.
fn part(text: &str, separator: &str, n: i128) -> Option<Value> {
    let parts: Vec<&str> = if separator.is_empty() { vec![text] } else { text.split(separator).collect() };
    let place = match n {
        0 => return None,
        1.. => n - 1,
        _ => parts.len() as i128 + n,
    };
    let found = usize::try_from(place).ok().and_then(|place| parts.get(place));
    Some(Value::str(found.copied().unwrap_or_default()))
}

/// Returns the lower bound of the bucket of a width that a value falls into.
fn bucket(x: &Value, width: &Value) -> Option<Value> {
    use Value::{Duration, F64, I64, Timestamp, U64};

    match (x, width) {
        (Timestamp(x), Duration(width)) => {
            below(i128::from(*x), i128::from(*width)).and_then(narrow).map(Timestamp)
        }
        (Duration(x), Duration(width)) => {
            below(i128::from(*x), i128::from(*width)).and_then(narrow).map(Duration)
        }

        // Below zero too the bound is the one below.
        (U64(x), width) => {
            below(i128::from(*x), integer(width)?).and_then(|x| u64::try_from(x).ok()).map(U64)
        }
        (I64(x), width) => below(i128::from(*x), integer(width)?).and_then(narrow).map(I64),
        (F64(x), width) => {
            let width = double(width).filter(|width| *width > 0.0)?;
            Some(F64(0.0 + decimal_below(*x, width)))
        }
        _ => None,
    }
}

/// Returns the largest multiple of a width up to a number. Multiples are decimal numbers: three tenths are 0.3.
fn decimal_below(x: f64, width: f64) -> f64 {
    let digits = format!("{width}").split_once('.').map_or(0, |(_, digits)| digits.len());
    let multiple = |n: f64| format!("{:.digits$}", n * width).parse().unwrap_or(n * width);
    let near = (x / width).round();
    let around = [near + 1.0, near, near - 1.0, near - 2.0];
    around.into_iter().map(multiple).find(|edge| *edge <= x).unwrap_or((x / width).floor() * width)
}

/// Returns the beginning of the second, minute, hour, day or week of a time.
fn truncated(ns: i64, unit: &str) -> Option<Value> {
    let (seconds, since) = match &*unit.to_lowercase() {
        "second" => (1, 0),
        "minute" => (60, 0),
        "hour" => (3_600, 0),
        "day" => (86_400, 0),
        // A Monday; the epoch was a Thursday.
        "week" => (7 * 86_400, 4 * 86_400),
        _ => return None,
    };

    let (length, since) = (i128::from(seconds) * 1_000_000_000, i128::from(since) * 1_000_000_000);
    below(i128::from(ns) - since, length).and_then(|x| narrow(x + since)).map(Value::Timestamp)
}

/// The largest multiple of a positive width that is not above x.
fn below(x: i128, width: i128) -> Option<i128> {
    (width > 0).then(|| x - x.rem_euclid(width))
}

/// The least and the greatest of values in sorting order; null adds nothing.
pub(crate) fn extremes(values: &[Value]) -> (Value, Value) {
    let some = values.iter().filter(|value| **value != Value::Null);
    let least = some.clone().min_by(|x, y| order(x, y));
    let greatest = some.max_by(|x, y| order(x, y));
    (least.cloned().unwrap_or_default(), greatest.cloned().unwrap_or_default())
}

/// Whether two values are equal for `=`.
pub(crate) fn equal(x: &Value, y: &Value) -> bool {
    compare(x, y).is_some_and(std::cmp::Ordering::is_eq)
}
