//! Counts of each bucket of a histogram whose buckets the user has chosen (LHIST, `width_bucket`).
//!
//! The query computes the number of the bucket (`width_bucket`, `truncate`), and this counts how often each
//! number occurs: a tree of at most 1,000 counters, and one more for all numbers that find no room.

use std::collections::BTreeMap;

/// The most numbers that have counters of their own.
pub(crate) const MAX_NUMBERS: usize = 1_000;

/// How often each bucket of a histogram occurred, by the bucket's number.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct BucketCounts {
    /// The count of each number.
    pub counts: BTreeMap<i64, u64>,
    /// Occurrences of numbers that found no room.
    pub other: u64,
}

impl BucketCounts {
    /// Counts a number `weight` times.
    pub fn add(&mut self, number: i64, weight: u64) {
        let full = self.counts.len() >= MAX_NUMBERS;
        let count = match self.counts.get_mut(&number) {
            Some(count) => count,
            None if full => &mut self.other,
            None => self.counts.entry(number).or_default(),
        };
        *count = count.saturating_add(weight);
    }

    /// Adds other counts.
    pub fn merge(&mut self, other: &BucketCounts) {
        other.counts.iter().for_each(|(number, count)| self.add(*number, *count));
        self.other = self.other.saturating_add(other.other);
    }

    /// Multiplies all counts.
    pub fn scale(&mut self, by: u64) {
        self.counts.values_mut().for_each(|count| *count = count.saturating_mul(by));
        self.other = self.other.saturating_mul(by);
    }

    /// Scales the counts, which are of a fraction of all rows, to about those of all.
    pub fn divide(&mut self, fraction: f64) {
        self.counts
            .values_mut()
            .chain([&mut self.other])
            .for_each(|count| *count = divided(*count, fraction));
    }
}

/// Returns about how many rows there are in all if `count` are in a fraction of them.
pub(super) fn divided(count: u64, fraction: f64) -> u64 {
    (count as f64 / fraction).round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_beyond_the_bound_are_counted_together() {
        let mut tally = BucketCounts::default();
        (0..MAX_NUMBERS as i64 + 5).for_each(|number| tally.add(number, 2));
        tally.add(0, 1);
        assert_eq!((tally.counts.len(), tally.other, tally.counts[&0]), (MAX_NUMBERS, 10, 3));
    }
}
