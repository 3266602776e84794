//! Ranges of wall-clock time, such as the window of a result.

/// A range of time in nanoseconds since the Unix epoch: from `start_ns` up to, and without, `end_ns`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TimeRange {
    pub(crate) start_ns: i64,
    pub(crate) end_ns: i64,
}

impl TimeRange {
    /// Returns the smallest range around this one that begins and ends at multiples of `every_ns`.
    pub(crate) fn aligned_to(self, every_ns: i64) -> TimeRange {
        let every_ns = every_ns.max(1);
        // Agents send these numbers, so no number may overflow, however far away it is.
        let before_start = self.start_ns.rem_euclid(every_ns);
        let past_multiple = self.end_ns.rem_euclid(every_ns);
        let until_end = if past_multiple == 0 { 0 } else { every_ns - past_multiple };

        TimeRange {
            start_ns: self.start_ns.saturating_sub(before_start),
            end_ns: self.end_ns.saturating_add(until_end),
        }
    }

    /// Returns the part that lies in another range, or `None` if that is empty.
    pub(crate) fn within(self, other: TimeRange) -> Option<TimeRange> {
        let part =
            TimeRange { start_ns: self.start_ns.max(other.start_ns), end_ns: self.end_ns.min(other.end_ns) };
        (part.start_ns < part.end_ns).then_some(part)
    }

    /// Returns the smallest range that has both in it.
    pub(crate) fn around(self, other: TimeRange) -> TimeRange {
        TimeRange { start_ns: self.start_ns.min(other.start_ns), end_ns: self.end_ns.max(other.end_ns) }
    }

    /// Returns the length in nanoseconds, which is never negative.
    pub(crate) fn length_ns(self) -> i64 {
        self.end_ns.saturating_sub(self.start_ns).max(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_range_grows_to_the_multiples_around_it() {
        let aligned = |start_ns, end_ns, every_ns| TimeRange { start_ns, end_ns }.aligned_to(every_ns);
        assert_eq!(aligned(12, 18, 5), TimeRange { start_ns: 10, end_ns: 20 });
        assert_eq!(aligned(10, 20, 5), TimeRange { start_ns: 10, end_ns: 20 });
        assert_eq!(aligned(-3, 3, 5), TimeRange { start_ns: -5, end_ns: 5 });
    }

    #[test]
    fn times_at_the_ends_of_the_range_do_not_overflow() {
        let whole = TimeRange { start_ns: i64::MIN, end_ns: i64::MAX };
        assert_eq!(whole.aligned_to(1_000_000_000), whole);
        assert_eq!(whole.length_ns(), i64::MAX);
    }
}
