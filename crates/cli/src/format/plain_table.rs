//! A titled table per window.

use super::frame_writer::FrameWriter;
use crate::result_frame::ResultFrame;
use crate::table::{Paint, TextStyle, of_rows};
use crate::text::{clock, count};
use std::io::{self, Write};

pub(super) struct PlainTableWriter {
    /// Width of the terminal; nothing is cut if this is not one.
    pub(super) columns: Option<usize>,
    pub(super) paint: Paint,
}

impl FrameWriter for PlainTableWriter {
    fn write_frame(&mut self, out: &mut dyn Write, frame: &ResultFrame) -> io::Result<()> {
        if !is_shown(frame) {
            return Ok(());
        }
        let missing = self.paint.style(TextStyle::Warning, &missing(frame));
        writeln!(out, "{}{missing}", self.paint.style(TextStyle::Strong, &title(frame)))?;
        if !frame.has_rows() {
            return Ok(());
        }
        let table = of_rows(&frame.columns, &frame.rows, frame.other.as_ref(), None);
        for line in table.render(self.columns.unwrap_or(usize::MAX), self.paint) {
            writeln!(out, "{line}")?;
        }
        writeln!(out)
    }
}

/// A window without rows is not worth a title unless something is missing; a run without any is.
pub(super) fn is_shown(frame: &ResultFrame) -> bool {
    frame.has_rows() || frame.last || frame.completeness.partial
}

/// What is missing of a result; empty if nothing is.
pub(super) fn missing(frame: &ResultFrame) -> String {
    match frame.completeness.missing() {
        missing if missing.is_empty() => missing,
        missing => format!("  partial: {missing}"),
    }
}

/// The query, the window, and how many rows it has.
pub(super) fn title(frame: &ResultFrame) -> String {
    let query = match frame.name.as_str() {
        "" => format!("query {}", frame.query),
        name => crate::text::escaped(name),
    };
    let last = if frame.last { ", final result" } else { "" };
    let rows = count(frame.rows.len() as u64, "row");
    let window = match frame.end_ns > frame.start_ns {
        true => format!(", {} to {} UTC", clock(frame.start_ns), clock(frame.end_ns)),
        false => String::new(),
    };
    let revision = match (frame.last, frame.revision) {
        (true, _) | (_, 0) => String::new(),
        (_, revision) => format!(", revision {revision}"),
    };
    format!("{query}{last}{window}, {rows}{revision}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_says_what_is_known() {
        let frame = ResultFrame { query: 7, end_ns: 1_000_000_000, revision: 2, ..ResultFrame::default() };
        assert_eq!(title(&frame), "query 7, 00:00:00 to 00:00:01 UTC, 0 rows, revision 2");
        let total = ResultFrame { name: "q2".into(), end_ns: 0, last: true, ..frame };
        assert_eq!(title(&total), "q2, final result, 0 rows");
    }
}
