//! The measure of each group over the last windows, drawn as sparklines.
//!
//! Groups are matched from window to window by the text of their keys. Memory is bounded by [`WINDOWS`] times the
//! rows of a frame.

use super::measure_column::MeasureColumn;
use crate::result_frame::{FrameRow, ResultFrame};
use std::collections::{BTreeMap, HashMap};

/// How many windows are kept; a sparkline has one character for each.
pub(super) const WINDOWS: usize = 20;

/// The measure of every group in the last windows.
#[derive(Debug, Clone, Default)]
pub(super) struct MeasureHistory {
    /// By the begin of the window, then by the keys of the group.
    windows: BTreeMap<i64, HashMap<String, f64>>,
}

impl MeasureHistory {
    /// Records a window. A revision replaces what was recorded of its window.
    pub(super) fn record(&mut self, frame: &ResultFrame, measure: &MeasureColumn) {
        let sizes =
            frame.rows.iter().map(|row| (key_text(row, measure), row.magnitude(measure.column))).collect();
        self.windows.insert(frame.start_ns, sizes);

        while self.windows.len() > WINDOWS {
            self.windows.pop_first();
        }
    }

    /// Returns how many windows are recorded.
    pub(super) fn windows(&self) -> usize {
        self.windows.len()
    }

    /// Returns the sparkline of a group. It is scaled to the group's own largest window, as the bar beside it
    /// compares groups already.
    pub(super) fn sparkline(&self, row: &FrameRow, measure: &MeasureColumn) -> String {
        let key = key_text(row, measure);
        let sizes: Vec<Option<f64>> = self.windows.values().map(|window| window.get(&key).copied()).collect();
        sparkline(&sizes)
    }
}

/// Returns the keys of a row as one text that differs from that of every other group.
fn key_text(row: &FrameRow, measure: &MeasureColumn) -> String {
    let keys = measure.keys.iter().filter_map(|column| row.get(*column));
    keys.map(|value| format!("{value:?}\u{1f}")).collect()
}

/// Returns a character for each size, and a blank for a window without the group.
fn sparkline(sizes: &[Option<f64>]) -> String {
    let largest = sizes.iter().flatten().copied().filter(|size| size.is_finite()).fold(0.0, f64::max);
    sizes.iter().map(|size| size.map_or(' ', |size| level(size, largest))).collect()
}

/// Returns the block whose height is the size as a part of the largest one; anything above zero is not the lowest.
fn level(size: f64, largest: f64) -> char {
    const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    if size > 0.0 && largest > 0.0 {
        LEVELS[((size / largest * 8.0).ceil() as usize).clamp(1, 8) - 1]
    } else {
        LEVELS[0]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result_frame::FrameOrder;
    use pivot_advice::Value;

    fn frame(second: i64, rows: &[(&str, i64)]) -> ResultFrame {
        let row = |(name, size): &(&str, i64)| vec![Value::str(*name), Value::I64(*size)].into();
        ResultFrame {
            start_ns: second,
            end_ns: second + 1,
            rows: rows.iter().map(row).collect(),
            ..ResultFrame::default()
        }
    }

    #[test]
    fn a_row_is_followed_through_the_windows_also_when_they_are_revised() {
        let measure = MeasureColumn { column: 1, keys: vec![0], order: FrameOrder::Unspecified };
        let mut trend = MeasureHistory::default();
        trend.record(&frame(1, &[("a", 8), ("b", 1)]), &measure);
        trend.record(&frame(2, &[("b", 1)]), &measure);
        trend.record(&frame(3, &[("a", 1)]), &measure);
        trend.record(&frame(1, &[("a", 4), ("b", 2)]), &measure);
        let of = |name| trend.sparkline(&vec![Value::str(name), Value::I64(99)].into(), &measure);
        assert_eq!((of("a"), of("b"), of("c")), ("█ ▂".into(), "█▄ ".into(), "   ".into()));
    }

    #[test]
    fn sizes_of_any_kind_have_a_level() {
        let sizes = [Some(0.0), Some(-1.0), Some(f64::NAN), Some(f64::INFINITY), Some(1e-9), Some(1.0)];
        assert_eq!(sparkline(&sizes), "▁▁▁█▁█");
        assert_eq!(sparkline(&[Some(0.0)]), "▁");
    }

    #[test]
    fn old_windows_are_forgotten() {
        let mut trend = MeasureHistory::default();
        (0..100).for_each(|second| {
            trend.record(
                &frame(second, &[]),
                &MeasureColumn { column: 1, keys: vec![0], order: FrameOrder::Unspecified },
            )
        });
        assert_eq!(trend.windows(), WINDOWS);
    }
}
