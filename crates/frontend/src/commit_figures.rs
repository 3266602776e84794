//! How long commits take, and whether they succeed.

use std::time::{Duration, Instant};

/// The upper bounds of the buckets into which times of commits are counted, in seconds.
pub(crate) const BOUNDS: [f64; 11] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

/// A commit that takes longer is taken for a disk that hangs.
const HANGS: Duration = Duration::from_secs(10);

/// The commits of a frontend since it began.
#[derive(Debug, Clone, Default)]
pub(crate) struct CommitFigures {
    /// Successful commits by the bucket of their times; the last holds those beyond all bounds.
    pub(crate) buckets: [u64; BOUNDS.len() + 1],
    /// The time of all successful commits together.
    pub(crate) time: Duration,
    pub(crate) failed: u64,
    /// When the commit began that runs.
    running_since: Option<Instant>,
}

impl CommitFigures {
    /// Notes that a commit begins.
    pub(crate) fn begin(&mut self, now: Instant) {
        self.running_since = Some(now);
    }

    /// Notes that the commit has succeeded.
    pub(crate) fn succeed(&mut self, now: Instant) {
        let Some(began) = self.running_since.take() else { return };
        let time = now.saturating_duration_since(began);
        let bucket = BOUNDS.iter().position(|bound| time.as_secs_f64() <= *bound).unwrap_or(BOUNDS.len());
        self.buckets[bucket] += 1;
        self.time += time;
    }

    /// Notes that the commit has failed.
    pub(crate) fn fail(&mut self) {
        self.running_since = None;
        self.failed += 1;
    }

    /// Returns how long the commit runs already, if that is too long.
    pub(crate) fn hangs_for(&self, now: Instant) -> Option<Duration> {
        let time = now.saturating_duration_since(self.running_since?);
        (time >= HANGS).then_some(time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commits_are_counted_by_their_times_and_one_that_hangs_is_known() {
        let mut figures = CommitFigures::default();
        let began = Instant::now();
        for milliseconds in [1, 3, 3, 60_000] {
            figures.begin(began);
            figures.succeed(began + Duration::from_millis(milliseconds));
        }
        assert_eq!(figures.buckets, [1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!(figures.time, Duration::from_millis(60_007));

        figures.begin(began);
        assert_eq!(figures.hangs_for(began + Duration::from_secs(9)), None);
        assert_eq!(figures.hangs_for(began + Duration::from_secs(11)), Some(Duration::from_secs(11)));
        figures.fail();
        assert_eq!((figures.hangs_for(began + Duration::from_secs(60)), figures.failed), (None, 1));
    }
}
