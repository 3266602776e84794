//! The time of windows that are no longer known and that some agent had not reported when they were forgotten.
//!
//! The agent may still report it: then the result since install is complete again.

use crate::time_range::TimeRange;

/// The most ranges that are told apart; beyond it neighbours become one, which is complete when both are.
const MAX_RANGES: usize = 64;

/// A range of forgotten windows that some agent has not reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct IncompleteRange {
    pub(crate) time_range: TimeRange,
    pub(crate) windows: u64,
}

/// All such ranges, in order.
#[derive(Debug, Default)]
pub(crate) struct IncompleteTime {
    pub(crate) ranges: Vec<IncompleteRange>,
}

impl IncompleteTime {
    /// Adds a window that is forgotten. Windows come about in order.
    pub(crate) fn add(&mut self, window: TimeRange) {
        match self.ranges.last_mut() {
            Some(last) if last.time_range.end_ns >= window.start_ns => {
                last.time_range.end_ns = last.time_range.end_ns.max(window.end_ns);
                last.time_range.start_ns = last.time_range.start_ns.min(window.start_ns);
                last.windows += 1;
            }
            _ => self.ranges.push(IncompleteRange { time_range: window, windows: 1 }),
        }

        if self.ranges.len() > MAX_RANGES {
            let second = self.ranges.remove(1);
            self.ranges[0].time_range.end_ns = second.time_range.end_ns;
            self.ranges[0].windows += second.windows;
        }
    }

    /// Returns the number of windows.
    pub(crate) fn windows(&self) -> u64 {
        self.ranges.iter().map(|range| range.windows).sum()
    }

    /// Drops the ranges that are complete now, and returns them.
    pub(crate) fn drop_complete(&mut self, is_complete: impl Fn(TimeRange) -> bool) -> Vec<TimeRange> {
        let (complete, incomplete): (Vec<_>, Vec<_>) =
            self.ranges.drain(..).partition(|range| is_complete(range.time_range));
        self.ranges = incomplete;
        complete.into_iter().map(|range| range.time_range).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(start_ns: i64) -> TimeRange {
        TimeRange { start_ns, end_ns: start_ns + 1 }
    }

    #[test]
    fn neighbours_are_one_range_that_goes_when_it_is_complete() {
        let mut incomplete = IncompleteTime::default();
        [1, 2, 3, 7].into_iter().for_each(|start_ns| incomplete.add(window(start_ns)));
        assert_eq!((incomplete.ranges.len(), incomplete.windows()), (2, 4));
        assert!(incomplete.drop_complete(|range| range.end_ns <= 3).is_empty());
        assert_eq!(incomplete.drop_complete(|range| range.end_ns <= 4).len(), 1);
        assert_eq!(incomplete.ranges, [IncompleteRange { time_range: window(7), windows: 1 }]);
    }

    #[test]
    fn many_ranges_take_little_room_and_forget_no_window() {
        let mut incomplete = IncompleteTime::default();
        (0..1_000).for_each(|i| incomplete.add(window(i * 10)));
        assert_eq!((incomplete.ranges.len(), incomplete.windows()), (MAX_RANGES, 1_000));
        assert!(incomplete.drop_complete(|range| range.end_ns <= 100).is_empty(), "the first is long");
    }
}
