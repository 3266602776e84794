//! Finished sketches as lists of text, one bucket or value each.
//!
//! ```text
//! HIST(latency)                  ["[1ms, 1.090507ms]: 12", "[1.090508ms, 1.189207ms]: 30"]
//! LHIST(size, 0, 30, 10)         ["[0, 10): 1", "[10, 20): 2", "[30, ∞): 8"]
//! TOPK(path, 2)                  ["/index: 40", "/login: 7 (-2)"]          at most 7, at least 5
//! ```

use super::bucket_label::{CountedNumbers, bound, labelled_counts};
use crate::bucket_edge::bucket_edge;
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
            number => bucket_edge(self.least, self.step, number.min(self.above()) - 1),
        }
    }

    fn upper_bound(&self, number: i64) -> f64 {
        match number {
            number if number >= self.above() => f64::INFINITY,
            number => bucket_edge(self.least, self.step, number.max(0)),
        }
    }
}

fn list(texts: impl Iterator<Item = String>) -> Value {
    Value::List(texts.map(Value::str).collect())
}

/// Returns `(lower, upper]: count` for each bucket of any numbers.
pub(crate) fn buckets(histogram: &ExponentialHistogram) -> Value {
    let kind = if histogram.durations { CountedNumbers::Nanoseconds } else { CountedNumbers::Doubles };
    bucket_list(histogram, kind)
}

/// Returns `[lower, upper]: count` for each bucket of integers, whose bounds are integers too.
pub(crate) fn integer_buckets(histogram: &ExponentialHistogram) -> Value {
    let kind = if histogram.durations { CountedNumbers::Nanoseconds } else { CountedNumbers::Integers };
    bucket_list(histogram, kind)
}

fn bucket_list(histogram: &ExponentialHistogram, kind: CountedNumbers) -> Value {
    let labelled = labelled_counts(histogram, kind);
    list(labelled.into_iter().map(|(label, count)| format!("{label}: {count}")))
}

/// Returns `[lower, upper): count` for each bucket; those at the ends are unbounded.
pub(crate) fn linear(counts: &BucketCounts, buckets: LinearBuckets) -> Value {
    let inside = counts.counts.iter().map(|(number, count)| {
        let kind = if buckets.durations { CountedNumbers::Nanoseconds } else { CountedNumbers::Doubles };
        let (lower, upper) = (buckets.lower_bound(*number), buckets.upper_bound(*number));
        let (lower, upper) = (bound(lower, kind), bound(upper, kind));
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
