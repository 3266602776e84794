//! Aggregates over all values at once, exactly.

use crate::expression::extremes;
use crate::query::Aggregate;
use crate::value::{double, integer, nearest, order, same};
use pivot_advice::{Type, Value};

/// What a column of a result may hold.
#[derive(Debug, Clone)]
pub(crate) enum Cell {
    /// This value; doubles to 1e-9.
    Value(Value),
    /// One of these.
    AnyOf(Vec<Value>),
    /// A number from one to the other.
    Between(f64, f64),
}

/// What an aggregate that stands alone in SELECT may give.
pub(crate) fn cell(aggregate: &Aggregate, values: &[Value]) -> Cell {
    let some: Vec<Value> = values.iter().filter(|value| **value != Value::Null).cloned().collect();
    match aggregate {
        Aggregate::Any if some.is_empty() => Cell::Value(Value::Null),
        Aggregate::Any => Cell::AnyOf(some),
        Aggregate::CountDistinct => {
            let count = distinct(&some).len() as f64;
            // Small counts are exact; beyond, three standard errors.
            let error = if count > 256.0 { 0.05 * count } else { 0.0 };
            Cell::Between(count - error, count + error)
        }
        Aggregate::Quantile(q) => quantile(*q, &some),
        Aggregate::Variance | Aggregate::StdDev => deviation(aggregate, &some),
        _ => Cell::Value(value(aggregate, values)),
    }
}

/// The value of an aggregate that has exactly one. Of nothing all but COUNT are null.
pub(crate) fn value(aggregate: &Aggregate, values: &[Value]) -> Value {
    let some = || values.iter().filter(|value| **value != Value::Null);
    match aggregate {
        Aggregate::Count => Value::U64(some().count() as u64),
        Aggregate::Sum => Sum::of(some()).map_or(Value::Null, Sum::value),
        Aggregate::Average => Sum::of(some()).map_or(Value::Null, Sum::mean),
        Aggregate::Min => extremes(values).0,
        Aggregate::Max => extremes(values).1,
        Aggregate::Variance => variance(values).map_or(Value::Null, Value::F64),
        Aggregate::StdDev => variance(values).map_or(Value::Null, |variance| Value::F64(variance.sqrt())),
        Aggregate::CountDistinct => Value::U64(distinct(&some().cloned().collect::<Vec<_>>()).len() as u64),
        Aggregate::Any | Aggregate::Quantile(_) => panic!("{aggregate:?} has no one value"),
    }
}

fn distinct(values: &[Value]) -> Vec<&Value> {
    let mut found: Vec<&Value> = Vec::new();
    for value in values {
        if !found.iter().any(|known| same(known, value)) {
            found.push(value);
        }
    }
    found
}

/// A sum of one kind. Values that do not add up are left out; different kinds have no sum.
struct Sum {
    integers: i128,
    doubles: f64,
    durations: i128,
    /// How many integers, doubles, durations.
    counts: (u64, u64, u64),
}

impl Sum {
    fn of<'a>(values: impl Iterator<Item = &'a Value>) -> Option<Sum> {
        let mut sum = Sum { integers: 0, doubles: 0.0, durations: 0, counts: (0, 0, 0) };
        for value in values {
            if let Some(x) = integer(value) {
                sum.integers += x;
                sum.counts.0 += 1;
            } else if let Some(x) = double(value) {
                sum.doubles += x;
                sum.counts.1 += 1;
            } else if let Value::Duration(ns) = value {
                sum.durations += i128::from(*ns);
                sum.counts.2 += 1;
            }
        }
        (sum.counts != (0, 0, 0)).then_some(sum)
    }

    fn value(self) -> Value {
        match self.counts {
            (_, 0, 0) => {
                let signed = i64::try_from(self.integers).map(Value::I64);
                signed.or(u64::try_from(self.integers).map(Value::U64)).unwrap_or(Value::Null)
            }
            (0, 0, _) => i64::try_from(self.durations).map_or(Value::Null, Value::Duration),
            (_, _, 0) => Value::F64(self.doubles + self.integers as f64),
            _ => Value::Null,
        }
    }

    fn mean(self) -> Value {
        match self.counts {
            (n, 0, 0) => Value::F64(self.integers as f64 / n as f64),
            (0, 0, n) => nearest(self.durations as f64 / n as f64).map_or(Value::Null, Value::Duration),
            (n, m, 0) => Value::F64((self.doubles + self.integers as f64) / (n + m) as f64),
            _ => Value::Null,
        }
    }
}

/// Of the population.
fn variance(values: &[Value]) -> Option<f64> {
    let numbers: Vec<f64> = values.iter().filter_map(double).collect();
    // Moved near zero, where nothing is rounded that matters.
    let first = numbers.first().copied().unwrap_or_default();
    let numbers: Vec<f64> = numbers.iter().map(|x| x - first).collect();
    let n = numbers.len() as f64;
    let mean = numbers.iter().sum::<f64>() / n;
    let squares = numbers.iter().map(|x| (x - mean) * (x - mean));
    (!numbers.is_empty()).then(|| squares.sum::<f64>() / n)
}

/// Within what the rounding of the largest number makes of it.
fn deviation(aggregate: &Aggregate, some: &[Value]) -> Cell {
    let exact = value(aggregate, some);
    let Value::F64(found) = exact else { return Cell::Value(exact) };
    let largest = some.iter().filter_map(double).fold(0.0f64, |most, x| most.max(x.abs()));
    let rounding = largest * f64::EPSILON * some.len() as f64;
    let error = match aggregate {
        Aggregate::StdDev => rounding,
        _ => 2.0 * found.sqrt() * rounding + rounding * rounding,
    };
    let error = error + 1e-9 * found + 1e-9;
    if error.is_finite() {
        Cell::Between(found - error, found + error)
    } else {
        Cell::Value(Value::F64(found))
    }
}

/// The buckets of a histogram.
const BUCKETS: f64 = 160.0;

/// The number of rank `ceil(q * count)`, within the error that the spread of the numbers makes.
fn quantile(q: f64, some: &[Value]) -> Cell {
    let mut sorted = some.to_vec();
    sorted.sort_by(order);
    let number = |value: &Value| match value {
        Value::Duration(ns) => Some(*ns as f64),
        other => double(other),
    };
    let sorted: Vec<f64> = sorted.iter().filter_map(number).filter(|x| x.is_finite()).collect();
    if sorted.is_empty() {
        return Cell::Value(Value::Null);
    }
    let rank = (q * sorted.len() as f64).ceil().max(1.0) as usize;
    let found = sorted[rank - 1];
    let sizes = sorted.iter().map(|x| x.abs()).filter(|x| *x > 0.0);
    let (least, most) = sizes.fold((f64::INFINITY, 0.0f64), |(least, most), x| (least.min(x), most.max(x)));
    // One octave more on either side, for the bounds of the outermost buckets.
    let octaves = if most > 0.0 { (most / least).log2() + 2.0 } else { 1.0 };
    let per_octave = (BUCKETS / octaves).log2().floor().exp2();
    let base = (1.0 / per_octave).exp2();
    let error = found.abs() * ((base - 1.0) / (base + 1.0) + 1e-9)
        + if some[0].type_of() == Type::Duration { 1.0 } else { 1e-9 };
    Cell::Between(found - error, found + error)
}
