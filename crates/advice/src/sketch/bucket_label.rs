//! Buckets of a histogram as text, and back.
//!
//! ```text
//! (999.9, 1000.1]     numbers above 999.9, up to 1000.1
//! [126, 128]          integers from 126 to 128
//! 3                   this number alone
//! ```
//!
//! Every number lies within the label that it is counted under, and within no other. So where two buckets meet, their
//! common bound is shown to the last digit: numbers may lie anywhere beside it. A bound with an empty bucket beside it
//! is rounded into that, to as many digits as the width of its bucket needs. The least and the largest number are
//! known: the outermost buckets end there.

use super::{ExponentialHistogram, HistogramBucket};
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
struct BucketRange {
    lower: f64,
    upper: f64,
    /// Whether the lower bound itself is in the bucket.
    with_lower: bool,
    /// Whether the upper bound itself is in the bucket.
    with_upper: bool,
}

impl BucketRange {
    /// Returns the range of a bucket of a histogram whose least and largest number are known.
    fn of(bucket: HistogramBucket, bounds: (f64, f64), kind: CountedNumbers) -> BucketRange {
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
        let (above, below) = (self.lower.floor() + 1.0, self.upper.ceil() - 1.0);
        let first = if self.with_lower { self.lower.ceil() } else { above };
        let last = if self.with_upper { self.upper.floor() } else { below };
        match first <= last {
            true => BucketRange { lower: first, upper: last, with_lower: true, with_upper: true },
            false => self,
        }
    }

    /// Returns the range as text. Its bounds may be rounded to others within `room`, where no other bucket is.
    fn label(self, room: (f64, f64), kind: CountedNumbers) -> String {
        if self.lower == self.upper {
            return bound(self.lower, kind);
        }

        let width = self.upper - self.lower;
        let rounded = DIGITS.map(|digits| BucketRange {
            lower: rounded(self.lower, digits, Rounding::Down),
            upper: rounded(self.upper, digits, Rounding::Up),
            ..self
        });
        // Each bound is moved by itself, since there may be room on one side only.
        let in_room = rounded.map(|wider| BucketRange {
            lower: if wider.lower >= room.0 { wider.lower } else { self.lower },
            upper: if wider.upper <= room.1 { wider.upper } else { self.upper },
            ..self
        });
        let mut narrow = in_room.filter(|wider| wider.upper - wider.lower <= width * (1.0 + MOST_WIDENED));
        let shown = narrow.next().unwrap_or(self);

        // A bound that was moved is not in the bucket.
        let open = if self.with_lower && shown.lower == self.lower { '[' } else { '(' };
        let close = if self.with_upper || shown.upper != self.upper { ']' } else { ')' };
        format!("{open}{}, {}{close}", bound(shown.lower, kind), bound(shown.upper, kind))
    }
}

/// Returns the label and the count of each bucket of a histogram that is not empty, ascending.
pub(super) fn labelled_counts(histogram: &ExponentialHistogram, kind: CountedNumbers) -> Vec<(String, u64)> {
    let buckets = histogram.buckets();
    let ranges: Vec<BucketRange> =
        buckets.iter().map(|bucket| BucketRange::of(*bucket, histogram.bounds, kind)).collect();

    // A duration beyond the longest would show as the longest, and not as a bound that was moved.
    let (least, most) = match kind {
        CountedNumbers::Nanoseconds => (i64::MIN as f64, i64::MAX as f64),
        CountedNumbers::Doubles | CountedNumbers::Integers => (f64::NEG_INFINITY, f64::INFINITY),
    };
    let middle = |below: f64, above: f64| below + (above - below) / 2.0;

    let mut labelled = Vec::with_capacity(buckets.len());
    for (i, range) in ranges.iter().enumerate() {
        // What lies between two buckets is divided between them.
        let before = i.checked_sub(1).and_then(|before| ranges.get(before));
        let after = ranges.get(i + 1);
        let room = (
            before.map_or(least, |before| middle(before.upper, range.lower).max(before.upper)),
            after.map_or(most, |after| middle(range.upper, after.lower).min(after.lower)),
        );
        labelled.push((range.label(room, kind), buckets[i].count));
    }
    labelled
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
    use super::*;

    /// A bucket as it is shown.
    #[derive(Debug, Clone, PartialEq)]
    struct Shown {
        label: String,
        lower: f64,
        upper: f64,
    }

    impl Shown {
        fn read(text: &str) -> (Shown, usize) {
            let found = labelled_bucket(text).unwrap_or_else(|| panic!("{text}"));
            let number = |value: &Value| match value {
                Value::Duration(ns) => *ns as f64,
                other => other.as_f64().unwrap_or(f64::NAN),
            };
            let label = text.rsplit_once(": ").map_or("", |(label, _)| label).to_owned();
            let (lower, upper) = (number(&found.lower), number(&found.upper));
            (Shown { label, lower, upper }, found.count as usize)
        }

        fn contains(&self, x: f64) -> bool {
            let above = if self.label.starts_with('(') { x > self.lower } else { x >= self.lower };
            let below = if self.label.ends_with(')') { x < self.upper } else { x <= self.upper };
            above && below
        }

        /// Whether all numbers in it are below those in the next.
        fn is_below(&self, next: &Shown) -> bool {
            let touches =
                self.upper == next.lower && (self.label.ends_with(')') || next.label.starts_with('('));
            self.upper < next.lower || touches
        }
    }

    /// The labels of numbers, after a check that each number is within the label of its bucket and within no other.
    fn labels(numbers: &[f64], kind: CountedNumbers) -> Vec<String> {
        let mut histogram = ExponentialHistogram::default();
        assert!(numbers.iter().all(|x| histogram.add(*x, 1)));
        let mut sorted = numbers.to_vec();
        sorted.sort_by(f64::total_cmp);

        let mut left = &sorted[..];
        let mut labels: Vec<Shown> = Vec::new();
        for (label, count) in labelled_counts(&histogram, kind) {
            let (shown, count) = Shown::read(&format!("{label}: {count}"));
            let (inside, rest) = left.split_at(count);
            let outside = inside.iter().find(|x| !shown.contains(**x));
            assert_eq!(outside, None, "a number is counted under {label}");
            if let Some(before) = labels.last() {
                assert!(before.is_below(&shown), "{} and {label} overlap", before.label);
            }
            labels.push(shown);
            left = rest;
        }
        assert!(left.is_empty());
        labels.into_iter().map(|shown| shown.label).collect()
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
    fn dense_numbers_are_within_one_label_each() {
        // Buckets are neighbours here, and numbers lie at their bounds and as near to them as doubles get.
        let mut numbers: Vec<f64> = (1..3000).map(|i| 1.0 + f64::from(i) * 1e-3).collect();
        let mut histogram = ExponentialHistogram::default();
        assert!(numbers.iter().all(|x| histogram.add(*x, 1)));
        for bucket in histogram.buckets() {
            numbers.extend([bucket.lower.next_down(), bucket.lower, bucket.lower.next_up()]);
        }
        labels(&numbers, CountedNumbers::Doubles);
        let negative: Vec<f64> = numbers.iter().map(|x| -x).collect();
        labels(&negative, CountedNumbers::Doubles);

        let whole: Vec<f64> = (10_000..50_000).map(f64::from).collect();
        labels(&whole, CountedNumbers::Integers);
        labels(&whole, CountedNumbers::Nanoseconds);
    }

    /// Numbers that are the same in each run.
    struct Numbers(u64);

    impl Numbers {
        fn bits(&mut self) -> u64 {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            self.0 ^ self.0 >> 29
        }

        /// A number from 0 to below 1.
        fn part(&mut self) -> f64 {
            (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
        }
    }

    #[test]
    fn labels_divide_whatever_is_counted() {
        let mut random = Numbers(7);
        for round in 0..300_usize {
            // Some numbers of any size, and many of a few sizes.
            let any = (0..round % 7).map(|_| f64::from_bits(random.bits())).filter(|x| x.is_finite());
            let mut numbers: Vec<f64> = any.collect();
            let spread = 2f64.powi((round % 9) as i32);
            let sign = if round % 3 == 0 { -1.0 } else { 1.0 };
            numbers.extend((0..1 + round * 3).map(|_| sign * (0.5 + random.part() * spread)));
            labels(&numbers, CountedNumbers::Doubles);

            let most = 10f64.powi((round % 12) as i32);
            let whole: Vec<f64> = (0..1 + round * 3).map(|_| (sign * random.part() * most).round()).collect();
            labels(&whole, CountedNumbers::Integers);
            labels(&whole, CountedNumbers::Nanoseconds);
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
