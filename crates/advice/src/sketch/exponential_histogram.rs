//! A base-2 exponential histogram, as OpenTelemetry defines it (data model, "ExponentialHistogram").
//!
//! At scale s a bucket i counts the numbers in `(b^i, b^(i+1)]` with `b = 2^(2^-s)`. When the numbers
//! spread over more than [`MAX_BUCKETS`] buckets, neighbours are merged in pairs and the scale falls by
//! one; so the relative error of a quantile depends on the spread of the numbers and on nothing else,
//! and merging in any order gives the same histogram.

use super::integer_counts::divided;
use std::collections::VecDeque;

/// The most buckets on either side of zero.
pub const MAX_BUCKETS: usize = 160;
/// The finest scale: beyond it doubles have no digits left.
const MAX_SCALE: i8 = 20;
/// The coarsest: all doubles are in one of three buckets.
const MIN_SCALE: i8 = -10;

/// Counts of numbers by their order of magnitude.
#[derive(Debug, Clone, PartialEq)]
pub struct ExponentialHistogram {
    pub(crate) scale: i8,
    pub(crate) zeros: u64,
    pub(crate) positive: DenseBuckets,
    pub(crate) negative: DenseBuckets,
    /// The smallest and the largest number; infinite before the first.
    pub(crate) bounds: (f64, f64),
    /// Whether the numbers are durations in nanoseconds.
    pub(crate) durations: bool,
}

/// Consecutive buckets, the first with number `offset`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DenseBuckets {
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
    /// How many numbers.
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
    /// Counts a finite number; others are not counted, which the result says.
    pub fn add(&mut self, x: f64, weight: u64) -> bool {
        if !x.is_finite() {
            return false;
        }
        self.bounds = (self.bounds.0.min(x), self.bounds.1.max(x));
        if x == 0.0 {
            self.zeros = self.zeros.saturating_add(weight);
            return true;
        }
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

    /// Adds the numbers behind another one.
    pub fn merge(&mut self, other: &ExponentialHistogram) {
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

    fn coarsen(&mut self) {
        self.scale -= 1;
        self.positive.halve();
        self.negative.halve();
    }

    /// Repeats the numbers.
    pub fn scale_by(&mut self, by: u64) {
        if by == 0 {
            *self = ExponentialHistogram::default();
            return;
        }
        self.counts_mut().for_each(|count| *count = count.saturating_mul(by));
    }

    /// About the counts of all rows, of which these are of a fraction.
    pub fn divide(&mut self, fraction: f64) {
        self.counts_mut().for_each(|count| *count = divided(*count, fraction));
    }

    fn counts_mut(&mut self) -> impl Iterator<Item = &mut u64> {
        let sides = self.positive.counts.iter_mut().chain(&mut self.negative.counts);
        sides.chain([&mut self.zeros])
    }

    /// How many numbers there are.
    pub fn count(&self) -> u64 {
        self.buckets().iter().fold(0, |sum, bucket| sum.saturating_add(bucket.count))
    }

    /// How far a quantile may be from the number of that rank, as a fraction of that number.
    pub fn relative_error(&self) -> f64 {
        let base = base(self.scale);
        if base.is_infinite() { 1.0 } else { (base - 1.0) / (base + 1.0) }
    }

    /// The number of rank `ceil(q * count)`, within the relative error; none of no numbers.
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
        let (lower, upper) = (bucket.lower.max(self.bounds.0), bucket.upper.min(self.bounds.1));
        // Equally far from both bounds, in relation to the number.
        let middle = 2.0 / (1.0 / lower + 1.0 / upper);
        Some(if middle.is_finite() { middle.clamp(lower, upper.max(lower)) } else { (lower + upper) / 2.0 })
    }

    /// The buckets that are not empty, ascending.
    pub fn buckets(&self) -> Vec<HistogramBucket> {
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

    /// Whether a number of that index leaves the spread within bounds.
    fn fits(&self, index: i32) -> bool {
        self.spread(index, index) <= MAX_BUCKETS as i64
    }

    fn fits_all(&self, other: &DenseBuckets) -> bool {
        let last = other.offset.saturating_add(other.counts.len() as i32 - 1);
        other.counts.is_empty() || self.spread(other.offset, last) <= MAX_BUCKETS as i64
    }

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

    /// Two neighbours become one: the numbers of both round towards minus infinity to its number.
    fn halve(&mut self) {
        let old = std::mem::take(self);
        for (i, count) in old.counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            self.add((old.offset.saturating_add(i as i32)) >> 1, *count);
        }
    }
}

/// The base of a scale; infinite where the double is.
fn base(scale: i8) -> f64 {
    2f64.powf(2f64.powi(-i32::from(scale)))
}

/// The bucket of a positive number.
fn index(x: f64, scale: i8) -> i32 {
    let scaled = x.log2() * 2f64.powi(i32::from(scale));
    let index = scaled.ceil() - 1.0;
    index as i32
}

/// The bounds of a bucket of positive numbers.
fn limits(index: i32, scale: i8) -> (f64, f64) {
    let bound = |i: f64| 2f64.powf(i * 2f64.powi(-i32::from(scale)));
    (bound(f64::from(index)), bound(f64::from(index) + 1.0))
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
    fn numbers_that_are_not_finite_are_refused() {
        let mut histogram = ExponentialHistogram::default();
        assert!(!histogram.add(f64::NAN, 1) && !histogram.add(f64::INFINITY, 1));
        assert_eq!(histogram.quantile(0.5), None);
    }
}
