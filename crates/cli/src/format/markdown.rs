//! A Markdown table per window, under a heading.

use super::frame_writer::FrameWriter;
use super::window_title::{is_printed, missing_text, window_title};
use crate::result_frame::ResultFrame;
use crate::table::other_row_texts;
use pivot_advice::Type;
use std::io::{self, Write};

pub(super) struct MarkdownWriter;

impl FrameWriter for MarkdownWriter {
    fn write_frame(&mut self, out: &mut dyn Write, frame: &ResultFrame) -> io::Result<()> {
        if !is_printed(frame) {
            return Ok(());
        }

        writeln!(out, "### {}{}\n", window_title(frame), missing_text(frame))?;
        // Headings without rows would be noise between windows that have some.
        if frame.has_rows() {
            write_rows(out, frame)?;
            writeln!(out)?;
        }
        for notice in frame.outside_notices() {
            writeln!(out, "{}\n", escaped_markup(&notice))?;
        }
        Ok(())
    }
}

fn write_rows(out: &mut dyn Write, frame: &ResultFrame) -> io::Result<()> {
    write_line(out, frame.columns.iter().map(|column| escaped_markup(&column.heading())))?;
    write_line(out, frame.columns.iter().map(|column| column_rule(column.ty).to_owned()))?;
    for row in &frame.rows {
        write_line(out, row.texts().map(|text| escaped_markup(&text)))?;
    }
    if let Some(row) = &frame.other {
        write_line(out, other_row_texts(row).map(|text| escaped_markup(&text)))?;
    }
    Ok(())
}

fn write_line(out: &mut dyn Write, cells: impl Iterator<Item = String>) -> io::Result<()> {
    writeln!(out, "| {} |", cells.collect::<Vec<_>>().join(" | "))
}

/// Returns the rule below a heading, which aligns numbers right.
fn column_rule(ty: Type) -> &'static str {
    match ty {
        Type::I64 | Type::U64 | Type::F64 | Type::Duration => "---:",
        _ => "---",
    }
}

/// Returns the text with a backslash before everything that Markdown would take for markup.
pub(crate) fn escaped_markup(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '|' | '*' | '_' | '`' | '<' | '\\' | '[' | ']') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::result_frame::FrameColumn;
    use pivot_advice::Value;

    #[test]
    fn a_window_is_a_table_and_nothing_in_it_is_markup() {
        let column = |name: &str, ty| FrameColumn::exact(name, ty);
        let frame = ResultFrame {
            query: 1,
            end_ns: 1_000_000_000,
            columns: vec![column("e.host", Type::String), column("COUNT", Type::U64)],
            rows: vec![
                vec![Value::str("a|b*"), Value::U64(1_000)].into(),
                vec![Value::Null, Value::U64(1)].into(),
            ],
            ..ResultFrame::default()
        };
        let mut out = Vec::new();
        MarkdownWriter.write_frame(&mut out, &frame).unwrap();
        let expected = "### query 1, 00:00:00 to 00:00:01 UTC, 2 rows\n\n| e.host | COUNT |\n| --- | ---: |\n\
                        | a\\|b\\* | 1,000 |\n| null | 1 |\n\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
