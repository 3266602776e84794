//! The measure of each row over the last windows, for sparklines.

use super::measure::Measure;
use crate::result_frame::{FrameRow, ResultFrame};
use pivot_advice::Value;
use std::collections::{BTreeMap, HashMap};

/// Windows that are kept; a sparkline has one column for each.
pub(super) const WINDOWS: usize = 20;

/// Sizes by row, by the begin of their window.
#[derive(Debug, Clone, Default)]
pub(super) struct Trend {
    windows: BTreeMap<i64, HashMap<String, f64>>,
}

impl Trend {
    /// Takes in a window; a revision replaces it.
    pub(super) fn take(&mut self, frame: &ResultFrame, measure: &Measure) {
        let sizes = frame.rows.iter().map(|row| (key(row, measure), size(row, measure))).collect();
        self.windows.insert(frame.start_ns, sizes);
        while self.windows.len() > WINDOWS {
            self.windows.pop_first();
        }
    }

    /// How many windows there are.
    pub(super) fn len(&self) -> usize {
        self.windows.len()
    }

    /// The sparkline of a row, scaled to its own largest window: the bar beside it tells how much.
    pub(super) fn of(&self, row: &FrameRow, measure: &Measure) -> String {
        let key = key(row, measure);
        let sizes: Vec<Option<f64>> = self.windows.values().map(|window| window.get(&key).copied()).collect();
        sparkline(&sizes)
    }
}

/// The cells of a row that no aggregate goes into, as one text.
fn key(row: &FrameRow, measure: &Measure) -> String {
    measure
        .keys
        .iter()
        .filter_map(|column| row.get(*column))
        .map(|value| format!("{value:?}\u{1f}"))
        .collect()
}

fn size(row: &FrameRow, measure: &Measure) -> f64 {
    match row.get(measure.column) {
        Some(Value::Duration(ns)) => *ns as f64,
        Some(number) => number.as_f64().unwrap_or(0.0),
        None => 0.0,
    }
}

/// A character for each size; a blank where there was none.
fn sparkline(sizes: &[Option<f64>]) -> String {
    const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let largest = sizes.iter().flatten().copied().filter(|size| size.is_finite()).fold(0.0, f64::max);
    let level = |size: &Option<f64>| match size {
        None => ' ',
        Some(size) if *size > 0.0 && largest > 0.0 => {
            LEVELS[((size / largest * 8.0).ceil() as usize).clamp(1, 8) - 1]
        }
        Some(_) => LEVELS[0],
    };
    sizes.iter().map(level).collect()
}

#[cfg(test)]
mod tests {
    use super::super::measure::RowOrder;
    use super::*;

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
        let measure = Measure { column: 1, keys: vec![0], order: RowOrder::Size };
        let mut trend = Trend::default();
        trend.take(&frame(1, &[("a", 8), ("b", 1)]), &measure);
        trend.take(&frame(2, &[("b", 1)]), &measure);
        trend.take(&frame(3, &[("a", 1)]), &measure);
        trend.take(&frame(1, &[("a", 4), ("b", 2)]), &measure);
        let of = |name| trend.of(&vec![Value::str(name), Value::I64(99)].into(), &measure);
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
        let mut trend = Trend::default();
        (0..100).for_each(|second| {
            trend.take(&frame(second, &[]), &Measure { column: 1, keys: vec![0], order: RowOrder::Size })
        });
        assert_eq!(trend.len(), WINDOWS);
    }
}
