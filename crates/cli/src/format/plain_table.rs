//! A titled table per window, for people.

use super::frame_writer::FrameWriter;
use super::window_title::{is_printed, missing_text, window_title};
use crate::result_frame::ResultFrame;
use crate::table::{StyleMode, TextRole, result_table};
use std::io::{self, Write};

pub(super) struct TableWriter {
    /// The width of the terminal; `None` if the output is none, and nothing is cut.
    pub(super) columns: Option<usize>,
    pub(super) paint: StyleMode,
}

impl FrameWriter for TableWriter {
    fn write_frame(&mut self, out: &mut dyn Write, frame: &ResultFrame) -> io::Result<()> {
        if !is_printed(frame) {
            return Ok(());
        }

        let title = self.paint.style(TextRole::Strong, &window_title(frame));
        let missing = self.paint.style(TextRole::Warning, &missing_text(frame));
        writeln!(out, "{title}{missing}")?;
        if frame.has_rows() {
            let table = result_table(&frame.columns, &frame.rows, frame.other.as_ref(), None);
            for line in table.render(self.columns.unwrap_or(usize::MAX), self.paint) {
                writeln!(out, "{line}")?;
            }
        }

        let notices = frame.outside_notices();
        for notice in &notices {
            writeln!(out, "{}", self.paint.style(TextRole::Warning, notice))?;
        }
        if frame.has_rows() || !notices.is_empty() { writeln!(out) } else { Ok(()) }
    }
}
