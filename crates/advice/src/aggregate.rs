//! Aggregates and their mergeable states.
//!
//! An [`AggregateState`] is a partial aggregate (in algebra: an element of a commutative monoid), so it may
//! be formed anywhere and merged in any order:
//!
//! ```text
//! values of rows ──update──▶ state ─┐
//!                                   ├─merge─▶ state ──scale(n)──▶ state ──finish──▶ value
//! values of rows ──update──▶ state ─┘           each row n times
//! ```
//!
//! `scale` is what a join needs: rows of one side that were aggregated before the join count once for each
//! matching row of the other side.
//!
//! One state may serve several functions of the query language: `VARIANCE` and `STDDEV` both finish moments,
//! and every quantile finishes a histogram. [`FinalFunction`] says which value is made of a state.
//!
//! `COUNT` of rows needs no state: it is the multiplicity that every group carries.

use crate::error::EvalErrors;
use crate::sketch::finished_sketches;
use crate::sketch::{BucketCounts, ExponentialHistogram, HyperLogLog, Moments, SpaceSaving};
use crate::sum::Sum;
use crate::value::{Type, Value, nearest_integer};
use std::fmt;

/// The kind of an aggregate state: what it keeps of the values, apart from any value. The numbers of kinds travel
/// in baggage, in reports and in advice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum AggregateKind {
    /// The number of values that are not null.
    Count = 1,
    /// The sum of the values, exact for integers and durations.
    Sum = 2,
    /// The smallest value.
    Min = 3,
    /// The largest value.
    Max = 4,
    /// Sum over count.
    Average = 5,
    /// Mean and variance of the values.
    Moments = 6,
    /// The number of different values.
    Distinct = 7,
    /// An exponential histogram of the values.
    Histogram = 8,
    /// The number of values for each integer: buckets that the user has chosen.
    Tally = 9,
    /// The most frequent values.
    Top = 10,
    /// Any one of the values.
    Any = 11,
}

impl AggregateKind {
    /// All kinds.
    pub const ALL: [AggregateKind; 11] = [
        AggregateKind::Count,
        AggregateKind::Sum,
        AggregateKind::Min,
        AggregateKind::Max,
        AggregateKind::Average,
        AggregateKind::Moments,
        AggregateKind::Distinct,
        AggregateKind::Histogram,
        AggregateKind::Tally,
        AggregateKind::Top,
        AggregateKind::Any,
    ];

    /// Returns the name in the text form of advice; for COUNT, SUM, MIN, MAX and AVERAGE it is the name in
    /// query text too.
    pub fn name(self) -> &'static str {
        match self {
            AggregateKind::Count => "COUNT",
            AggregateKind::Sum => "SUM",
            AggregateKind::Min => "MIN",
            AggregateKind::Max => "MAX",
            AggregateKind::Average => "AVERAGE",
            AggregateKind::Moments => "MOMENTS",
            AggregateKind::Distinct => "DISTINCT",
            AggregateKind::Histogram => "HIST",
            AggregateKind::Tally => "TALLY",
            AggregateKind::Top => "TOP",
            AggregateKind::Any => "ANY",
        }
    }

    /// Returns the aggregate of a number, or `None` if a later version may know it.
    pub fn from_code(code: u8) -> Option<AggregateKind> {
        Self::ALL.into_iter().find(|aggregate| *aggregate as u8 == code)
    }

    /// Whether the states are too large for baggage. There the values travel instead, each with its count.
    pub fn is_sketch(self) -> bool {
        matches!(
            self,
            AggregateKind::Distinct | AggregateKind::Histogram | AggregateKind::Tally | AggregateKind::Top
        )
    }

    /// Returns the state of no rows.
    pub fn empty(self) -> AggregateState {
        match self {
            AggregateKind::Count => AggregateState::Count(0),
            AggregateKind::Sum => AggregateState::Sum(Sum::Empty),
            AggregateKind::Min => AggregateState::Min(Value::Null),
            AggregateKind::Max => AggregateState::Max(Value::Null),
            AggregateKind::Average => AggregateState::Average(Sum::Empty, 0),
            AggregateKind::Moments => AggregateState::Moments(Moments::default()),
            AggregateKind::Distinct => AggregateState::Distinct(HyperLogLog::default()),
            AggregateKind::Histogram => AggregateState::Histogram(Box::default()),
            AggregateKind::Tally => AggregateState::Tally(BucketCounts::default()),
            AggregateKind::Top => AggregateState::Top(SpaceSaving::default()),
            AggregateKind::Any => AggregateState::Any(Value::Null),
        }
    }
}

impl fmt::Display for AggregateKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A partial aggregate; see the head of this file.
#[derive(Debug, Clone, PartialEq)]
pub enum AggregateState {
    /// Number of values.
    Count(u64),
    /// Sum of the values.
    Sum(Sum),
    /// The smallest value, null before the first.
    Min(Value),
    /// The largest value, null before the first.
    Max(Value),
    /// Sum and number of the values.
    Average(Sum, u64),
    /// Mean and variance of the values.
    Moments(Moments),
    /// An estimate of the number of different values.
    Distinct(HyperLogLog),
    /// The distribution of the values over orders of magnitude.
    Histogram(Box<ExponentialHistogram>),
    /// The number of occurrences of each integer.
    Tally(BucketCounts),
    /// The most frequent values with their counts.
    Top(SpaceSaving),
    /// One of the values, null before the first.
    Any(Value),
}

/// The function that makes a value of a state (PostgreSQL's word for the last step of an aggregate).
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum FinalFunction {
    /// The aggregate itself: of a histogram the list of its buckets, of moments the variance of the population.
    #[default]
    Plain,
    /// The square root of the variance of the population.
    Deviation,
    /// The variance of what the numbers are a sample of.
    SampleVariance,
    /// The square root of the variance of what the numbers are a sample of.
    SampleDeviation,
    /// The number below which this fraction of a histogram's values lies.
    Quantile(f64),
    /// The most frequent values, at most this many.
    Top(u16),
    /// The list of a histogram's buckets, whose bounds are integers because all values are.
    IntegerBuckets,
    /// The list of buckets of one width. Number 0 of the tally counts the values below the first bucket and
    /// number `count + 1` those above the last.
    Linear {
        /// Lower bound of the first bucket.
        least: f64,
        /// Width of a bucket.
        step: f64,
        /// Number of buckets.
        count: u16,
        /// Whether the bounds are nanoseconds.
        durations: bool,
    },
}

impl FinalFunction {
    /// Returns whether the function makes the list of buckets of a state of that kind.
    pub fn makes_buckets(self, aggregate: AggregateKind) -> bool {
        match self {
            FinalFunction::Plain => aggregate == AggregateKind::Histogram,
            FinalFunction::IntegerBuckets | FinalFunction::Linear { .. } => true,
            _ => false,
        }
    }
}

impl AggregateState {
    /// Returns the aggregate that this is a state of.
    pub fn aggregate(&self) -> AggregateKind {
        match self {
            AggregateState::Count(_) => AggregateKind::Count,
            AggregateState::Sum(_) => AggregateKind::Sum,
            AggregateState::Min(_) => AggregateKind::Min,
            AggregateState::Max(_) => AggregateKind::Max,
            AggregateState::Average(..) => AggregateKind::Average,
            AggregateState::Moments(_) => AggregateKind::Moments,
            AggregateState::Distinct(_) => AggregateKind::Distinct,
            AggregateState::Histogram(_) => AggregateKind::Histogram,
            AggregateState::Tally(_) => AggregateKind::Tally,
            AggregateState::Top(_) => AggregateKind::Top,
            AggregateState::Any(_) => AggregateKind::Any,
        }
    }

    /// Adds the value of a row with the multiplicity `weight`. Null adds nothing; a value that the aggregate
    /// cannot take, such as the sum of texts, is counted as an error and left out.
    pub fn update(&mut self, value: &Value, weight: u64, errors: &mut EvalErrors) {
        if value.is_null() || weight == 0 {
            return;
        }

        match self {
            AggregateState::Count(count) => *count = count.saturating_add(weight),
            AggregateState::Sum(sum) => sum.add(Sum::of(value, weight, errors)),
            AggregateState::Average(sum, count) => match Sum::of(value, weight, errors) {
                // The value does not add up, so it must not count either.
                Sum::Empty => {}
                term => {
                    sum.add(term);
                    *count = count.saturating_add(weight);
                }
            },
            AggregateState::Min(least) => replace_if(least, value, std::cmp::Ordering::is_lt),
            AggregateState::Max(most) => replace_if(most, value, std::cmp::Ordering::is_gt),
            AggregateState::Any(kept) if kept.is_null() => *kept = value.clone(),
            AggregateState::Any(_) => {}

            AggregateState::Moments(moments) => match number(value) {
                Some((x, durations)) => moments.merge(&Moments { durations, ..Moments::of(x, weight) }),
                None => errors.0 += 1,
            },
            AggregateState::Distinct(set) => set.insert(value),
            AggregateState::Histogram(histogram) => match number(value) {
                Some((x, durations)) if histogram.add(x, weight) => histogram.durations |= durations,
                _ => errors.0 += 1,
            },
            AggregateState::Tally(tally) => match value.as_integer().and_then(|x| i64::try_from(x).ok()) {
                Some(x) => tally.add(x, weight),
                None => errors.0 += 1,
            },
            AggregateState::Top(top) => top.add(value, weight),
        }
    }

    /// Fast path of [`AggregateState::update`]: adds an integer where that takes one addition.
    ///
    /// Returns false, with nothing added, where it takes more: call `update` then.
    #[inline(always)]
    pub fn add_integer(&mut self, x: i64) -> bool {
        match self {
            AggregateState::Sum(Sum::Integer(sum)) => match sum.checked_add(x.into()) {
                Some(total) => *sum = total,
                None => return false,
            },
            AggregateState::Count(count) => *count = count.saturating_add(1),
            _ => return false,
        }
        true
    }

    /// Adds the rows behind another state of the same aggregate; a state of another aggregate is ignored.
    pub fn merge(&mut self, other: &AggregateState) {
        match (self, other) {
            (AggregateState::Count(a), AggregateState::Count(b)) => *a = a.saturating_add(*b),
            (AggregateState::Sum(a), AggregateState::Sum(b)) => a.add(b.clone()),
            (AggregateState::Average(a, n), AggregateState::Average(b, m)) => {
                a.add(b.clone());
                *n = n.saturating_add(*m);
            }

            // A null is the state of no rows. It sorts before all values, so it must not win a minimum.
            (AggregateState::Min(a), AggregateState::Min(b)) if !b.is_null() => {
                replace_if(a, b, std::cmp::Ordering::is_lt)
            }
            (AggregateState::Max(a), AggregateState::Max(b)) if !b.is_null() => {
                replace_if(a, b, std::cmp::Ordering::is_gt)
            }

            (AggregateState::Moments(a), AggregateState::Moments(b)) => a.merge(b),
            (AggregateState::Distinct(a), AggregateState::Distinct(b)) => a.merge(b),
            (AggregateState::Histogram(a), AggregateState::Histogram(b)) => a.merge(b),
            (AggregateState::Tally(a), AggregateState::Tally(b)) => a.merge(b),
            (AggregateState::Top(a), AggregateState::Top(b)) => a.merge(b),
            (AggregateState::Any(a), AggregateState::Any(b)) if a.is_null() => *a = b.clone(),
            _ => {}
        }
    }

    /// Multiplies the rows behind this state: each counts `by` times from now on.
    pub fn scale(&mut self, by: u64) {
        match self {
            AggregateState::Count(count) => *count = count.saturating_mul(by),
            AggregateState::Sum(sum) => sum.scale(by),
            AggregateState::Average(sum, count) => {
                sum.scale(by);
                *count = count.saturating_mul(by);
            }
            AggregateState::Moments(moments) => moments.scale(by),
            AggregateState::Histogram(histogram) => histogram.scale_by(by),
            AggregateState::Tally(tally) => tally.scale(by),
            AggregateState::Top(top) => top.scale(by),

            // Repeating rows does not change which values there are.
            AggregateState::Min(_)
            | AggregateState::Max(_)
            | AggregateState::Distinct(_)
            | AggregateState::Any(_) => {}
        }
    }

    /// Makes a value of the state. COUNT and DISTINCT of no rows are 0, and lists are empty; any other value
    /// of no rows is null. A result out of range is counted as an error and null.
    pub fn finish(&self, finish: FinalFunction, errors: &mut EvalErrors) -> Value {
        match (self, finish) {
            (AggregateState::Count(count), _) => Value::U64(*count),
            (AggregateState::Distinct(set), _) => Value::U64(set.count()),
            (AggregateState::Min(value) | AggregateState::Max(value) | AggregateState::Any(value), _) => {
                value.clone()
            }
            (AggregateState::Sum(sum), _) => sum.finish(errors),
            (AggregateState::Average(sum, count), _) => sum.mean(*count, errors),
            (AggregateState::Moments(moments), _) => deviation(moments, finish, errors),

            (AggregateState::Histogram(histogram), FinalFunction::Quantile(q)) => {
                // A quantile lies among the values, so a duration is in range and the conversion saturates at
                // most by rounding.
                histogram.quantile(q).map_or(Value::Null, |x| match histogram.durations {
                    true => Value::Duration(x.round() as i64),
                    false => Value::F64(x),
                })
            }
            (AggregateState::Histogram(histogram), FinalFunction::IntegerBuckets) => {
                finished_sketches::integer_buckets(histogram)
            }
            (AggregateState::Histogram(histogram), _) => finished_sketches::buckets(histogram),
            (AggregateState::Tally(tally), FinalFunction::Linear { least, step, count, durations }) => {
                finished_sketches::linear(
                    tally,
                    finished_sketches::LinearBuckets { least, step, count, durations },
                )
            }
            (AggregateState::Tally(tally), _) => finished_sketches::tally(tally),
            (AggregateState::Top(top), FinalFunction::Top(k)) => finished_sketches::top(top, usize::from(k)),
            (AggregateState::Top(top), _) => finished_sketches::top(top, usize::MAX),
        }
    }

    /// Returns the list that HIST, LHIST or TOPK would show, about, if all rows had been seen instead of a
    /// fraction of them. Returns `None` for other values: those are no counts that could be scaled.
    pub fn finish_counts(&self, finish: FinalFunction, fraction: f64) -> Option<Value> {
        let mut scaled = self.clone();

        match &mut scaled {
            AggregateState::Tally(tally) => tally.divide(fraction),
            AggregateState::Top(top) => top.divide(fraction),
            // A quantile does not depend on how many values there are.
            AggregateState::Histogram(histogram)
                if matches!(finish, FinalFunction::Plain | FinalFunction::IntegerBuckets) =>
            {
                histogram.divide(fraction);
            }
            _ => return None,
        }
        Some(scaled.finish(finish, &mut EvalErrors::default()))
    }

    /// Returns how far a finished value may be from the exact one, as a fraction of it; 0 where it is exact.
    pub fn relative_error(&self) -> f64 {
        match self {
            AggregateState::Distinct(HyperLogLog::Registers(_)) => HyperLogLog::ERROR,
            AggregateState::Histogram(histogram) if histogram.count() > 0 => histogram.relative_error(),
            _ => 0.0,
        }
    }
}

/// Returns a number or a duration as a double, and whether it is a duration.
fn number(value: &Value) -> Option<(f64, bool)> {
    match value {
        Value::Duration(ns) => Some((*ns as f64, true)),
        other => other.as_f64().map(|x| (x, false)),
    }
}

/// Returns a double as a value: as a number, or as the duration of so many nanoseconds.
fn measured(x: f64, durations: bool, errors: &mut EvalErrors) -> Value {
    if !durations {
        return Value::F64(x);
    }
    nearest_integer(x).map_or_else(|| errors.null(), Value::Duration)
}

/// Returns the variance or its square root; null of no numbers and, of a sample, of one.
fn deviation(moments: &Moments, finish: FinalFunction, errors: &mut EvalErrors) -> Value {
    let is_sample = matches!(finish, FinalFunction::SampleVariance | FinalFunction::SampleDeviation);
    let variance = if is_sample { moments.sample_variance() } else { moments.population_variance() };
    match (variance, finish) {
        (None, _) => Value::Null,
        (Some(variance), FinalFunction::Deviation | FinalFunction::SampleDeviation) => {
            measured(variance.sqrt(), moments.durations, errors)
        }
        (Some(variance), _) => Value::F64(variance),
    }
}

/// Replaces the kept value if there is none yet or if the comparison of the new one with it wins.
fn replace_if(kept: &mut Value, value: &Value, wins: fn(std::cmp::Ordering) -> bool) {
    if kept.is_null() || wins(value.group_cmp(kept)) {
        *kept = value.clone();
    }
}

/// Returns the type of what `finish` makes of a state over arguments of a type, or `None` if arguments of
/// that type cannot be aggregated so.
pub fn finished_type(aggregate: AggregateKind, finish: FinalFunction, argument: Type) -> Option<Type> {
    let open = matches!(argument, Type::Any | Type::Null);
    let number = argument.is_number() || argument == Type::Duration;

    match (aggregate, finish) {
        (AggregateKind::Count | AggregateKind::Distinct, _) => Some(Type::U64),
        (AggregateKind::Min | AggregateKind::Max | AggregateKind::Any, _) => Some(argument),
        (AggregateKind::Top, _) => Some(Type::String.list()),
        (
            AggregateKind::Histogram | AggregateKind::Tally,
            FinalFunction::Plain | FinalFunction::IntegerBuckets | FinalFunction::Linear { .. },
        ) => (open || number).then(|| Type::String.list()),

        // The rest needs numbers. Whether an argument of no known type is one shows when it runs.
        _ if open => Some(Type::Any),
        (AggregateKind::Sum, _) if argument.is_integer() => Some(Type::I64),
        (AggregateKind::Moments, FinalFunction::Plain | FinalFunction::SampleVariance) => {
            argument.is_number().then_some(Type::F64)
        }
        _ if argument == Type::Duration => Some(Type::Duration),
        _ => number.then_some(Type::F64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state_of(aggregate: AggregateKind, values: &[(Value, u64)]) -> AggregateState {
        let mut state = aggregate.empty();
        values.iter().for_each(|(value, weight)| state.update(value, *weight, &mut EvalErrors::default()));
        state
    }

    fn finished(state: &AggregateState) -> Value {
        state.finish(FinalFunction::Plain, &mut EvalErrors::default())
    }

    #[test]
    fn weight_counts_a_row_many_times() {
        let rows = [(Value::U64(10), 3), (Value::U64(1), 1), (Value::Null, 7)];
        assert_eq!(finished(&state_of(AggregateKind::Sum, &rows)), Value::I64(31));
        assert_eq!(finished(&state_of(AggregateKind::Count, &rows)), Value::U64(4));
        assert_eq!(finished(&state_of(AggregateKind::Average, &rows)), Value::F64(7.75));
        assert_eq!(finished(&state_of(AggregateKind::Min, &rows)), Value::U64(1));
        assert_eq!(finished(&state_of(AggregateKind::Max, &rows)), Value::U64(10));
    }

    #[test]
    fn merging_equals_updating_with_all() {
        for aggregate in AggregateKind::ALL {
            let (a, b) = ([(Value::I64(4), 2)], [(Value::I64(-9), 1), (Value::I64(5), 5)]);
            let mut merged = state_of(aggregate, &a);
            merged.merge(&state_of(aggregate, &b));
            let all = state_of(aggregate, &[a.to_vec(), b.to_vec()].concat());
            match (finished(&merged), finished(&all)) {
                // Doubles round differently in another order.
                (Value::F64(x), Value::F64(y)) => assert!((x - y).abs() < 1e-9, "{aggregate}: {x} or {y}"),
                (x, y) => assert_eq!(x, y),
            }
        }
    }

    #[test]
    fn scaling_equals_repeating() {
        for aggregate in AggregateKind::ALL {
            let mut scaled = state_of(aggregate, &[(Value::I64(4), 2)]);
            scaled.scale(3);
            assert_eq!(scaled, state_of(aggregate, &[(Value::I64(4), 6)]));
        }
    }

    #[test]
    fn a_sum_may_pass_64_bits_on_its_way() {
        let rows = [(Value::U64(u64::MAX), 4), (Value::I64(i64::MIN), 8)];
        assert_eq!(finished(&state_of(AggregateKind::Sum, &rows)), Value::I64(-4));
        let mut errors = EvalErrors::default();
        let beyond = state_of(AggregateKind::Sum, &rows[..1]).finish(FinalFunction::Plain, &mut errors);
        assert_eq!((beyond, errors.0), (Value::Null, 1));
    }

    #[test]
    fn the_least_and_the_largest_do_not_depend_on_the_order() {
        let rows = [(Value::F64(5.0), 1), (Value::I64(5), 1)];
        let turned = [rows[1].clone(), rows[0].clone()];
        for (aggregate, shown) in [(AggregateKind::Min, "5"), (AggregateKind::Max, "5.0")] {
            for rows in [&rows, &turned] {
                assert_eq!(finished(&state_of(aggregate, rows)).to_string(), shown);
            }
        }
    }

    #[test]
    fn aggregates_of_nothing_are_null_and_counts_are_zero() {
        for aggregate in AggregateKind::ALL {
            let expected = match aggregate {
                AggregateKind::Count | AggregateKind::Distinct => Value::U64(0),
                AggregateKind::Histogram | AggregateKind::Tally | AggregateKind::Top => {
                    Value::List([].into())
                }
                _ => Value::Null,
            };
            assert_eq!(finished(&aggregate.empty()), expected);
        }
    }

    #[test]
    fn one_histogram_gives_every_quantile() {
        let rows: Vec<(Value, u64)> = (1..=100).map(|i| (Value::Duration(i * 1_000_000), 2)).collect();
        let state = state_of(AggregateKind::Histogram, &rows);
        for (q, truth) in [(0.5, 50e6), (0.9, 90e6), (0.99, 99e6)] {
            let Value::Duration(found) = state.finish(FinalFunction::Quantile(q), &mut EvalErrors::default())
            else {
                panic!("a quantile of durations is a duration");
            };
            let off = (found as f64 - truth).abs() / truth;
            assert!(off <= state.relative_error(), "{q}: off by {off}");
        }
    }

    #[test]
    fn buckets_and_frequent_values_read_like_a_table() {
        let list = |texts: &[&str]| Value::List(texts.iter().map(Value::str).collect());
        let rows: Vec<(Value, u64)> = [0, 12, 13, 25, 30].map(|i| (Value::I64(i / 10 + 1), 1)).into();
        let linear = FinalFunction::Linear { least: 0.0, step: 10.0, count: 3, durations: false };
        let tally = state_of(AggregateKind::Tally, &[rows, vec![(Value::I64(4), 7)]].concat());
        let shown = tally.finish(linear, &mut EvalErrors::default());
        assert_eq!(shown, list(&["[0, 10): 1", "[10, 20): 2", "[20, 30): 1", "[30, ∞): 8"]));
        let top =
            state_of(AggregateKind::Top, &[(Value::str("a"), 1), (Value::str("b"), 4), (Value::str("c"), 2)]);
        assert_eq!(top.finish(FinalFunction::Top(2), &mut EvalErrors::default()), list(&["b: 4", "c: 2"]));
    }

    #[test]
    fn lists_of_a_sample_count_for_all_rows() {
        let list = |texts: &[&str]| Some(Value::List(texts.iter().map(Value::str).collect()));
        let rows = [(Value::I64(0), 1), (Value::I64(1), 3), (Value::I64(-1), 2)];
        let counts = |aggregate, finish| state_of(aggregate, &rows).finish_counts(finish, 0.3);
        let linear = FinalFunction::Linear { least: 0.0, step: 10.0, count: 1, durations: false };
        assert_eq!(counts(AggregateKind::Top, FinalFunction::Top(2)), list(&["1: 10", "-1: 7"]));
        let shown = list(&["[-∞, 0): 7", "[-∞, 0): 3", "[0, 10): 10"]);
        assert_eq!(counts(AggregateKind::Tally, linear), shown);
        let shown = list(&["-1: 7", "0: 3", "1: 10"]);
        assert_eq!(counts(AggregateKind::Histogram, FinalFunction::IntegerBuckets), shown);
        assert_eq!(counts(AggregateKind::Histogram, FinalFunction::Quantile(0.5)), None);
        assert_eq!(counts(AggregateKind::Sum, FinalFunction::Plain), None);
        let mut tally = state_of(AggregateKind::Tally, &[]);
        if let AggregateState::Tally(tally) = &mut tally {
            tally.other = 5;
        }
        assert_eq!(tally.finish_counts(FinalFunction::Plain, 0.5), list(&["other: 10"]));
    }

    #[test]
    fn a_value_that_does_not_add_up_is_counted_and_left_out() {
        let mut errors = EvalErrors::default();
        let mut state = AggregateKind::Average.empty();
        state.update(&Value::str("x"), 1, &mut errors);
        state.update(&Value::I64(2), 1, &mut errors);
        assert_eq!((state.finish(FinalFunction::Plain, &mut errors), errors.0), (Value::F64(2.0), 1));
    }
}
