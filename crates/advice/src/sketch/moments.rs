//! Mean and variance, merged as Chan, Golub and LeVeque (1983) do.
//!
//! A sum of squares would lose all digits where numbers are large and close to each other. What is kept
//! instead is the sum of squared differences from the mean, often called M2:
//!
//! ```text
//! δ  = mean_b - mean_a
//! M2 = M2_a + M2_b + δ² · n_a · n_b / (n_a + n_b)          mean = mean_a + δ · n_b / (n_a + n_b)
//! ```

/// The number of numbers, their mean, and the sum of squared differences from it.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Moments {
    /// Number of numbers.
    pub count: u64,
    /// Mean of the numbers.
    pub mean: f64,
    /// Sum of squared differences from the mean (M2).
    pub squares: f64,
    /// Whether the numbers are durations in nanoseconds.
    pub durations: bool,
}

impl Moments {
    /// Returns the moments of one number that counts `weight` times.
    pub fn of(x: f64, weight: u64) -> Moments {
        // Infinity minus infinity is no number, so neither is the variance.
        let squares = if x.is_finite() { 0.0 } else { f64::NAN };
        Moments { count: weight, mean: x, squares, durations: false }
    }

    /// Adds the numbers of other moments.
    pub fn merge(&mut self, other: &Moments) {
        if other.count == 0 {
            return;
        }
        if self.count == 0 {
            *self = *other;
            return;
        }

        // Neither has no numbers, so the mean is defined and nothing is divided by zero.
        let (n, m) = (self.count as f64, other.count as f64);
        let difference = other.mean - self.mean;
        self.squares += other.squares + difference * difference * n * m / (n + m);
        self.mean += difference * m / (n + m);

        self.count = self.count.saturating_add(other.count);
        self.durations |= other.durations;
    }

    /// Multiplies the numbers: each counts `by` times from now on.
    pub fn scale(&mut self, by: u64) {
        if by == 0 {
            *self = Moments::default();
            return;
        }
        self.count = self.count.saturating_mul(by);
        self.squares *= by as f64;
    }

    /// Counts only a fraction of the numbers, with the same mean and population variance. What is estimated from a
    /// sample has as many observations as were made, however many numbers each stands for.
    pub fn count_fraction(&mut self, fraction: f64) {
        if self.count > 0 {
            let observed = (self.count as f64 * fraction).round().max(1.0);
            self.squares *= observed / self.count as f64;
            self.count = observed as u64;
        }
    }

    /// Returns the variance of exactly these numbers, or `None` if there is none.
    pub fn population_variance(&self) -> Option<f64> {
        (self.count > 0).then(|| self.squares / self.count as f64)
    }

    /// Returns the variance of all numbers of which these are a sample, or `None` for fewer than two.
    pub fn sample_variance(&self) -> Option<f64> {
        (self.count > 1).then(|| self.squares / (self.count - 1) as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(numbers: &[f64]) -> Moments {
        let mut all = Moments::default();
        numbers.iter().for_each(|x| all.merge(&Moments::of(*x, 1)));
        all
    }

    #[test]
    fn the_variance_is_the_mean_squared_difference() {
        assert_eq!((of(&[]).population_variance(), of(&[]).sample_variance()), (None, None));
        assert_eq!((of(&[3.0]).population_variance(), of(&[3.0]).sample_variance()), (Some(0.0), None));
        let four = of(&[1.0, 3.0, 5.0, 7.0]);
        assert_eq!((four.population_variance(), four.sample_variance()), (Some(5.0), Some(20.0 / 3.0)));
        // A sum of squares in doubles has no digit left for this one.
        let shifted = of(&[1e9 + 1.0, 1e9 + 3.0, 1e9 + 5.0, 1e9 + 7.0]).population_variance();
        assert!(shifted.is_some_and(|variance| (variance - 5.0).abs() < 1e-6), "{shifted:?}");
    }

    #[test]
    fn a_fraction_of_the_numbers_varies_like_all_of_them() {
        let mut weighted = of(&[1.0, 3.0, 5.0, 7.0]);
        weighted.scale(10);
        weighted.count_fraction(0.1);
        assert_eq!((weighted.count, weighted.sample_variance()), (4, Some(20.0 / 3.0)));
        let mut one = Moments::of(3.0, 10);
        one.count_fraction(0.1);
        assert_eq!(one.sample_variance(), None);
    }

    #[test]
    fn merging_and_scaling_equal_adding_one_by_one() {
        let mut halves = of(&[1.0, 2.0]);
        halves.merge(&of(&[4.0, 9.0]));
        assert!((halves.squares - of(&[1.0, 2.0, 4.0, 9.0]).squares).abs() < 1e-9);
        let mut thrice = of(&[1.0, 2.0]);
        thrice.scale(3);
        let repeated = of(&[1.0, 2.0, 1.0, 2.0, 1.0, 2.0]);
        assert!((thrice.squares - repeated.squares).abs() < 1e-9 && thrice.count == repeated.count);
    }
}
