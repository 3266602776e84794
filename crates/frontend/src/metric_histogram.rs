//! Histograms of results as Prometheus counts them: how many values are at most so large.
//!
//! The bounds of HIST follow the values and change with them; a series must keep its bound. So they are summed up to powers
//! of two, at which bounds of exponential histograms lie. The bounds of LHIST are those that the query says.

use pivot_advice::Value;
use pivot_advice::sketch::{LabelledBucket, labelled_bucket};

/// The bounds at which values are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BucketBounds {
    /// Bounds of LHIST, which the query says.
    OfQuery,
    /// Powers of two, since those of HIST follow the values.
    PowersOfTwo,
}

/// A bucket with all below it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct CumulativeBucket {
    /// The largest value that is counted in it.
    pub(crate) upper: f64,
    /// How many values are in it and below.
    pub(crate) count: u64,
}

/// Returns the buckets of a histogram, each with all below it, the last of them without a bound; or `None` if the value is no
/// histogram.
pub(crate) fn cumulative_buckets(value: &Value, bounds: BucketBounds) -> Option<Vec<CumulativeBucket>> {
    let Value::List(items) = value else { return None };
    let mut buckets: Vec<CumulativeBucket> = Vec::new();
    // Of values at most so large, and of those without an upper bound.
    let (mut count, mut rest) = (0_u64, 0_u64);

    for item in items.iter() {
        let Value::Str(label) = item else { return None };
        let LabelledBucket { upper, count: more, .. } = labelled_bucket(label)?;
        let Some(upper) = metric_value(&upper) else {
            rest = rest.saturating_add(more);
            continue;
        };

        count = count.saturating_add(more);
        let upper = match bounds {
            BucketBounds::OfQuery => upper,
            BucketBounds::PowersOfTwo => power_of_two_from(upper),
        };

        match buckets.last_mut() {
            Some(last) if last.upper == upper => last.count = count,
            _ => buckets.push(CumulativeBucket { upper, count }),
        }
    }
    buckets.push(CumulativeBucket { upper: f64::INFINITY, count: count.saturating_add(rest) });
    Some(buckets)
}

/// Returns a value as a number, durations and times in seconds, or `None` if it is none.
pub(crate) fn metric_value(value: &Value) -> Option<f64> {
    match value {
        Value::Bool(is_true) => Some(f64::from(u8::from(*is_true))),
        Value::Duration(ns) | Value::Timestamp(ns) => Some(*ns as f64 / 1e9),
        other => other.as_f64(),
    }
}

/// Returns the least power of two that is not less than a number; of negative ones the sign stays.
fn power_of_two_from(number: f64) -> f64 {
    if number == 0.0 || !number.is_finite() {
        return number;
    }
    let exponent = number.abs().log2();
    match number > 0.0 {
        true => exponent.ceil().exp2(),
        false => -exponent.floor().exp2(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn bounds_of_exponential_histograms_become_powers_of_two() {
        for (number, expected) in [(3.0, 4.0), (4.0, 4.0), (0.3, 0.5), (0.0, 0.0), (-3.0, -2.0), (-4.0, -4.0)]
        {
            assert_eq!(power_of_two_from(number), expected, "{number}");
        }
        assert!(power_of_two_from(f64::INFINITY).is_infinite());
    }

    #[test]
    fn each_bucket_has_all_below_it() {
        let list = |labels: &[&str]| Value::List(labels.iter().map(Value::str).collect());
        let buckets = |value: &Value, bounds| {
            let found = cumulative_buckets(value, bounds).unwrap();
            found.into_iter().map(|bucket| (bucket.upper, bucket.count)).collect::<Vec<_>>()
        };
        let value = list(&["[1, 1.5): 2", "[1.5, 2): 3", "[2, 3): 1", "other: 4"]);
        let all = (f64::INFINITY, 10);
        assert_eq!(buckets(&value, BucketBounds::OfQuery), [(1.5, 2), (2.0, 5), (3.0, 6), all]);
        assert_eq!(buckets(&value, BucketBounds::PowersOfTwo), [(2.0, 5), (4.0, 6), all]);
        assert!(cumulative_buckets(&Value::U64(1), BucketBounds::OfQuery).is_none());
    }
}
