//! What stands above a window that is printed for people.

use crate::humanize::{clock, count};
use crate::result_frame::ResultFrame;
use crate::terminal_text::escaped;

/// Returns whether a window is printed: without rows it is not worth a title, unless something is missing. The last
/// frame always is, as a run without any title would leave a reader wondering.
pub(super) fn is_printed(frame: &ResultFrame) -> bool {
    frame.has_rows() || frame.last || frame.completeness.partial || !frame.outside_notices().is_empty()
}

/// Returns what the window lacks and what is to be known of it (`  partial: 3 rows dropped`, `  note: 2 rows after
/// the answer`), empty if nothing.
pub(super) fn missing_text(frame: &ResultFrame) -> String {
    let (missing, notes) = (frame.completeness.missing(), frame.completeness.notes());
    let mut text = String::new();

    if !missing.is_empty() {
        let is_full = frame.completeness.loss.dropped > 0 && frame.rows.len() >= MOST_ROWS;
        let bound = if is_full { " (a result has at most 10,000 rows: use LIMIT or GROUP BY)" } else { "" };
        text.push_str(&format!("  partial: {missing}{bound}"));
    }
    if !notes.is_empty() {
        text.push_str(&format!("  note: {notes}"));
    }
    text
}

/// The most rows that a frontend puts into one result.
const MOST_ROWS: usize = 10_000;

/// Returns the query, the window, how many rows it has, and how much of the time it covers if that is not all.
pub(super) fn window_title(frame: &ResultFrame) -> String {
    let query = match frame.name.as_str() {
        "" => format!("query {}", frame.query),
        name => escaped(name),
    };
    let last = if frame.last { ", final result" } else { "" };

    // The last frame of a query that never had a window has no times.
    let window = if frame.end_ns > frame.start_ns {
        format!(", {} to {} UTC", clock(frame.start_ns), clock(frame.end_ns))
    } else {
        String::new()
    };

    let rows = count(frame.rows.len() as u64, "row");
    let revision = match (frame.last, frame.revision) {
        (true, _) | (_, 0) => String::new(),
        (_, revision) => format!(", revision {revision}"),
    };
    // Of a whole result without rows it matters whether anybody looked.
    let agents = match frame.last && !frame.has_rows() {
        true => {
            let known = frame.completeness;
            format!(", agents {}/{}", known.agents_reporting, known.agents_expected)
        }
        false => String::new(),
    };
    let covered = match frame.completeness.covered_part() {
        covered if covered.is_empty() => covered,
        covered => format!(", {covered}"),
    };
    format!("{query}{last}{window}, {rows}{agents}{revision}{covered}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result_frame::FrameCompleteness;
    use pivot_advice::{LossCounts, Value};

    #[test]
    fn a_result_that_is_full_says_so() {
        let loss = LossCounts { dropped: 5, ..LossCounts::default() };
        let completeness = FrameCompleteness { loss, partial: true, ..FrameCompleteness::default() };
        let row = |i: usize| vec![Value::U64(i as u64)].into();
        let mut frame =
            ResultFrame { rows: (0..10).map(row).collect(), completeness, ..ResultFrame::default() };
        assert_eq!(missing_text(&frame), "  partial: 5 rows dropped");
        frame.rows = (0..MOST_ROWS).map(row).collect();
        assert!(missing_text(&frame).ends_with("at most 10,000 rows: use LIMIT or GROUP BY)"));
    }

    #[test]
    fn a_title_says_what_is_known() {
        let frame = ResultFrame { query: 7, end_ns: 1_000_000_000, revision: 2, ..ResultFrame::default() };
        assert_eq!(window_title(&frame), "query 7, 00:00:00 to 00:00:01 UTC, 0 rows, revision 2");
        let mut first = ResultFrame { revision: 0, ..frame.clone() };
        (first.completeness.covered_ns, first.completeness.length_ns) = (400_000_000, 1_000_000_000);
        assert_eq!(
            window_title(&first),
            "query 7, 00:00:00 to 00:00:01 UTC, 0 rows, covers 400 ms of 1.00 s"
        );
        let completeness =
            FrameCompleteness { agents_reporting: 2, agents_expected: 3, ..FrameCompleteness::default() };
        let total = ResultFrame { name: "q2".into(), end_ns: 0, last: true, completeness, ..frame };
        assert_eq!(window_title(&total), "q2, final result, 0 rows, agents 2/3");
    }

    #[test]
    fn rows_after_the_answer_are_noted_beside_what_is_missing() {
        let mut frame = ResultFrame::default();
        frame.completeness.loss.after_answer = 787;
        assert_eq!(missing_text(&frame), "  note: 787 rows after the answer");
        frame.completeness.loss.dropped = 1;
        assert_eq!(missing_text(&frame), "  partial: 1 row dropped  note: 787 rows after the answer");
    }
}
