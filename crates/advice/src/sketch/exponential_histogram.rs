//! A base-2 exponential histogram, as OpenTelemetry defines it (data model, "ExponentialHistogram").
//!
//! At scale s a bucket i counts the numbers in `(b^i, b^(i+1)]` with `b = 2^(2^-s)`:
//!
//! ```text
//! scale 1, b = √2    …│ 1 │ 1.41 │ 2 │ 2.83 │ 4 │ 5.66 │ 8 │…      buckets 0, 1, 2, 3, 4, 5
//! scale 0, b = 2     …│ 1 │        2 │        4 │        8 │…      buckets 0, 1, 2: pairs merged
//! ```
//!
//! A histogram begins at the finest scale. When the numbers spread over more than [`MAX_BUCKETS`] buckets on
//! one side of zero, neighbours are merged in pairs and the scale falls by one. So the relative error of a
//! quantile, `(b - 1) / (b + 1)`, depends on the spread of the numbers and on nothing else, and merging in
//! any order gives the same histogram. Typical latencies, 1 µs to 1 s, have scale 2 or 3 and an error of 4 to
//! 9 %.
//!
//! The buckets of one side are a deque of counters from the lowest bucket to the highest, 8 bytes each.

use super::bucket_counts::divided;
use std::collections::VecDeque;

/// The most buckets on either side of zero.
pub const MAX_BUCKETS: usize = 160;
/// The finest scale: beyond it doubles have no digits left.
const MAX_SCALE: i8 = 20;
/// The coarsest: all doubles are in one of three buckets.
const MIN_SCALE: i8 = -10;

/// The distribution of numbers over orders of magnitude; see the head of this file.
#[derive(Debug, Clone, PartialEq)]
pub struct ExponentialHistogram {
    /// Twice as many buckets for each order of magnitude with every step up.
    pub(crate) scale: i8,
    /// Number of zeros: they have no order of magnitude.
    pub(crate) zeros: u64,
    /// Buckets of the numbers above zero.
    pub(crate) positive: DenseBuckets,
    /// Buckets of the numbers below zero, by their absolute value.
    pub(crate) negative: DenseBuckets,
    /// The smallest and the largest number; infinite before the first.
    pub(crate) bounds: (f64, f64),
    /// Whether the numbers are durations in nanoseconds.
    pub(crate) durations: bool,
}

/// The counters of consecutive buckets on one side of zero.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DenseBuckets {
    /// The number of the first bucket.
    pub(crate) offset: i32,
    pub(crate) counts: VecDeque<u64>,
}

/// One bucket that is not empty: numbers in `(lower, upper]`, or in `[lower, upper)` below zero.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HistogramBucket {
    /// Lower bound.
    pub lower: f64,
    /// Upper bound.
    pub upper: f64,
    /// Number of numbers in it.
    pub count: u64,
}

impl Default for ExponentialHistogram {
    fn default() -> ExponentialHistogram {
        ExponentialHistogram {
            scale: MAX_SCALE,
            zeros: 0,
            positive: DenseBuckets::default(),
            negative: DenseBuckets::default(),
            bounds: (f64::INFINITY, f64::NEG_INFINITY),
            durations: false,
        }
    }
}

impl ExponentialHistogram {
    /// Counts a number `weight` times. Returns false, with nothing counted, if it is infinite or no number.
    pub fn add(&mut self, x: f64, weight: u64) -> bool {
        if !x.is_finite() {
            return false;
        }
        self.bounds = (self.bounds.0.min(x), self.bounds.1.max(x));
        if x == 0.0 {
            self.zeros = self.zeros.saturating_add(weight);
            return true;
        }

        // Each round makes half as many buckets of the numbers, so this ends at the latest at the coarsest
        // scale, at which all doubles fit.
        loop {
            let index = index(x.abs(), self.scale);
            let side = if x > 0.0 { &mut self.positive } else { &mut self.negative };
            if side.fits(index) || self.scale <= MIN_SCALE {
                side.add(index, weight);
                return true;
            }
            self.coarsen();
        }
    }

    /// Adds the numbers of another histogram.
    pub fn merge(&mut self, other: &ExponentialHistogram) {
        // Both have to be of one scale, at which the numbers of both together fit.
        let mut other = other.clone();
        while self.scale > other.scale {
            self.coarsen();
        }
        while other.scale > self.scale {
            other.coarsen();
        }
        while !self.has_room_for(&other) && self.scale > MIN_SCALE {
            self.coarsen();
            other.coarsen();
        }

        self.zeros = self.zeros.saturating_add(other.zeros);
        self.positive.merge(&other.positive);
        self.negative.merge(&other.negative);
        self.bounds = (self.bounds.0.min(other.bounds.0), self.bounds.1.max(other.bounds.1));
        self.durations |= other.durations;
    }

    fn has_room_for(&self, other: &ExponentialHistogram) -> bool {
        self.positive.fits_all(&other.positive) && self.negative.fits_all(&other.negative)
    }

    /// Merges buckets in pairs.
    fn coarsen(&mut self) {
        self.scale -= 1;
        self.positive.halve();
        self.negative.halve();
    }

    /// Multiplies all counts: each number counts `by` times from now on.
    pub fn scale_by(&mut self, by: u64) {
        if by == 0 {
            *self = ExponentialHistogram::default();
            return;
        }
        self.counts_mut().for_each(|count| *count = count.saturating_mul(by));
    }

    /// Scales the counts, which are of a fraction of all rows, to about those of all.
    pub fn divide(&mut self, fraction: f64) {
        self.counts_mut().for_each(|count| *count = divided(*count, fraction));
    }

    fn counts_mut(&mut self) -> impl Iterator<Item = &mut u64> {
        let sides = self.positive.counts.iter_mut().chain(&mut self.negative.counts);
        sides.chain([&mut self.zeros])
    }

    /// Returns the number of numbers.
    pub fn count(&self) -> u64 {
        self.buckets().iter().fold(0, |sum, bucket| sum.saturating_add(bucket.count))
    }

    /// Returns how far a quantile may be from the number of that rank, as a fraction of that number.
    pub fn relative_error(&self) -> f64 {
        let base = base(self.scale);
        if base.is_infinite() { 1.0 } else { (base - 1.0) / (base + 1.0) }
    }

    /// Returns the number of rank `ceil(q * count)`, within the relative error, or `None` if there is no
    /// number.
    pub fn quantile(&self, q: f64) -> Option<f64> {
        let buckets = self.buckets();
        let total = buckets.iter().fold(0u64, |sum, bucket| sum.saturating_add(bucket.count));
        let rank = ((q * total as f64).ceil() as u64).clamp(1, total.max(1));

        let mut seen = 0u64;
        let found = buckets.iter().find(|bucket| {
            seen = seen.saturating_add(bucket.count);
            seen >= rank
        });
        let bucket = found?;

        // Within the numbers really seen, so that a quantile is never beyond the least or the largest one.
        let (lower, upper) = (bucket.lower.max(self.bounds.0), bucket.upper.min(self.bounds.1));
        // Equally far from both bounds, in relation to the number.
        let middle = 2.0 / (1.0 / lower + 1.0 / upper);
        // Halves are added, as the sum of two large numbers may be infinite.
        let middle = if middle.is_finite() { middle } else { lower / 2.0 + upper / 2.0 };
        Some(middle.clamp(lower, upper.max(lower)))
    }

    /// Returns the buckets that are not empty, ascending.
    pub fn buckets(&self) -> Vec<HistogramBucket> {
        // The largest absolute value below zero comes first.
        let (offset, scale) = (self.negative.offset, self.scale);
        let negative = self.negative.counts.iter().enumerate().rev().map(|(i, count)| {
            let (lower, upper) = limits(offset.saturating_add(i as i32), scale);
            HistogramBucket { lower: -upper, upper: -lower, count: *count }
        });

        let offset = self.positive.offset;
        let positive = self.positive.counts.iter().enumerate().map(|(i, count)| {
            let (lower, upper) = limits(offset.saturating_add(i as i32), scale);
            HistogramBucket { lower, upper, count: *count }
        });

        let zero = HistogramBucket { lower: 0.0, upper: 0.0, count: self.zeros };
        negative.chain([zero]).chain(positive).filter(|bucket| bucket.count > 0).collect()
    }
}

impl DenseBuckets {
    /// Counts numbers in the bucket of a number, and extends the deque to it.
    fn add(&mut self, index: i32, weight: u64) {
        if self.counts.is_empty() {
            self.offset = index;
        }
        while index < self.offset {
            self.counts.push_front(0);
            self.offset -= 1;
        }

        let place = (index - self.offset) as usize;
        if place >= self.counts.len() {
            self.counts.resize(place + 1, 0);
        }
        self.counts[place] = self.counts[place].saturating_add(weight);
    }

    /// Whether there are not too many buckets with the one of this number.
    fn fits(&self, index: i32) -> bool {
        self.spread(index, index) <= MAX_BUCKETS as i64
    }

    /// Whether there are not too many buckets with all of another one.
    fn fits_all(&self, other: &DenseBuckets) -> bool {
        let last = other.offset.saturating_add(other.counts.len() as i32 - 1);
        other.counts.is_empty() || self.spread(other.offset, last) <= MAX_BUCKETS as i64
    }

    /// Returns the number of buckets from the lowest to the highest if these are added.
    fn spread(&self, first: i32, last: i32) -> i64 {
        let (mut low, mut high) = (i64::from(first), i64::from(last));
        if !self.counts.is_empty() {
            low = low.min(self.offset.into());
            high = high.max(i64::from(self.offset) + self.counts.len() as i64 - 1);
        }
        high - low + 1
    }

    fn merge(&mut self, other: &DenseBuckets) {
        for (i, count) in other.counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            self.add(other.offset.saturating_add(i as i32), *count);
        }
    }

    /// Merges neighbours: bucket numbers 2i and 2i + 1 become i, also below zero.
    fn halve(&mut self) {
        let old = std::mem::take(self);
        for (i, count) in old.counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            self.add((old.offset.saturating_add(i as i32)) >> 1, *count);
        }
    }
}

/// Returns the base b of a scale; it is infinite for scales at which doubles do not hold it.
fn base(scale: i8) -> f64 {
    2f64.powf(2f64.powi(-i32::from(scale)))
}

/// How near to a whole number a logarithm may be that rounding has moved to the other side of it, at any scale.
const NEAR_BOUND: f64 = 1e-5;

/// Returns the number of the bucket of a positive number.
#[inline]
fn index(x: f64, scale: i8) -> i32 {
    let scaled = x.log2() * 2f64.powi(i32::from(scale));
    let above = scaled.ceil();

    // From 0 to 1: both ends are near a bound.
    let gap = above - scaled;
    if (gap - 0.5).abs() > 0.5 - NEAR_BOUND {
        let bound = if gap < 0.5 { above } else { above - 1.0 };
        return index_near_bound(x, bound, scale);
    }
    let index = above - 1.0;
    index as i32
}

/// Returns the number of the bucket of a number that is near the bound of two: the bound itself decides, which is what
/// people are shown, and not the logarithm, which is rounded.
#[cold]
fn index_near_bound(x: f64, bound: f64, scale: i8) -> i32 {
    let index = if x <= lower_bound(bound, scale) { bound - 1.0 } else { bound };
    index as i32
}

/// Returns the bounds of a bucket of positive numbers.
fn limits(index: i32, scale: i8) -> (f64, f64) {
    (lower_bound(f64::from(index), scale), lower_bound(f64::from(index) + 1.0, scale))
}

/// Returns b^i at a scale.
fn lower_bound(i: f64, scale: i8) -> f64 {
    2f64.powf(i * 2f64.powi(-i32::from(scale)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A number of rank `ceil(q n)`.
    fn exact(numbers: &mut [f64], q: f64) -> f64 {
        numbers.sort_by(f64::total_cmp);
        numbers[((q * numbers.len() as f64).ceil() as usize).clamp(1, numbers.len()) - 1]
    }

    fn of(numbers: &[f64]) -> ExponentialHistogram {
        let mut all = ExponentialHistogram::default();
        assert!(numbers.iter().all(|x| all.add(*x, 1)));
        all
    }

    fn check(mut numbers: Vec<f64>) {
        let (histogram, third) = (of(&numbers), numbers.len() / 3);
        for q in [0.0, 0.01, 0.5, 0.9, 0.99, 0.999, 1.0] {
            let (found, truth) = (histogram.quantile(q).unwrap_or(f64::NAN), exact(&mut numbers, q));
            let allowed = histogram.relative_error() * truth.abs() * (1.0 + 1e-9);
            assert!((found - truth).abs() <= allowed, "q {q}: {found} instead of {truth} ± {allowed}");
        }
        let mut merged = of(&numbers[third..]);
        merged.merge(&of(&numbers[..third]));
        assert_eq!(merged, histogram);
        assert_eq!(histogram.count(), numbers.len() as u64);
    }

    #[test]
    fn quantiles_are_within_the_stated_error() {
        check((1..=1000).map(f64::from).collect());
        check((0..2000).map(|i| 1.01f64.powi(i) * 1e-6).collect());
        check((-500..=500).map(|i| f64::from(i) * 0.25).collect());
        check(vec![0.0, 5e-324, 1.0, f64::MAX, -f64::MAX]);
        check(vec![42.0; 10]);
    }

    #[test]
    fn a_narrow_spread_has_a_small_error() {
        let narrow = of(&(1000..1100).map(f64::from).collect::<Vec<_>>());
        assert!(narrow.relative_error() < 0.001, "{}", narrow.relative_error());
        let wide = of(&[1.0, 1e3, 1e6, 1e9]);
        assert!(wide.relative_error() < 0.1, "{}", wide.relative_error());
    }

    #[test]
    fn a_quantile_is_never_beyond_the_numbers() {
        assert_eq!(of(&[f64::MAX]).quantile(0.5), Some(f64::MAX));
        assert_eq!(of(&[-f64::MAX; 3]).quantile(0.99), Some(-f64::MAX));
        assert_eq!(of(&[5e-324]).quantile(0.5), Some(5e-324));
    }

    #[test]
    fn numbers_that_are_not_finite_are_refused() {
        let mut histogram = ExponentialHistogram::default();
        assert!(!histogram.add(f64::NAN, 1) && !histogram.add(f64::INFINITY, 1));
        assert_eq!(histogram.quantile(0.5), None);
    }
}
