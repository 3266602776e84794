//! Finished sketches as lists of text, one bucket or value each.
//!
//! ```text
//! HIST(latency)                  ["(1ms, 1.09ms]: 12", "(1.09ms, 1.189ms]: 30"]
//! LHIST(size, 0, 30, 10)         ["[0, 10): 1", "[10, 20): 2", "[30, ∞): 8"]
//! TOPK(path, 2)                  ["/index: 40", "/login: 7 (-2)"]          at most 7, at least 5
//! ```

use crate::sketch::{BucketCounts, ExponentialHistogram, SpaceSaving};
use crate::value::Value;

/// Buckets of one width, and one more at either end for what lies outside.
pub(crate) struct LinearBuckets {
    /// Lower bound of the first bucket.
    pub(crate) least: f64,
    /// Width of a bucket.
    pub(crate) step: f64,
    /// Number of buckets.
    pub(crate) count: u16,
    /// Whether bounds are durations in nanoseconds.
    pub(crate) durations: bool,
}

impl LinearBuckets {
    /// Returns the number of the bucket above the last.
    fn above(&self) -> i64 {
        i64::from(self.count) + 1
    }

    fn lower_bound(&self, number: i64) -> f64 {
        match number {
            ..=0 => f64::NEG_INFINITY,
            number => self.least + self.step * (number.min(self.above()) - 1) as f64,
        }
    }

    fn upper_bound(&self, number: i64) -> f64 {
        match number {
            number if number >= self.above() => f64::INFINITY,
            number => self.least + self.step * number.max(0) as f64,
        }
    }
}

fn list(texts: impl Iterator<Item = String>) -> Value {
    Value::List(texts.map(Value::str).collect())
}

/// Returns a bound as text; with an exponent if it is very large or small, as a duration if it is one.
fn bound(x: f64, durations: bool) -> String {
    match x {
        f64::INFINITY => "∞".into(),
        f64::NEG_INFINITY => "-∞".into(),
        _ if durations => Value::Duration(x.round() as i64).to_string(),
        _ if x != 0.0 && !(1e-4..1e15).contains(&x.abs()) => format!("{x:e}"),
        _ => x.to_string(),
    }
}

/// Rounds to four significant digits.
fn rounded(x: f64) -> f64 {
    if x == 0.0 || !x.is_finite() {
        return x;
    }
    let unit = 10f64.powi(x.abs().log10().floor() as i32 - 3);
    if unit == 0.0 || !unit.is_finite() { x } else { (x / unit).round() * unit }
}

/// Returns `(lower, upper]: count` for each bucket, the bounds rounded to four digits.
pub(crate) fn buckets(histogram: &ExponentialHistogram) -> Value {
    // A bucket is open on the side of zero: the bounds of a negative one are turned round.
    list(histogram.buckets().into_iter().map(|bucket| match bucket.upper {
        0.0 if bucket.lower == 0.0 => format!("{}: {}", bucket_bound(0.0, histogram), bucket.count),
        upper if upper <= 0.0 => format!(
            "[{}, {}): {}",
            bucket_bound(bucket.lower, histogram),
            bucket_bound(upper, histogram),
            bucket.count
        ),
        upper => format!(
            "({}, {}]: {}",
            bucket_bound(bucket.lower, histogram),
            bucket_bound(upper, histogram),
            bucket.count
        ),
    }))
}

fn bucket_bound(x: f64, histogram: &ExponentialHistogram) -> String {
    bound(tidied(rounded(x)), histogram.durations)
}

/// Returns the nearest double with a short decimal form.
fn tidied(x: f64) -> f64 {
    format!("{x:.3e}").parse().unwrap_or(x)
}

/// Returns `[lower, upper): count` for each bucket; those at the ends are unbounded.
pub(crate) fn linear(counts: &BucketCounts, buckets: LinearBuckets) -> Value {
    let inside = counts.counts.iter().map(|(number, count)| {
        let lower = bound(buckets.lower_bound(*number), buckets.durations);
        let upper = bound(buckets.upper_bound(*number), buckets.durations);
        format!("[{lower}, {upper}): {count}")
    });
    list(inside.chain(other(counts)))
}

/// Returns `number: count` for each number.
pub(crate) fn tally(counts: &BucketCounts) -> Value {
    list(counts.counts.iter().map(|(number, count)| format!("{number}: {count}")).chain(other(counts)))
}

/// Returns the line for numbers without a counter of their own, if there are any.
fn other(counts: &BucketCounts) -> Option<String> {
    (counts.other > 0).then(|| format!("other: {}", counts.other))
}

/// Returns `value: count` of the `k` most frequent values, and in parentheses how much less it may be.
pub(crate) fn top(top: &SpaceSaving, k: usize) -> Value {
    list(top.ranked().into_iter().take(k).map(|counter| match counter.excess {
        0 => format!("{}: {}", counter.value, counter.count),
        excess => format!("{}: {} (-{excess})", counter.value, counter.count),
    }))
}
