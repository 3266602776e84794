//! Rows that each stand for several: those of a query that looks at some requests only.
//!
//! A row counts as often as its weight says, so counts and sums are right as they are. How far they may
//! be off shows in how much the parts differ that requests fall into.

use crate::groups::Groups;

/// The number of parts that all requests are divided into by a hash of their id. How much the parts of a
/// sample differ gives the standard error of a sum over it.
///
/// Agents, the compiler and the frontend must agree on it: groups of a sample carry the number of their part
/// as a last key, from 0 up to this.
pub const SAMPLE_PARTS: u8 = 16;

/// What was found in a sample of all requests.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SampledGroups {
    /// Groups with one more key, behind the others: which part of all requests the rows are from.
    pub groups: Option<Groups>,
    /// The sum over all rows of what they count for.
    pub weights: u64,
    /// The sum of the squares of it.
    pub squares: u64,
}

impl SampledGroups {
    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.groups.as_ref().is_none_or(Groups::is_empty) && self.squares == 0
    }

    /// Counts rows of one weight.
    pub fn count(&mut self, rows: u64, weight: u64) {
        let weights = rows.saturating_mul(weight);
        self.weights = self.weights.saturating_add(weights);
        self.squares = self.squares.saturating_add(weights.saturating_mul(weight));
    }

    /// Adds the counts of another sample. Its groups are left to the caller, who knows how many fit.
    pub fn merge_counts(&mut self, other: &SampledGroups) {
        self.weights = self.weights.saturating_add(other.weights);
        self.squares = self.squares.saturating_add(other.squares);
    }

    /// Which fraction of all requests was looked at: of rows of several weights such a mean that the
    /// error of a sum over them comes out right.
    pub fn fraction(&self) -> f64 {
        if self.squares == 0 { 1.0 } else { (self.weights as f64 / self.squares as f64).min(1.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fraction_is_that_of_the_weights() {
        let mut sampled = SampledGroups::default();
        assert_eq!((sampled.fraction(), sampled.is_empty()), (1.0, true));
        sampled.count(10, 4);
        assert_eq!(sampled.fraction(), 0.25);
        let mut other = SampledGroups::default();
        other.count(10, 2);
        sampled.merge_counts(&other);
        assert_eq!(sampled.fraction(), 60.0 / 200.0);
    }
}
