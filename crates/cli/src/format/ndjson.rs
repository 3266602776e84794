//! One JSON document per row, one per line, and one behind the rows of each window that says what they lack. Each
//! names its window, so that a line can be read alone:
//!
//! ```text
//! {"query":1,"window":{..},"revision":0,"row":{"host":"dn-1","COUNT":1200}}
//! {"query":1,"window":{..},"revision":0,"completeness":{"partial":true,"errors":1,..}}
//! ```

use super::frame_writer::FrameWriter;
use super::json_value;
use crate::result_frame::{FrameColumn, FrameRow, ResultFrame};
use serde_json::{Map, Value};
use std::io::{self, Write};

pub(super) struct NdjsonWriter;

impl FrameWriter for NdjsonWriter {
    fn write_frame(&mut self, out: &mut dyn Write, frame: &ResultFrame) -> io::Result<()> {
        for row in &frame.rows {
            write_row(out, json_value::window(frame), &frame.columns, row)?;
        }
        if let Some(row) = &frame.other {
            let mut document = json_value::window(frame);
            document.insert("other".into(), true.into());
            write_row(out, document, &frame.columns, row)?;
        }

        // No agent has the tracepoint: that nobody could look is an error of the run, and no window.
        let has_rows = !frame.rows.is_empty() || frame.other.is_some();
        if !has_rows && frame.completeness.agents_expected == 0 && !frame.completeness.partial {
            return Ok(());
        }

        // Also behind no rows: that there are none may be because something is missing.
        let mut document = json_value::window(frame);
        document.insert("completeness".into(), json_value::completeness(frame));
        writeln!(out, "{}", Value::Object(document))
    }
}

/// Completes a document that begins with the row's window, and writes it.
fn write_row(
    out: &mut dyn Write,
    mut document: Map<String, Value>,
    columns: &[FrameColumn],
    row: &FrameRow,
) -> io::Result<()> {
    document.insert("row".into(), json_value::row(columns, row));
    if let Some(errors) = json_value::standard_errors(columns, row) {
        document.insert("standard_errors".into(), errors);
    }
    writeln!(out, "{}", Value::Object(document))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::result_frame::FrameCompleteness;
    use pivot_advice::{LossCounts, Type, Value};

    #[test]
    fn each_row_is_one_line() {
        let frame = ResultFrame {
            query: 1,
            columns: vec![FrameColumn::exact("n", Type::I64)],
            rows: vec![vec![Value::I64(1)].into(), vec![Value::I64(2)].into()],
            ..ResultFrame::default()
        };
        let other = Some(vec![Value::I64(9)].into());
        let frame = ResultFrame { other, ..frame };
        let mut out = Vec::new();
        NdjsonWriter.write_frame(&mut out, &frame).unwrap();
        let text = String::from_utf8(out).unwrap();
        let rows: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(rows.len(), 4);
        assert_eq!((&rows[2]["other"], &rows[2]["row"]["n"]), (&true.into(), &9.into()));
        assert!(rows[1].get("other").is_none());
        assert_eq!(rows[1]["row"]["n"], 2);
        assert_eq!(rows[1]["query"], 1);
        assert!(rows[3].get("row").is_none());
    }

    #[test]
    fn a_window_ends_with_what_it_lacks() {
        let completeness = FrameCompleteness {
            loss: LossCounts { errors: 1, ..Default::default() },
            partial: true,
            ..FrameCompleteness::default()
        };
        let frame = ResultFrame { query: 7, completeness, ..ResultFrame::default() };
        let mut out = Vec::new();
        NdjsonWriter.write_frame(&mut out, &frame).unwrap();
        let line: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!((&line["query"], &line["completeness"]["partial"]), (&7.into(), &true.into()));
        assert_eq!(line["completeness"]["errors"], 1);
    }
}
