//! The most frequent values: space-saving (Metwally et al., 2005), merged as Agarwal et al. (2012) do.
//!
//! A count is never too low and at most its `excess` too high; the excess is never more than the
//! `CAPACITY`th part of all rows. Up to that many different values, all counts are exact.

use super::integer_counts::divided;
use crate::value::Value;
use foldhash::fast::RandomState;
use hashbrown::HashMap;

/// How many values are counted at a time.
pub(crate) const CAPACITY: usize = 256;

/// The count of one value.
#[derive(Debug, Clone, PartialEq)]
pub struct FrequencyCounter {
    /// The value.
    pub value: Value,
    /// How often it occurred, at most.
    pub count: u64,
    /// How much of the count may belong to values that were displaced.
    pub excess: u64,
}

/// Counters of the values that may be frequent.
#[derive(Debug, Clone, Default)]
pub struct SpaceSaving {
    counters: HashMap<Value, (u64, u64), RandomState>,
}

/// Equal if they count alike.
impl PartialEq for SpaceSaving {
    fn eq(&self, other: &SpaceSaving) -> bool {
        self.counters == other.counters
    }
}

impl SpaceSaving {
    /// Counts a value.
    pub fn add(&mut self, value: &Value, weight: u64) {
        if weight == 0 {
            return;
        }
        if let Some((count, _)) = self.counters.get_mut(value) {
            *count = count.saturating_add(weight);
            return;
        }
        let displaced = if self.counters.len() < CAPACITY { None } else { self.rarest() };
        let excess = displaced.as_ref().map_or(0, |rarest| rarest.count);
        if let Some(rarest) = displaced {
            self.counters.remove(&rarest.value);
        }
        self.counters.insert(value.clone(), (excess.saturating_add(weight), excess));
    }

    fn rarest(&self) -> Option<FrequencyCounter> {
        self.iter().min_by(|a, b| a.count.cmp(&b.count).then_with(|| a.value.group_cmp(&b.value)))
    }

    /// What a value that is not counted may have occurred at most.
    fn unseen(&self) -> u64 {
        if self.counters.len() < CAPACITY { 0 } else { self.rarest().map_or(0, |rarest| rarest.count) }
    }

    /// Adds the counts of another one.
    pub fn merge(&mut self, other: &SpaceSaving) {
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

    /// About the counts of all rows, of which these are of a fraction.
    pub fn divide(&mut self, fraction: f64) {
        for (count, excess) in self.counters.values_mut() {
            (*count, *excess) = (divided(*count, fraction), divided(*excess, fraction));
        }
    }

    /// All counters, most frequent first.
    pub fn ranked(&self) -> Vec<FrequencyCounter> {
        let mut all: Vec<FrequencyCounter> = self.iter().collect();
        all.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.value.group_cmp(&b.value)));
        all
    }

    /// All counters in no order.
    pub fn iter(&self) -> impl Iterator<Item = FrequencyCounter> {
        self.counters.iter().map(|(value, (count, excess))| FrequencyCounter {
            value: value.clone(),
            count: *count,
            excess: *excess,
        })
    }

    /// Takes a counter over as it is; beyond the capacity it is left out.
    pub(crate) fn restore(&mut self, counter: FrequencyCounter) {
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
