//! Buckets of a histogram as text, and back.
//!
//! ```text
//! (999.9, 1000.1]     numbers above 999.9, up to 1000.1
//! [126, 128]          integers from 126 to 128
//! 3                   this number alone
//! ```
//!
//! A bound is rounded away from the middle of its bucket, to as many digits as the width of the bucket needs: so
//! every number lies within the label that it is counted under, and two buckets have two labels. The least and
//! the largest number are known: the outermost buckets end there.

use super::HistogramBucket;
use crate::duration_text;
use crate::value::Value;

/// Integers up to this size are exact as doubles.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// Bounds have at least so many digits, and as many as doubles hold at most.
const DIGITS: std::ops::RangeInclusive<usize> = 4..=17;

/// The part of its width by which rounding may widen a bucket.
const MOST_WIDENED: f64 = 0.05;

/// The kinds of numbers that a histogram counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CountedNumbers {
    Doubles,
    Integers,
    /// Durations, in whole nanoseconds.
    Nanoseconds,
}

/// A bucket as its label says it.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelledBucket {
    /// Lower bound: a number or a duration, null where there is none.
    pub lower: Value,
    /// Upper bound: a number or a duration, null where there is none.
    pub upper: Value,
    /// Number of values in it.
    pub count: u64,
}

/// The numbers that a bucket may hold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct BucketRange {
    lower: f64,
    upper: f64,
    /// Whether the lower bound itself is in the bucket.
    with_lower: bool,
    /// Whether the upper bound itself is in the bucket.
    with_upper: bool,
}

impl BucketRange {
    /// Returns the range of a bucket of a histogram whose least and largest number are known.
    pub(super) fn of(bucket: HistogramBucket, bounds: (f64, f64), kind: CountedNumbers) -> BucketRange {
        // A bucket is open on the side of zero: the bounds of a negative one are turned round.
        let negative = bucket.upper <= 0.0;
        let HistogramBucket { lower, upper, .. } = bucket;
        let mut range = BucketRange { lower, upper, with_lower: negative, with_upper: !negative };
        if lower == upper {
            return BucketRange { with_lower: true, with_upper: true, ..range };
        }

        if kind != CountedNumbers::Doubles && lower.abs().max(upper.abs()) < EXACT {
            range = range.of_integers();
        }
        let (least, most) = bounds;
        if least > range.lower && least <= range.upper {
            (range.lower, range.with_lower) = (least, true);
        }
        if most < range.upper && most >= range.lower {
            (range.upper, range.with_upper) = (most, true);
        }
        range
    }

    /// Returns the range from the first to the last integer in it.
    fn of_integers(self) -> BucketRange {
        // A bound is a power that is rounded: an integer at it is taken to be within.
        let slack = 1e-14;
        let (below, above) = (self.lower - self.lower.abs() * slack, self.upper + self.upper.abs() * slack);
        let first = if self.with_lower || below.fract() != 0.0 { below.ceil() } else { below + 1.0 };
        let last = if self.with_upper || above.fract() != 0.0 { above.floor() } else { above - 1.0 };
        match first <= last {
            true => BucketRange { lower: first, upper: last, with_lower: true, with_upper: true },
            false => self,
        }
    }

    /// Returns the range as text.
    pub(super) fn label(self, kind: CountedNumbers) -> String {
        if self.lower == self.upper {
            return bound(self.lower, kind);
        }

        let width = self.upper - self.lower;
        // A duration beyond the longest would show as the longest, and not as a bound that was moved.
        let (least, most) = match kind {
            CountedNumbers::Nanoseconds => (i64::MIN as f64, i64::MAX as f64),
            CountedNumbers::Doubles | CountedNumbers::Integers => (f64::NEG_INFINITY, f64::INFINITY),
        };
        let rounded = DIGITS.map(|digits| BucketRange {
            lower: rounded(self.lower, digits, Rounding::Down).max(least),
            upper: rounded(self.upper, digits, Rounding::Up).min(most),
            ..self
        });
        let mut narrow = rounded.filter(|wider| wider.upper - wider.lower <= width * (1.0 + MOST_WIDENED));
        let shown = narrow.next().unwrap_or(self);

        // A bound that was moved is not in the bucket.
        let open = if self.with_lower && shown.lower == self.lower { '[' } else { '(' };
        let close = if self.with_upper || shown.upper != self.upper { ']' } else { ')' };
        format!("{open}{}, {}{close}", bound(shown.lower, kind), bound(shown.upper, kind))
    }
}

/// Returns a bound as text; with an exponent if it is very large or small, as a duration if it is one.
pub(super) fn bound(x: f64, kind: CountedNumbers) -> String {
    match x {
        f64::INFINITY => "∞".into(),
        f64::NEG_INFINITY => "-∞".into(),
        _ if kind == CountedNumbers::Nanoseconds => Value::Duration(x.round() as i64).to_string(),
        _ if x != 0.0 && !(1e-4..1e15).contains(&x.abs()) => format!("{x:e}"),
        _ => x.to_string(),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rounding {
    Down,
    Up,
}

/// Rounds to so many significant digits, not beyond the number on the other side.
fn rounded(x: f64, digits: usize, rounding: Rounding) -> f64 {
    let text = format!("{x:.*e}", digits - 1);
    let Ok(nearest) = text.parse::<f64>() else { return x };
    let wrong = match rounding {
        Rounding::Down => nearest > x,
        Rounding::Up => nearest < x,
    };
    if !wrong {
        return if nearest.is_finite() { nearest } else { x };
    }

    // One more in the last digit.
    let exponent = text.split_once('e').and_then(|(_, exponent)| exponent.parse::<i32>().ok()).unwrap_or(0);
    let unit = 10f64.powi(exponent + 1 - digits as i32);
    let moved = if rounding == Rounding::Down { nearest - unit } else { nearest + unit };
    let tidy = format!("{moved:.*e}", digits - 1).parse().unwrap_or(x);
    let beyond = if rounding == Rounding::Down { tidy <= x } else { tidy >= x };
    if beyond && f64::is_finite(tidy) { tidy } else { x }
}

/// Returns the bucket that an element of HIST or LHIST shows, or `None` if the text is none.
pub fn labelled_bucket(text: &str) -> Option<LabelledBucket> {
    let (label, count) = text.rsplit_once(": ")?;
    let count = count.parse().ok()?;
    if label == "other" {
        return Some(LabelledBucket { lower: Value::Null, upper: Value::Null, count });
    }

    let (lower, upper) = match label.strip_prefix(['[', '(']).and_then(|text| text.strip_suffix([']', ')'])) {
        Some(both) => both.split_once(", ")?,
        None => (label, label),
    };
    Some(LabelledBucket { lower: value_of(lower)?, upper: value_of(upper)?, count })
}

/// Returns the number or duration that a bound shows.
fn value_of(text: &str) -> Option<Value> {
    if matches!(text, "∞" | "-∞") {
        return Some(Value::Null);
    }
    let integer = text.parse().ok().map(Value::I64);
    let double = || text.parse().ok().map(Value::F64);
    integer.or_else(double).or_else(|| duration_text::parse(text).map(Value::Duration))
}

#[cfg(test)]
mod tests {
    use super::super::ExponentialHistogram;
    use super::*;

    /// The labels of numbers, after a check that each number is within the label of its bucket.
    fn labels(numbers: &[f64], kind: CountedNumbers) -> Vec<String> {
        let mut histogram = ExponentialHistogram::default();
        assert!(numbers.iter().all(|x| histogram.add(*x, 1)));
        let mut sorted = numbers.to_vec();
        sorted.sort_by(f64::total_cmp);

        let mut left = &sorted[..];
        let mut labels = Vec::new();
        for bucket in histogram.buckets() {
            let label = BucketRange::of(bucket, histogram.bounds, kind).label(kind);
            let text = format!("{label}: {}", bucket.count);
            let shown = labelled_bucket(&text).unwrap_or_else(|| panic!("{text}"));
            let (inside, rest) = left.split_at(shown.count as usize);
            let number = |value: &Value| match value {
                Value::Duration(ns) => *ns as f64,
                other => other.as_f64().unwrap_or(f64::NAN),
            };
            let (lower, upper) = (number(&shown.lower), number(&shown.upper));
            for x in inside {
                let above = if label.starts_with('(') { *x > lower } else { *x >= lower };
                let below = if label.ends_with(')') { *x < upper } else { *x <= upper };
                assert!(above && below, "{x} is counted under {label}");
            }
            assert!(!labels.contains(&label), "two buckets are called {label}");
            labels.push(label);
            left = rest;
        }
        assert!(left.is_empty());
        labels
    }

    #[test]
    fn few_values_are_told_apart() {
        assert_eq!(labels(&[3.0], CountedNumbers::Doubles), ["3"]);
        assert_eq!(labels(&[1.0, 2.0, 3.0, -5.0, 0.0], CountedNumbers::Integers), ["-5", "0", "1", "2", "3"]);
        let near = labels(&[999.9, 1000.1, 1000.2, 1000.3], CountedNumbers::Doubles);
        assert!(near[0].starts_with("[999.9, ") && near[3].ends_with(", 1000.3]"), "{near:?}");
        assert_eq!(labels(&[1e6; 4], CountedNumbers::Nanoseconds), ["1ms"]);
    }

    #[test]
    fn extremes_are_finite() {
        assert_eq!(labels(&[f64::MAX], CountedNumbers::Doubles), ["1.7976931348623157e308"]);
        let both = labels(&[f64::MAX, -f64::MAX, 5e-324, 0.0], CountedNumbers::Doubles);
        assert!(both.iter().all(|label| !label.contains("inf") && !label.contains('∞')), "{both:?}");

        // The longest durations, each with one that may share its bucket.
        let shortest = i64::MIN as f64;
        labels(&[shortest], CountedNumbers::Nanoseconds);
        labels(&[shortest, shortest * (1.0 - 1e-12), -1.0, 7.0], CountedNumbers::Nanoseconds);
        labels(&[-shortest, -shortest * (1.0 - 1e-12), 1.0], CountedNumbers::Nanoseconds);
    }

    #[test]
    fn any_numbers_are_within_their_labels() {
        let mut seed = 1u64;
        for round in 0..400 {
            let count = 1 + round % 60;
            let mut numbers = Vec::new();
            for _ in 0..count {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let spread = 10f64.powi((seed >> 60) as i32 * (round % 5) - 8);
                numbers.push(((seed >> 11) as f64 / 1e15 - 4.0) * spread);
            }
            labels(&numbers, CountedNumbers::Doubles);
            let whole: Vec<f64> =
                numbers.iter().map(|x| (x * 1e6).round()).filter(|x| x.abs() < 9e15).collect();
            if !whole.is_empty() {
                labels(&whole, CountedNumbers::Integers);
                labels(&whole, CountedNumbers::Nanoseconds);
            }
        }
    }

    #[test]
    fn labels_are_read_back() {
        let check = |text: &str, lower, upper, count| {
            assert_eq!(labelled_bucket(text), Some(LabelledBucket { lower, upper, count }), "{text}");
        };
        check("[0, 10): 3", Value::I64(0), Value::I64(10), 3);
        check("(1.5, 2.5]: 3", Value::F64(1.5), Value::F64(2.5), 3);
        check("[1ms, 1.5ms]: 1", Value::Duration(1_000_000), Value::Duration(1_500_000), 1);
        check("[-∞, 0): 7", Value::Null, Value::I64(0), 7);
        check("-5: 7", Value::I64(-5), Value::I64(-5), 7);
        check("other: 2", Value::Null, Value::Null, 2);
        assert_eq!(labelled_bucket("a text"), None);
    }
}
