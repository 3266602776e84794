//! Comma-separated values with one header (RFC 4180).
//!
//! Every row carries its window, so that windows can be told apart, whether it belongs to the final
//! result, so that sums over a column do not count twice, and whether it is that of all rows that have no
//! group of their own. Null is empty, empty text is `""`.

use super::frame_writer::FrameWriter;
use super::json_value;
use crate::result_frame::ResultFrame;
use crate::text::timestamp;
use pivot_advice::Value;
use std::io::{self, Write};

#[derive(Default)]
pub(super) struct CsvWriter {
    header_written: bool,
}

impl FrameWriter for CsvWriter {
    fn write_frame(&mut self, out: &mut dyn Write, frame: &ResultFrame) -> io::Result<()> {
        if !self.header_written {
            self.header_written = true;
            let own = ["window_start", "window_end", "revision", "final", "other"].map(str::to_owned);
            let names = frame.columns.iter().map(|column| quoted(&column.name));
            line(out, own.into_iter().chain(names))?;
        }
        let other = frame.other.iter().map(|row| (row, true));
        frame.rows.iter().map(|row| (row, false)).chain(other).try_for_each(|(row, is_other)| {
            let own = [
                timestamp(frame.start_ns),
                timestamp(frame.end_ns),
                frame.revision.to_string(),
                frame.last.to_string(),
                is_other.to_string(),
            ];
            line(out, own.into_iter().chain(row.iter().map(cell)))
        })
    }
}

fn line(out: &mut dyn Write, cells: impl Iterator<Item = String>) -> io::Result<()> {
    writeln!(out, "{}", cells.collect::<Vec<_>>().join(","))
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        other => match json_value::value(other) {
            serde_json::Value::String(text) => quoted(&text),
            json => quoted(&json.to_string()),
        },
    }
}

fn quoted(text: &str) -> String {
    let plain = !text.is_empty() && text.trim() == text && !text.contains([',', '"', '\n', '\r']);
    if plain { text.to_owned() } else { format!("\"{}\"", text.replace('"', "\"\"")) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::result_frame::FrameColumn;
    use pivot_advice::Type;

    #[test]
    fn what_needs_quotes_is_quoted() {
        let check = |text: &str, expected: &str| assert_eq!(quoted(text), expected);
        check("dn-1", "dn-1");
        check("a,b", "\"a,b\"");
        check("say \"hi\"", "\"say \"\"hi\"\"\"");
        check("two\nlines", "\"two\nlines\"");
        check(" blank", "\" blank\"");
        check("", "\"\"");
    }

    #[test]
    fn null_and_empty_text_differ_and_lists_are_json() {
        assert_eq!(cell(&Value::Null), "");
        assert_eq!(cell(&Value::str("")), "\"\"");
        assert_eq!(cell(&Value::Duration(1_500)), "1500");
        assert_eq!(cell(&Value::List(vec![Value::I64(1), Value::str("x")].into())), "\"[1,\"\"x\"\"]\"");
    }

    #[test]
    fn the_header_is_written_once() {
        let frame = ResultFrame {
            columns: vec![FrameColumn::exact("SUM(a, b)", Type::I64)],
            rows: vec![vec![Value::I64(1)].into()],
            other: Some(vec![Value::I64(2)].into()),
            ..ResultFrame::default()
        };
        let (mut csv, mut out) = (CsvWriter::default(), Vec::new());
        csv.write_frame(&mut out, &frame).unwrap();
        csv.write_frame(&mut out, &frame.total(0)).unwrap();
        let epoch = "1970-01-01T00:00:00.000000000Z";
        let expected = format!(
            "window_start,window_end,revision,final,other,\"SUM(a, b)\"\n\
                     {epoch},{epoch},0,false,false,1\n{epoch},{epoch},0,false,true,2\n"
        );
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
