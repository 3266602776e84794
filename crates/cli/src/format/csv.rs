//! Comma-separated values with one header (RFC 4180).
//!
//! ```text
//! window_start,window_end,revision,final,other,e.host,COUNT,partial,missing
//! 2017-07-14T02:40:00.000000000Z,2017-07-14T02:40:01.000000000Z,0,false,false,dn-1,1200,true,1 evaluation error
//! ```
//!
//! Each row carries its window, so that windows can be told apart; `final`, so that a sum over a column does not
//! count the result since install once more; and `other`, for the row of the groups for which there was no room.
//! Behind the columns of the query stand `partial`, whether the window lacks anything, and `missing`, what it lacks.
//! Null is empty, empty text is `""`.

use super::frame_writer::FrameWriter;
use super::json_value;
use crate::humanize::timestamp;
use crate::result_frame::{FrameColumn, FrameRow, ResultFrame};
use pivot_advice::Value;
use std::io::{self, Write};

/// The columns before those of the query.
const OWN_COLUMNS: [&str; 5] = ["window_start", "window_end", "revision", "final", "other"];

/// The columns behind those of the query, where they move no other.
const LAST_COLUMNS: [&str; 2] = ["partial", "missing"];

#[derive(Default)]
pub(super) struct CsvWriter {
    header_written: bool,
}

impl FrameWriter for CsvWriter {
    fn write_frame(&mut self, out: &mut dyn Write, frame: &ResultFrame) -> io::Result<()> {
        if !self.header_written {
            self.header_written = true;
            // Names of expressions hold commas, as in `SUM(a, b)`; ours hold nothing that needs quotes.
            let own = OWN_COLUMNS.map(str::to_owned);
            let names = frame.columns.iter().map(|column| quoted(&column.name));
            write_record(out, own.into_iter().chain(names).chain(LAST_COLUMNS.map(str::to_owned)))?;
        }

        for row in &frame.rows {
            write_row(out, frame, row, "false")?;
        }
        if let Some(row) = &frame.other {
            write_row(out, frame, row, "true")?;
        }
        Ok(())
    }
}

fn write_row(out: &mut dyn Write, frame: &ResultFrame, row: &FrameRow, other: &str) -> io::Result<()> {
    let own = [
        timestamp(frame.start_ns),
        timestamp(frame.end_ns),
        frame.revision.to_string(),
        frame.last.to_string(),
        other.to_owned(),
    ];
    let fields = frame.columns.iter().zip(row.iter()).map(|(column, value)| csv_field(column, value));
    let missing = frame.completeness.missing();
    let missing = if missing.is_empty() { missing } else { quoted(&missing) };
    let last = [frame.completeness.partial.to_string(), missing];
    write_record(out, own.into_iter().chain(fields).chain(last))
}

fn write_record(out: &mut dyn Write, fields: impl Iterator<Item = String>) -> io::Result<()> {
    writeln!(out, "{}", fields.collect::<Vec<_>>().join(","))
}

/// Returns a value as a field of a record.
pub(crate) fn csv_field(column: &FrameColumn, value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        other => match json_value::column_value(column, other) {
            serde_json::Value::String(text) => quoted(&text),
            json => quoted(&json.to_string()),
        },
    }
}

/// Returns the text in quotes if it needs them: also when it is empty, as that would read as null.
pub(crate) fn quoted(text: &str) -> String {
    let is_plain = !text.is_empty() && text.trim() == text && !text.contains([',', '"', '\n', '\r']);
    if is_plain { text.to_owned() } else { format!("\"{}\"", text.replace('"', "\"\"")) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::result_frame::FrameCompleteness;
    use pivot_advice::{LossCounts, Type};

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
        let plain = FrameColumn::exact("x", Type::Any);
        assert_eq!(csv_field(&plain, &Value::Null), "");
        assert_eq!(csv_field(&plain, &Value::str("")), "\"\"");
        assert_eq!(csv_field(&plain, &Value::Duration(1_500)), "1500");
        let list = Value::List(vec![Value::I64(1), Value::str("x")].into());
        assert_eq!(csv_field(&plain, &list), "\"[1,\"\"x\"\"]\"");
    }

    #[test]
    fn buckets_are_json_with_their_bounds_as_numbers() {
        let column = FrameColumn { has_buckets: true, ..FrameColumn::exact("HIST(x)", Type::Any) };
        let list = Value::List(vec![Value::str("[1ms, 1.5ms): 2"), Value::str("[9, ∞): 1")].into());
        let expected = r#"[{"count":2,"label":"[1ms, 1.5ms)","lower":1000000,"upper":1500000},"#.to_owned()
            + r#"{"count":1,"label":"[9, ∞)","lower":9,"upper":null}]"#;
        let found: serde_json::Value =
            serde_json::from_str(&csv_field(&column, &list).trim_matches('"').replace("\"\"", "\"")).unwrap();
        assert_eq!(found, serde_json::from_str::<serde_json::Value>(&expected).unwrap());
    }

    #[test]
    fn the_header_is_written_once() {
        let frame = ResultFrame {
            columns: vec![FrameColumn::exact("SUM(a, b)", Type::I64)],
            rows: vec![vec![Value::I64(1)].into()],
            other: Some(vec![Value::I64(2)].into()),
            completeness: FrameCompleteness {
                loss: LossCounts { errors: 1, dropped: 2, ..Default::default() },
                partial: true,
                ..FrameCompleteness::default()
            },
            ..ResultFrame::default()
        };
        let (mut csv, mut out) = (CsvWriter::default(), Vec::new());
        csv.write_frame(&mut out, &frame).unwrap();
        csv.write_frame(&mut out, &frame.total(0)).unwrap();
        let epoch = "1970-01-01T00:00:00.000000000Z";
        let expected = format!(
            "window_start,window_end,revision,final,other,\"SUM(a, b)\",partial,missing\n\
                     {epoch},{epoch},0,false,false,1,true,\"2 rows dropped, 1 evaluation error\"\n\
                     {epoch},{epoch},0,false,true,2,true,\"2 rows dropped, 1 evaluation error\"\n"
        );
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
