//! A Markdown table per window, under a heading.

use super::frame_writer::FrameWriter;
use super::plain_table::{is_shown, missing, title};
use crate::result_frame::ResultFrame;
use crate::table::other_texts;
use pivot_advice::Type;
use std::io::{self, Write};

pub(super) struct MarkdownWriter;

impl FrameWriter for MarkdownWriter {
    fn write_frame(&mut self, out: &mut dyn Write, frame: &ResultFrame) -> io::Result<()> {
        if !is_shown(frame) {
            return Ok(());
        }
        writeln!(out, "### {}{}\n", title(frame), missing(frame))?;
        if !frame.has_rows() {
            return Ok(());
        }
        line(out, frame.columns.iter().map(|column| cell(&column.heading())))?;
        line(out, frame.columns.iter().map(|column| rule(column.ty).to_owned()))?;
        frame.rows.iter().try_for_each(|row| line(out, row.texts().map(|text| cell(&text))))?;
        frame.other.iter().try_for_each(|row| line(out, other_texts(row).map(|text| cell(&text))))?;
        writeln!(out)
    }
}

fn line(out: &mut dyn Write, cells: impl Iterator<Item = String>) -> io::Result<()> {
    writeln!(out, "| {} |", cells.collect::<Vec<_>>().join(" | "))
}

fn rule(ty: Type) -> &'static str {
    match ty {
        Type::I64 | Type::U64 | Type::F64 | Type::Duration => "---:",
        _ => "---",
    }
}

/// What Markdown would take for its own is escaped.
fn cell(text: &str) -> String {
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
