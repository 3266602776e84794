//! Aggregates over all values at once, exactly.

use crate::oracle::language::query::AggregateFunction;
use crate::oracle::reference::expressions::extremes;
use crate::oracle::reference::values::{double, failed, integer, nearest, order, same};
use pivot_advice::{Type, Value};

/// The values that a column of a result may hold.
#[derive(Debug, Clone)]
pub enum ExpectedCell {
    /// This value; doubles to 1e-9.
    Value(Value),
    /// One of these.
    AnyOf(Vec<Value>),
    /// A number from one to the other.
    Between(f64, f64),
    /// A list of buckets of numbers.
    Buckets(ExpectedHistogram),
}

/// The numbers that a histogram is made of.
#[derive(Debug, Clone)]
pub struct ExpectedHistogram {
    pub numbers: Vec<f64>,
    /// The base of the largest bucket.
    pub base: f64,
    /// Whether they are durations.
    pub durations: bool,
    /// The fraction of all numbers that they are.
    pub fraction: SampleFraction,
}

/// The fraction of all rows that a sample holds, or `None` if there is no sample: counts are scaled by it.
#[derive(Debug, Clone, Copy)]
pub struct SampleFraction(pub(crate) Option<f64>);

impl SampleFraction {
    pub fn whole(self, count: usize) -> usize {
        self.0.map_or(count, |fraction| (count as f64 / fraction).round() as usize)
    }
}

/// Returns the values that an aggregate may give where it stands alone in SELECT.
pub(crate) fn cell(
    aggregate: &AggregateFunction,
    values: &[Value],
    fraction: SampleFraction,
) -> ExpectedCell {
    let some: Vec<Value> = values.iter().filter(|value| **value != Value::Null).cloned().collect();

    match aggregate {
        AggregateFunction::Any if some.is_empty() => ExpectedCell::Value(Value::Null),
        AggregateFunction::Any => ExpectedCell::AnyOf(some),
        AggregateFunction::CountDistinct => {
            let count = distinct(&some).len() as f64;
            // Small counts are exact; beyond, three standard errors.
            let error = if count > 256.0 { 0.05 * count } else { 0.0 };
            ExpectedCell::Between(count - error, count + error)
        }
        AggregateFunction::Quantile(q) => quantile(*q, &some),
        AggregateFunction::Hist => {
            let numbers = numbers(&some);
            let base = base(&numbers);
            ExpectedCell::Buckets(ExpectedHistogram {
                numbers,
                base,
                durations: is_duration(&some),
                fraction,
            })
        }
        AggregateFunction::Variance
        | AggregateFunction::StdDev
        | AggregateFunction::VariancePop
        | AggregateFunction::StdDevPop => deviation(aggregate, &some),
        _ => ExpectedCell::Value(value(aggregate, values, fraction)),
    }
}

/// The value of an aggregate that has exactly one. Of nothing all but COUNT are null. In lists, counts are those of
/// all rows.
pub(crate) fn value(aggregate: &AggregateFunction, values: &[Value], fraction: SampleFraction) -> Value {
    let some = || values.iter().filter(|value| **value != Value::Null);

    match aggregate {
        AggregateFunction::Count => Value::U64(some().count() as u64),
        AggregateFunction::Sum => ReferenceSum::of(some()).map_or(Value::Null, ReferenceSum::value),
        AggregateFunction::Average => ReferenceSum::of(some()).map_or(Value::Null, ReferenceSum::mean),
        AggregateFunction::Min => extremes(values).0,
        AggregateFunction::Max => extremes(values).1,
        AggregateFunction::Variance => variance(values, 1).map_or(Value::Null, Value::F64),
        AggregateFunction::VariancePop => variance(values, 0).map_or(Value::Null, Value::F64),
        AggregateFunction::StdDev => {
            variance(values, 1).map_or(Value::Null, |variance| Value::F64(variance.sqrt()))
        }
        AggregateFunction::StdDevPop => {
            variance(values, 0).map_or(Value::Null, |variance| Value::F64(variance.sqrt()))
        }
        AggregateFunction::CountDistinct => {
            Value::U64(distinct(&some().cloned().collect::<Vec<_>>()).len() as u64)
        }
        // The sketches have one value only for few values, see `is_beyond`.
        AggregateFunction::Top(k) => top(*k, &some().cloned().collect::<Vec<_>>(), fraction),
        AggregateFunction::Linear(bounds) => linear(bounds, &some().cloned().collect::<Vec<_>>(), fraction),
        AggregateFunction::Any | AggregateFunction::Quantile(_) | AggregateFunction::Hist => {
            panic!("{aggregate:?} has no one value")
        }
    }
}

/// The most values that TOPK and COUNT(DISTINCT x) know exactly.
const EXACT: usize = 256;

/// Doubles beyond this cancel each other so that their sum depends on their order.
const LARGE: f64 = 1e12;

/// Whether an aggregate of these values has no one value: it is a sketch of many, or a sum that is rounded.
pub(crate) fn is_beyond(aggregate: &AggregateFunction, values: &[Value]) -> bool {
    match aggregate {
        AggregateFunction::Top(_) | AggregateFunction::CountDistinct => {
            values.len() > EXACT && distinct(values).len() > EXACT
        }
        AggregateFunction::Sum | AggregateFunction::Average => {
            let rounded = values.iter().any(|value| matches!(value, Value::F64(_)));
            let mut numbers = values.iter().filter_map(double);

            rounded && values.len() > 1 && numbers.any(|x| x.is_finite() && x.abs() > LARGE)
        }
        _ => false,
    }
}

/// The k most frequent values; of equally frequent ones the least.
fn top(k: usize, some: &[Value], fraction: SampleFraction) -> Value {
    let mut counts: Vec<(&Value, usize)> = Vec::new();
    for wanted in distinct(some) {
        counts.push((wanted, some.iter().filter(|value| same(wanted, value)).count()));
    }
    counts.sort_by(|(x, a), (y, b)| b.cmp(a).then_with(|| order(x, y)));

    let chosen = counts.iter().take(k);
    Value::List(
        chosen.map(|(value, count)| Value::str(format!("{value}: {}", fraction.whole(*count)))).collect(),
    )
}

/// How many values each bucket has that has any.
fn linear(bounds: &[Value; 3], some: &[Value], fraction: SampleFraction) -> Value {
    let [least, most, step] = bounds.each_ref().map(|bound| number(bound).expect("bounds are numbers"));
    let durations = bounds[0].type_of() == Type::Duration;
    let count = ((most - least) / step).ceil();
    // An edge is the decimal number that people write.
    let digits = [least, step].map(|x| format!("{x}").split_once('.').map_or(0, |(_, digits)| digits.len()));
    let digits = digits[0].max(digits[1]);
    let edge = |number: f64| {
        let decimal = format!("{:.digits$}", least + step * number).parse();
        // Zero has no sign.
        0.0 + decimal.unwrap_or(f64::NAN)
    };
    let shown = |x: f64| if durations { Value::Duration(x as i64).to_string() } else { x.to_string() };
    // What is no number falls into no bucket, and is an error.
    let numbers = some.iter().filter_map(number);
    let numbers: Vec<f64> = numbers.filter(|x| !x.is_nan() || failed() != Value::Null).collect();

    let mut buckets = Vec::new();
    for bucket in 0..count as usize + 2 {
        let (lower, upper): (f64, f64) = (edge(bucket as f64 - 1.0), edge(bucket as f64));
        let (first, last) = (bucket == 0, bucket == count as usize + 1);
        let inside = numbers.iter().filter(|x| (first || lower <= **x) && (last || **x < upper)).count();
        let lower = if first { "-∞".to_owned() } else { shown(lower) };
        let upper = if last { "∞".to_owned() } else { shown(upper) };
        if inside > 0 {
            buckets.push(Value::str(format!("[{lower}, {upper}): {}", fraction.whole(inside))));
        }
    }

    Value::List(buckets.into())
}

/// A number or the nanoseconds of a duration.
fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Duration(ns) => Some(*ns as f64),
        other => double(other),
    }
}

fn is_duration(some: &[Value]) -> bool {
    some.first().is_some_and(|value| value.type_of() == Type::Duration)
}

/// All finite numbers among values, ascending.
fn numbers(some: &[Value]) -> Vec<f64> {
    let mut sorted = some.to_vec();
    sorted.sort_by(order);
    let numbers = sorted.iter().filter_map(number);
    numbers.filter(|x| x.is_finite() || failed() != Value::Null).collect()
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
struct ReferenceSum {
    integers: i128,
    doubles: f64,
    durations: i128,
    /// How many integers, doubles, durations.
    counts: (u64, u64, u64),
}

impl ReferenceSum {
    fn of<'a>(values: impl Iterator<Item = &'a Value>) -> Option<ReferenceSum> {
        let mut sum = ReferenceSum { integers: 0, doubles: 0.0, durations: 0, counts: (0, 0, 0) };
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
            } else {
                failed();
            }
        }

        (sum.counts != (0, 0, 0)).then_some(sum)
    }

    fn value(self) -> Value {
        match self.counts {
            (_, 0, 0) => {
                let signed = i64::try_from(self.integers).map(Value::I64);
                signed.or(u64::try_from(self.integers).map(Value::U64)).unwrap_or_else(|_| failed())
            }
            (0, 0, _) => i64::try_from(self.durations).map_or_else(|_| failed(), Value::Duration),
            (_, _, 0) => Value::F64(self.doubles + self.integers as f64),
            _ => failed(),
        }
    }

    fn mean(self) -> Value {
        match self.counts {
            (n, 0, 0) => Value::F64(self.integers as f64 / n as f64),
            (0, 0, n) => nearest(self.durations as f64 / n as f64).map_or_else(failed, Value::Duration),
            (n, m, 0) => Value::F64((self.doubles + self.integers as f64) / (n + m) as f64),
            _ => failed(),
        }
    }
}

/// The sum of squared differences over the number of values, less one for a sample.
fn variance(values: &[Value], less: usize) -> Option<f64> {
    let numbers: Vec<f64> = values.iter().filter_map(double).collect();
    // Moved near zero, where nothing is rounded that matters.
    let first = numbers.first().copied().unwrap_or_default();
    let numbers: Vec<f64> = numbers.iter().map(|x| x - first).collect();
    let degrees = numbers.len().checked_sub(less).filter(|degrees| *degrees > 0)?;
    let n = numbers.len() as f64;
    let mean = numbers.iter().sum::<f64>() / n;
    let squares = numbers.iter().map(|x| (x - mean) * (x - mean));
    Some(squares.sum::<f64>() / degrees as f64)
}

/// Within what the rounding of the largest number makes of it.
fn deviation(aggregate: &AggregateFunction, some: &[Value]) -> ExpectedCell {
    let exact = value(aggregate, some, SampleFraction(None));
    let Value::F64(found) = exact else { return ExpectedCell::Value(exact) };
    let largest = some.iter().filter_map(double).fold(0.0f64, |most, x| most.max(x.abs()));
    let rounding = largest * f64::EPSILON * some.len() as f64;
    let error = match aggregate {
        AggregateFunction::StdDev | AggregateFunction::StdDevPop => rounding,
        _ => 2.0 * found.sqrt() * rounding + rounding * rounding,
    };
    let error = error + 1e-9 * found + 1e-9;

    if error.is_finite() {
        ExpectedCell::Between(found - error, found + error)
    } else {
        ExpectedCell::Value(Value::F64(found))
    }
}

/// The buckets of a histogram.
const BUCKETS: f64 = 160.0;

/// The number of rank `ceil(q * count)`, within the error that the spread of the numbers makes.
fn quantile(q: f64, some: &[Value]) -> ExpectedCell {
    let sorted = numbers(some);
    if sorted.is_empty() {
        return ExpectedCell::Value(Value::Null);
    }
    let rank = (q * sorted.len() as f64).ceil().max(1.0) as usize;
    let (found, base) = (sorted[rank - 1], base(&sorted));
    let relative = if base.is_finite() { (base - 1.0) / (base + 1.0) } else { 1.0 };
    let error = found.abs() * (relative + 1e-9) + if is_duration(some) { 1.0 } else { 1e-9 };
    ExpectedCell::Between(found - error, found + error)
}

/// How many times the lower bound of a bucket its upper bound is, in the worst case.
fn base(sorted: &[f64]) -> f64 {
    let sizes = sorted.iter().map(|x| x.abs()).filter(|x| *x > 0.0);
    let (least, most) = sizes.fold((f64::INFINITY, 0.0f64), |(least, most), x| (least.min(x), most.max(x)));
    // One octave more on either side, for the bounds of the outermost buckets.
    let octaves = if most > 0.0 { (most / least).log2() + 2.0 } else { 1.0 };
    let per_octave = (BUCKETS / octaves).log2().floor().exp2();
    (1.0 / per_octave).exp2()
}
