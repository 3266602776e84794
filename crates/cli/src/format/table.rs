//! A titled table per window.

use super::write::Output;
use crate::frame::Frame;
use crate::table::{Paint, Style, of_rows};
use crate::text::{clock, count};
use std::io::{self, Write};

pub(super) struct Tables {
    /// Width of the terminal; nothing is cut if this is not one.
    pub(super) columns: Option<usize>,
    pub(super) paint: Paint,
}

impl Output for Tables {
    fn frame(&mut self, out: &mut dyn Write, frame: &Frame) -> io::Result<()> {
        if frame.rows.is_empty() && !frame.last {
            return Ok(());
        }
        writeln!(out, "{}{}", self.paint.style(Style::Strong, &title(frame)), self.missing(frame))?;
        if frame.rows.is_empty() {
            return Ok(());
        }
        let table = of_rows(&frame.columns, &frame.rows, None);
        for line in table.render(self.columns.unwrap_or(usize::MAX), self.paint) {
            writeln!(out, "{line}")?;
        }
        writeln!(out)
    }
}

impl Tables {
    fn missing(&self, frame: &Frame) -> String {
        match frame.completeness.missing() {
            missing if missing.is_empty() => String::new(),
            missing => self.paint.style(Style::Warning, &format!("  partial: {missing}")),
        }
    }
}

fn title(frame: &Frame) -> String {
    let (start, end) = (clock(frame.start_ns), clock(frame.end_ns));
    let rows = count(frame.rows.len() as u64, "row");
    let query = frame.query;
    match (frame.last, frame.revision) {
        (true, _) => format!("query {query}, final result, {start} to {end} UTC, {rows}"),
        (false, 0) => format!("query {query}, {start} to {end} UTC, {rows}"),
        (false, revision) => format!("query {query}, {start} to {end} UTC, {rows}, revision {revision}"),
    }
}
