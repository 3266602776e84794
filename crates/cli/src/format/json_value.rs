//! Values, windows and completeness as JSON.
//!
//! Durations are nanoseconds, timestamps RFC 3339, bytes hexadecimal text. Doubles that JSON has
//! no number for are the texts `NaN`, `inf` and `-inf`.

use crate::result_frame::{FrameColumn, FrameCompleteness, FrameRow, ResultFrame};
use crate::text::timestamp;
use pivot_advice::Value;
use serde_json::{Map, json};

pub(super) fn value(value: &Value) -> serde_json::Value {
    match value {
        Value::Null => serde_json::Value::Null,
        Value::Bool(x) => json!(x),
        Value::I64(x) => json!(x),
        Value::U64(x) => json!(x),
        Value::F64(x) if x.is_finite() => json!(x),
        Value::F64(x) => json!(x.to_string()),
        Value::Str(x) => json!(**x),
        Value::Bytes(_) => json!(value.to_string()),
        Value::Timestamp(ns) => json!(timestamp(*ns)),
        Value::Duration(ns) => json!(ns),
        Value::List(items) => items.iter().map(self::value).collect(),
    }
}

pub(super) fn row(columns: &[FrameColumn], row: &FrameRow) -> serde_json::Value {
    let pairs = columns.iter().zip(row.iter()).map(|(column, x)| (column.name.clone(), value(x)));
    serde_json::Value::Object(pairs.collect::<Map<_, _>>())
}

/// The standard errors of a row's estimates by column; none if it has no estimates.
pub(super) fn standard_errors(columns: &[FrameColumn], row: &FrameRow) -> Option<serde_json::Value> {
    let estimates = columns.iter().enumerate().filter_map(|(i, column)| {
        row.standard_error(i).map(|error| (column.name.clone(), value(&Value::F64(error))))
    });
    let found: Map<_, _> = estimates.collect();
    (!found.is_empty()).then_some(serde_json::Value::Object(found))
}

/// What precedes the rows: the query and its name if it has one, the window, its revision, or that this is the final result.
pub(super) fn heading(frame: &ResultFrame) -> Map<String, serde_json::Value> {
    let mut heading = Map::new();
    heading.insert("query".into(), json!(frame.query));
    if !frame.name.is_empty() {
        heading.insert("name".into(), json!(frame.name));
    }
    let window = json!({ "start": timestamp(frame.start_ns), "end": timestamp(frame.end_ns) });
    heading.insert("window".into(), window);
    match frame.last {
        true => heading.insert("final".into(), json!(true)),
        false => heading.insert("revision".into(), json!(frame.revision)),
    };
    heading
}

pub(super) fn completeness(found: &FrameCompleteness) -> serde_json::Value {
    json!({
        "partial": found.partial,
        "emitted": found.emitted,
        "dropped": found.dropped,
        "errors": found.errors,
        "truncated": found.truncated,
        "outside_request": found.outside_request,
        "uncertain": found.uncertain,
        "throttled": found.throttled,
        "other": found.other,
        "away_ns": found.away_ns,
        "held_back": found.held_back,
        "agents_reporting": found.agents_reporting,
        "agents_expected": found.agents_expected,
    })
}
