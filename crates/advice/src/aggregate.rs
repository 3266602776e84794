//! Aggregates as mergeable states.
//!
//! A state is a partial aggregate: `update` takes one value of a row that counts `weight` times,
//! `merge` adds another state, `scale` multiplies the rows behind it, `finish` gives the value.
//! `COUNT` of rows needs no state: it is the multiplicity that every row carries.

use crate::eval::{Errors, from_double};
use crate::value::Value;
use std::fmt;

/// The aggregates with an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Aggregate {
    /// How many values are not null.
    Count = 1,
    /// Their sum, exact for integers and durations.
    Sum = 2,
    /// The smallest.
    Min = 3,
    /// The largest.
    Max = 4,
    /// Sum over count.
    Average = 5,
}

impl Aggregate {
    /// All of them.
    pub const ALL: [Aggregate; 5] =
        [Aggregate::Count, Aggregate::Sum, Aggregate::Min, Aggregate::Max, Aggregate::Average];

    /// The name in query text.
    pub fn name(self) -> &'static str {
        match self {
            Aggregate::Count => "COUNT",
            Aggregate::Sum => "SUM",
            Aggregate::Min => "MIN",
            Aggregate::Max => "MAX",
            Aggregate::Average => "AVERAGE",
        }
    }

    /// The aggregate of that name, in any case; `AVG` is `AVERAGE`.
    pub fn by_name(name: &str) -> Option<Aggregate> {
        let name = if name.eq_ignore_ascii_case("AVG") { "AVERAGE" } else { name };
        Self::ALL.into_iter().find(|aggregate| aggregate.name().eq_ignore_ascii_case(name))
    }

    /// The aggregate of a shape byte.
    pub fn from_code(code: u8) -> Option<Aggregate> {
        Self::ALL.into_iter().find(|aggregate| *aggregate as u8 == code)
    }

    /// The state of no rows.
    pub fn empty(self) -> State {
        match self {
            Aggregate::Count => State::Count(0),
            Aggregate::Sum => State::Sum(Sum::Empty),
            Aggregate::Min => State::Min(Value::Null),
            Aggregate::Max => State::Max(Value::Null),
            Aggregate::Average => State::Average(Sum::Empty, 0),
        }
    }
}

impl fmt::Display for Aggregate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A partial aggregate.
#[derive(Debug, Clone, PartialEq)]
pub enum State {
    /// Values that were not null.
    Count(u64),
    /// Their sum.
    Sum(Sum),
    /// The smallest, null before the first.
    Min(Value),
    /// The largest, null before the first.
    Max(Value),
    /// Their sum and how many.
    Average(Sum, u64),
}

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

impl State {
    /// Which aggregate this is a state of.
    pub fn aggregate(&self) -> Aggregate {
        match self {
            State::Count(_) => Aggregate::Count,
            State::Sum(_) => Aggregate::Sum,
            State::Min(_) => Aggregate::Min,
            State::Max(_) => Aggregate::Max,
            State::Average(..) => Aggregate::Average,
        }
    }

    /// Adds a value that stands in a row of multiplicity `weight`; null adds nothing.
    pub fn update(&mut self, value: &Value, weight: u64, errors: &mut Errors) {
        if value.is_null() || weight == 0 {
            return;
        }
        match self {
            State::Count(count) => *count = count.saturating_add(weight),
            State::Sum(sum) => sum.add(Sum::of(value, weight, errors)),
            State::Average(sum, count) => match Sum::of(value, weight, errors) {
                Sum::Empty => {}
                term => {
                    sum.add(term);
                    *count = count.saturating_add(weight);
                }
            },
            State::Min(least) => replace_if(least, value, std::cmp::Ordering::is_lt),
            State::Max(most) => replace_if(most, value, std::cmp::Ordering::is_gt),
        }
    }

    /// Adds the rows behind another state of the same aggregate; a state of another one is ignored.
    pub fn merge(&mut self, other: &State) {
        match (self, other) {
            (State::Count(a), State::Count(b)) => *a = a.saturating_add(*b),
            (State::Sum(a), State::Sum(b)) => a.add(b.clone()),
            (State::Average(a, n), State::Average(b, m)) => {
                a.add(b.clone());
                *n = n.saturating_add(*m);
            }
            (State::Min(a), State::Min(b)) if !b.is_null() => replace_if(a, b, std::cmp::Ordering::is_lt),
            (State::Max(a), State::Max(b)) if !b.is_null() => replace_if(a, b, std::cmp::Ordering::is_gt),
            _ => {}
        }
    }

    /// Multiplies the rows behind this state.
    pub fn scale(&mut self, by: u64) {
        match self {
            State::Count(count) => *count = count.saturating_mul(by),
            State::Sum(sum) => sum.scale(by),
            State::Average(sum, count) => {
                sum.scale(by);
                *count = count.saturating_mul(by);
            }
            State::Min(_) | State::Max(_) => {}
        }
    }

    /// The value of the aggregate. COUNT of nothing is 0, every other aggregate of nothing is null.
    pub fn finish(&self, errors: &mut Errors) -> Value {
        match self {
            State::Count(count) => Value::U64(*count),
            State::Min(value) | State::Max(value) => value.clone(),
            State::Sum(sum) => sum.finish(errors),
            State::Average(sum, count) => sum.mean(*count, errors),
        }
    }
}

fn replace_if(kept: &mut Value, value: &Value, wins: fn(std::cmp::Ordering) -> bool) {
    if kept.is_null() || wins(value.total_cmp(kept)) {
        *kept = value.clone();
    }
}

impl Sum {
    fn of(value: &Value, weight: u64, errors: &mut Errors) -> Sum {
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

    fn add(&mut self, other: Sum) {
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

    fn scale(&mut self, by: u64) {
        let scaled = match self {
            Sum::Integer(x) => x.checked_mul(i128::from(by)).map(Sum::Integer),
            Sum::Duration(x) => x.checked_mul(i128::from(by)).map(Sum::Duration),
            Sum::Double(x) => Some(Sum::Double(*x * by as f64)),
            Sum::Empty | Sum::Undefined => return,
        };
        *self = scaled.unwrap_or(Sum::Undefined);
    }

    fn finish(&self, errors: &mut Errors) -> Value {
        let value = match self {
            Sum::Empty => return Value::Null,
            Sum::Double(x) => Some(Value::F64(*x)),
            Sum::Duration(x) => i64::try_from(*x).ok().map(Value::Duration),
            Sum::Integer(x) => {
                let signed = i64::try_from(*x).map(Value::I64);
                signed.or_else(|_| u64::try_from(*x).map(Value::U64)).ok()
            }
            Sum::Undefined => None,
        };
        value.unwrap_or_else(|| errors.null())
    }

    fn mean(&self, count: u64, errors: &mut Errors) -> Value {
        match self {
            _ if count == 0 => Value::Null,
            Sum::Empty => Value::Null,
            Sum::Integer(x) => Value::F64(*x as f64 / count as f64),
            Sum::Double(x) => Value::F64(x / count as f64),
            Sum::Duration(x) => {
                from_double(*x as f64 / count as f64).map_or_else(|| errors.null(), Value::Duration)
            }
            Sum::Undefined => errors.null(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state_of(aggregate: Aggregate, values: &[(Value, u64)]) -> State {
        let mut state = aggregate.empty();
        values.iter().for_each(|(value, weight)| state.update(value, *weight, &mut Errors::default()));
        state
    }

    fn finished(state: &State) -> Value {
        state.finish(&mut Errors::default())
    }

    #[test]
    fn weight_counts_a_row_many_times() {
        let rows = [(Value::U64(10), 3), (Value::U64(1), 1), (Value::Null, 7)];
        assert_eq!(finished(&state_of(Aggregate::Sum, &rows)), Value::I64(31));
        assert_eq!(finished(&state_of(Aggregate::Count, &rows)), Value::U64(4));
        assert_eq!(finished(&state_of(Aggregate::Average, &rows)), Value::F64(7.75));
        assert_eq!(finished(&state_of(Aggregate::Min, &rows)), Value::U64(1));
        assert_eq!(finished(&state_of(Aggregate::Max, &rows)), Value::U64(10));
    }

    #[test]
    fn merging_equals_updating_with_all() {
        for aggregate in Aggregate::ALL {
            let (a, b) = ([(Value::I64(4), 2)], [(Value::I64(-9), 1), (Value::I64(5), 5)]);
            let mut merged = state_of(aggregate, &a);
            merged.merge(&state_of(aggregate, &b));
            assert_eq!(merged, state_of(aggregate, &[a.to_vec(), b.to_vec()].concat()));
        }
    }

    #[test]
    fn scaling_equals_repeating() {
        for aggregate in Aggregate::ALL {
            let mut scaled = state_of(aggregate, &[(Value::I64(4), 2)]);
            scaled.scale(3);
            assert_eq!(scaled, state_of(aggregate, &[(Value::I64(4), 6)]));
        }
    }

    #[test]
    fn a_sum_may_pass_64_bits_on_its_way() {
        let rows = [(Value::U64(u64::MAX), 4), (Value::I64(i64::MIN), 8)];
        assert_eq!(finished(&state_of(Aggregate::Sum, &rows)), Value::I64(-4));
        let mut errors = Errors::default();
        let beyond = state_of(Aggregate::Sum, &rows[..1]).finish(&mut errors);
        assert_eq!((beyond, errors.0), (Value::Null, 1));
    }

    #[test]
    fn aggregates_of_nothing_are_null_and_count_is_zero() {
        for aggregate in Aggregate::ALL {
            let expected = if aggregate == Aggregate::Count { Value::U64(0) } else { Value::Null };
            assert_eq!(finished(&aggregate.empty()), expected);
        }
    }

    #[test]
    fn a_value_that_does_not_add_up_is_counted_and_left_out() {
        let mut errors = Errors::default();
        let mut state = Aggregate::Average.empty();
        state.update(&Value::str("x"), 1, &mut errors);
        state.update(&Value::I64(2), 1, &mut errors);
        assert_eq!((state.finish(&mut errors), errors.0), (Value::F64(2.0), 1));
    }
}
