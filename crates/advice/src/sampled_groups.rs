//! Groups of a query that processes only a sample of all requests.
//!
//! A throttled query processes one request in `weight`, always the same ones in every process, and each of
//! their rows counts `weight` times (a Horvitz-Thompson estimate): counts and sums are about right as they
//! are. How far they may be off shows in how much the [`SAMPLE_STRATA`] strata differ that a hash of
//! the request's id puts it into:
//!
//! ```text
//! key (host)   stratum  n   SUM(bytes)
//! dn-1            0    12        4,096       the stratum is one more key, behind the others
//! dn-1            1     8        2,048
//! ```

use crate::groups::Groups;

/// The number of strata: parts that all requests are divided into by a hash of their id. How much the strata of
/// a sample differ gives the standard error of a sum over it.
///
/// Agents, the compiler and the frontend must agree on it: groups of a sample carry the number of their stratum
/// as a last key, from 0 up to this.
pub const SAMPLE_STRATA: u8 = 16;

/// The result of a query over a sample of all requests.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SampledGroups {
    /// The groups, with one more key behind the others: the number of the stratum that the request belongs to.
    pub groups: Option<Groups>,
    /// The sum of the weights of all rows.
    pub weights: u64,
    /// The sum of the squares of their weights.
    pub squares: u64,
}

impl SampledGroups {
    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.groups.as_ref().is_none_or(Groups::is_empty) && self.squares == 0
    }

    /// Counts rows that all have one weight.
    pub fn count(&mut self, rows: u64, weight: u64) {
        let weights = rows.saturating_mul(weight);
        self.weights = self.weights.saturating_add(weights);
        self.squares = self.squares.saturating_add(weights.saturating_mul(weight));
    }

    /// Adds the weights of another sample. Its groups are left to the caller, who knows how many fit.
    pub fn merge_counts(&mut self, other: &SampledGroups) {
        self.weights = self.weights.saturating_add(other.weights);
        self.squares = self.squares.saturating_add(other.squares);
    }

    /// Returns the fraction of requests that was processed, 1 if there is no row.
    ///
    /// Where weights differ it is Σ weight / Σ weight², the mean for which the error of a sum comes out
    /// right.
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
