//! The most frequent values: Space-Saving (Metwally, Agrawal, El Abbadi, 2005), merged as Agarwal et al.
//! (2012) do.
//!
//! There are `CAPACITY` counters. A value without a counter takes over the smallest one, with its count:
//!
//! ```text
//! a 9, b 5, c 2 (full)  ── d ──▶  a 9, b 5, d 3 (excess 2)      d occurred 1 to 3 times
//! ```
//!
//! So a count is never too low and at most its `excess` too high, and the excess is never more than the
//! `CAPACITY`th part of all rows. Up to that many different values, all counts are exact.
//!
//! The counters are a hash table; the smallest is searched for, which costs a pass over 256 counters for each
//! row with a value that has none.

use super::bucket_counts::divided;
use crate::value::Value;
use foldhash::fast::RandomState;
use hashbrown::HashMap;

/// The number of counters.
pub(crate) const CAPACITY: usize = 256;

/// The count of one value.
#[derive(Debug, Clone, PartialEq)]
pub struct ValueCounter {
    /// The value.
    pub value: Value,
    /// The most often that it may have occurred.
    pub count: u64,
    /// The part of the count that may belong to values that had the counter before.
    pub excess: u64,
}

/// Counters of the values that may be frequent.
#[derive(Debug, Clone, Default)]
pub struct SpaceSaving {
    /// Count and excess of each value.
    counters: HashMap<Value, (u64, u64), RandomState>,
}

/// Two are equal if they have equal counters.
impl PartialEq for SpaceSaving {
    fn eq(&self, other: &SpaceSaving) -> bool {
        self.counters == other.counters
    }
}

impl SpaceSaving {
    /// Counts a value `weight` times.
    pub fn add(&mut self, value: &Value, weight: u64) {
        if weight == 0 {
            return;
        }
        if let Some((count, _)) = self.counters.get_mut(value) {
            *count = count.saturating_add(weight);
            return;
        }

        // The value takes the smallest counter over, unless one is free.
        let displaced = if self.counters.len() < CAPACITY { None } else { self.rarest() };
        let excess = displaced.as_ref().map_or(0, |rarest| rarest.count);
        if let Some(rarest) = displaced {
            self.counters.remove(&rarest.value);
        }
        self.counters.insert(value.clone(), (excess.saturating_add(weight), excess));
    }

    /// Returns the smallest counter; of several the one of the smallest value, so that the result does not
    /// depend on the order in a hash table.
    fn rarest(&self) -> Option<ValueCounter> {
        self.iter().min_by(|a, b| a.count.cmp(&b.count).then_with(|| a.value.group_cmp(&b.value)))
    }

    /// Returns the most often that a value without a counter may have occurred.
    fn unseen(&self) -> u64 {
        if self.counters.len() < CAPACITY { 0 } else { self.rarest().map_or(0, |rarest| rarest.count) }
    }

    /// Adds the counters of another one, and keeps the largest.
    pub fn merge(&mut self, other: &SpaceSaving) {
        // A value that one side has no counter for may have occurred there as often as its smallest one says.
        let (mine, theirs) = (self.unseen(), other.unseen());
        for (value, (count, excess)) in &mut self.counters {
            let (more, more_excess) = other.counters.get(value).copied().unwrap_or((theirs, theirs));
            (*count, *excess) = (count.saturating_add(more), excess.saturating_add(more_excess));
        }
        for (value, (count, excess)) in &other.counters {
            let of_both = (count.saturating_add(mine), excess.saturating_add(mine));
            self.counters.entry(value.clone()).or_insert(of_both);
        }

        let surplus = self.ranked().split_off(self.counters.len().min(CAPACITY));
        surplus.iter().for_each(|counter| {
            self.counters.remove(&counter.value);
        });
    }

    /// Multiplies all counts.
    pub fn scale(&mut self, by: u64) {
        for (count, excess) in self.counters.values_mut() {
            (*count, *excess) = (count.saturating_mul(by), excess.saturating_mul(by));
        }
    }

    /// Scales the counts, which are of a fraction of all rows, to about those of all.
    pub fn divide(&mut self, fraction: f64) {
        for (count, excess) in self.counters.values_mut() {
            (*count, *excess) = (divided(*count, fraction), divided(*excess, fraction));
        }
    }

    /// Returns all counters, the largest first.
    pub fn ranked(&self) -> Vec<ValueCounter> {
        let mut all: Vec<ValueCounter> = self.iter().collect();
        all.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.value.group_cmp(&b.value)));
        all
    }

    /// Returns all counters in no order.
    pub fn iter(&self) -> impl Iterator<Item = ValueCounter> {
        self.counters.iter().map(|(value, (count, excess))| ValueCounter {
            value: value.clone(),
            count: *count,
            excess: *excess,
        })
    }

    /// Adds a decoded counter as it is, unless all are taken.
    pub(crate) fn restore(&mut self, counter: ValueCounter) {
        if self.counters.len() < CAPACITY {
            self.counters.insert(counter.value, (counter.count, counter.excess));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Value i occurs i times, for i below `size`, spread over two halves.
    fn halves(size: u64) -> (SpaceSaving, SpaceSaving) {
        let (mut even, mut odd) = (SpaceSaving::default(), SpaceSaving::default());
        for i in 1..size {
            even.add(&Value::U64(i), i / 2);
            odd.add(&Value::U64(size - i), (size - i).div_ceil(2));
        }
        (even, odd)
    }

    #[test]
    fn few_values_are_counted_exactly() {
        let (mut all, odd) = halves(CAPACITY as u64);
        all.merge(&odd);
        let ranked = all.ranked();
        assert_eq!((ranked[0].value.clone(), ranked[0].count), (Value::U64(255), 255));
        assert!(ranked.iter().all(|counter| counter.excess == 0));
    }

    #[test]
    fn values_of_equal_counts_are_ranked_by_value() {
        let values = [Value::F64(5.0), Value::I64(5), Value::str("5"), Value::I64(3), Value::F64(4.5)];
        let ranked = [Value::I64(3), Value::F64(4.5), Value::I64(5), Value::F64(5.0), Value::str("5")];
        for turn in 0..values.len() {
            // Every table hashes in its own way.
            let mut top = SpaceSaving::default();
            values.iter().cycle().skip(turn).take(values.len()).for_each(|value| top.add(value, 2));
            assert_eq!(top.ranked().into_iter().map(|counter| counter.value).collect::<Vec<_>>(), ranked);
        }
    }

    #[test]
    fn counts_of_many_values_are_within_their_excess() {
        let (mut all, odd) = halves(2_000);
        all.merge(&odd);
        let total: u64 = (1..2_000).sum();
        for counter in all.ranked() {
            let truth = counter.value.as_integer().unwrap_or(0) as u64;
            assert!(counter.count >= truth && counter.count - counter.excess <= truth, "{counter:?}");
            assert!(counter.excess <= 2 * total / CAPACITY as u64, "{counter:?}");
        }
    }
}
