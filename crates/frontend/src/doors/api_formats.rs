//! Results as NDJSON and CSV: a line for each row, and what they lack.

use super::api_json::{FramePart, FrameScope, row, time, window, wire_value};
use pivot_advice::Value;
use pivot_protocol::wire;
use serde_json::{Value as Json, json};
use std::fmt::Write;

/// A form in which rows are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RowFormat {
    /// One document for each frame, in an array.
    Json,
    /// A document for each row, and one behind those of a window that says what they lack.
    Ndjson,
    /// A heading, and a line for each row, with its window and whether that is partial.
    Csv,
}

impl RowFormat {
    /// Returns the format of a name.
    pub(super) fn named(name: &str) -> Option<RowFormat> {
        match name {
            "json" => Some(RowFormat::Json),
            "ndjson" => Some(RowFormat::Ndjson),
            "csv" => Some(RowFormat::Csv),
            _ => None,
        }
    }

    /// Returns the type of its content.
    pub(super) fn content_type(self) -> &'static str {
        match self {
            RowFormat::Json => "application/json",
            RowFormat::Ndjson => "application/x-ndjson",
            RowFormat::Csv => "text/csv; charset=utf-8",
        }
    }
}

/// Returns the lines of a part of a frame: one for each row, and one that says what they lack.
pub(super) fn ndjson(frame: &wire::Frame, scope: FrameScope) -> String {
    let part = FramePart::of(frame, scope);
    let mut lines = String::new();
    for found in part.rows {
        let mut document = window(frame);
        document.insert("row".into(), row(part.columns, found));
        lines.push_str(&line(&Json::Object(document)));
    }
    if let Some(other) = part.other {
        let mut document = window(frame);
        document.insert("other".into(), json!(true));
        document.insert("row".into(), row(part.columns, other));
        lines.push_str(&line(&Json::Object(document)));
    }

    let mut document = window(frame);
    document.insert("completeness".into(), part.completeness());
    lines.push_str(&line(&Json::Object(document)));
    lines
}

/// Returns a document as a line.
pub(super) fn line(document: &Json) -> String {
    format!("{document}\n")
}

/// Returns the heading of results in CSV.
pub(super) fn csv_heading(columns: &[wire::Column]) -> String {
    let fixed = ["window_start", "window_end", "revision", "partial", "other"].map(str::to_owned);
    let names = columns.iter().map(|column| column.name.clone());
    csv_line(fixed.into_iter().chain(names))
}

/// Returns the rows of a part of a frame in CSV.
pub(super) fn csv_rows(frame: &wire::Frame, scope: FrameScope) -> String {
    let part = FramePart::of(frame, scope);
    let mut lines = String::new();
    // What is missing shows also where there is no row.
    if part.rows.is_empty() && part.other.is_none() && part.is_partial() {
        let nothing = part.columns.iter().map(|_| String::new());
        lines.push_str(&csv_line(place(frame, [true, false]).into_iter().chain(nothing)));
    }
    let rows = part.rows.iter().map(|row| (row, false)).chain(part.other.map(|row| (row, true)));

    for (row, is_other) in rows {
        let values = row.values.iter().map(|value| csv_text(&wire_value(value)));
        lines.push_str(&csv_line(place(frame, [part.is_partial(), is_other]).into_iter().chain(values)));
    }
    lines
}

/// Returns the cells before those of a row: its window, whether that is partial, and whether it is the one of all other rows.
fn place(frame: &wire::Frame, facts: [bool; 2]) -> [String; 5] {
    let window = [time(frame.window_start_ns), time(frame.window_end_ns), frame.revision.to_string()];
    let [start, end, revision] = window;
    let [is_partial, is_other] = facts.map(|fact| fact.to_string());
    [start, end, revision, is_partial, is_other]
}

/// Returns cells as a line of CSV, by RFC 4180.
pub(super) fn csv_line(cells: impl Iterator<Item = String>) -> String {
    let mut line = String::new();

    for (place, cell) in cells.enumerate() {
        if place > 0 {
            line.push(',');
        }
        // Spreadsheets take what begins so for a formula.
        let is_formula =
            cell.starts_with(['=', '+', '@']) || (cell.starts_with('-') && cell.parse::<f64>().is_err());
        let cell = if is_formula { format!("'{cell}") } else { cell };
        match cell.contains([',', '"', '\n', '\r']) {
            // Writing to a text cannot fail.
            true => {
                let _ = write!(line, "\"{}\"", cell.replace('"', "\"\""));
            }
            false => line.push_str(&cell),
        }
    }
    line + "\r\n"
}

/// Returns a value as the text of a cell: null is empty.
pub(super) fn csv_text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Duration(ns) => ns.to_string(),
        Value::Timestamp(ns) => time(*ns),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_where_they_must_be() {
        let line = |cells: &[&str]| csv_line(cells.iter().map(ToString::to_string));
        assert_eq!(
            line(&["a", "b,c", "say \"x\"", "two\nlines", ""]),
            "a,\"b,c\",\"say \"\"x\"\"\",\"two\nlines\",\r\n"
        );
        assert_eq!(line(&["=1+1", "-1", "-x"]), "'=1+1,-1,'-x\r\n");
    }
}
