//! Values, windows and completeness as JSON.
//!
//! Durations are nanoseconds, timestamps RFC 3339, bytes hexadecimal text. Doubles for which JSON has no number are
//! the texts `NaN`, `inf` and `-inf`. The buckets of HIST and LHIST are objects:
//!
//! ```text
//! {"lower":1000000,"upper":1090000,"count":12,"label":"(1ms, 1.09ms]"}
//! ```

use crate::humanize::timestamp;
use crate::result_frame::{FrameColumn, FrameRow, ResultFrame};
use pivot_advice::sketch::{LabelledBucket, labelled_bucket};
use pivot_advice::{JoinSide, OutsidePlace, Value};
use serde_json::{Map, json};

/// Converts a value.
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

/// Converts a value of a column: a list of buckets becomes a list of objects with their bounds as numbers.
pub(super) fn column_value(column: &FrameColumn, value: &Value) -> serde_json::Value {
    match value {
        Value::List(items) if column.has_buckets => items.iter().map(bucket).collect(),
        other => self::value(other),
    }
}

/// Converts a bucket as HIST and LHIST show it. Where there is no bound it is null; `label` says which bounds are
/// in the bucket, and that one counts the values without a bucket of their own.
fn bucket(shown: &Value) -> serde_json::Value {
    let Value::Str(text) = shown else { return value(shown) };
    let label = text.rsplit_once(": ").map_or(&**text, |(label, _)| label);
    match labelled_bucket(text) {
        Some(LabelledBucket { lower, upper, count }) => {
            json!({ "lower": value(&lower), "upper": value(&upper), "count": count, "label": label })
        }
        None => value(shown),
    }
}

/// Returns a row as an object with a member for each column.
pub(crate) fn row(columns: &[FrameColumn], row: &FrameRow) -> serde_json::Value {
    let pairs = columns.iter().zip(row.iter());
    let pairs = pairs.map(|(column, value)| (column.name.clone(), column_value(column, value)));
    serde_json::Value::Object(pairs.collect::<Map<_, _>>())
}

/// Returns the standard errors of a row's estimates by column, or `None` if nothing is estimated.
pub(super) fn standard_errors(columns: &[FrameColumn], row: &FrameRow) -> Option<serde_json::Value> {
    let mut errors = Map::new();
    for (i, column) in columns.iter().enumerate() {
        if let Some(error) = row.standard_error(i) {
            errors.insert(column.name.clone(), value(&Value::F64(error)));
        }
    }
    (!errors.is_empty()).then_some(serde_json::Value::Object(errors))
}

/// Returns how every document begins: with the query, its name if it has one, the window, and its revision or that
/// this is the final result.
pub(super) fn window(frame: &ResultFrame) -> Map<String, serde_json::Value> {
    let mut document = Map::new();
    document.insert("query".into(), json!(frame.query));
    if !frame.name.is_empty() {
        document.insert("name".into(), json!(frame.name));
    }

    // Of the final result the window is the whole run.
    let window = json!({ "start": timestamp(frame.start_ns), "end": timestamp(frame.end_ns) });
    document.insert("window".into(), window);
    if frame.last {
        document.insert("final".into(), json!(true));
    } else {
        document.insert("revision".into(), json!(frame.revision));
    }
    document
}

/// Returns what a window lacks, with all counts, also those that are zero.
pub(super) fn completeness(frame: &ResultFrame) -> serde_json::Value {
    let found = &frame.completeness;
    let mut object = Map::new();
    object.insert("partial".into(), json!(found.partial));
    object.insert("emitted".into(), json!(found.emitted));

    for (kind, amount) in found.loss.by_kind() {
        // Documents are compared as text, so what was there first keeps its place among the losses.
        if kind.name == "away_ns" {
            object.insert("other".into(), json!(found.other));
        }
        object.insert(kind.name.into(), json!(amount));
    }

    object.insert("agents_reporting".into(), json!(found.agents_reporting));
    object.insert("agents_expected".into(), json!(found.agents_expected));
    object.insert("agents_late".into(), json!(found.agents_late));
    object.insert("incomplete_windows".into(), json!(found.incomplete_windows));
    object.insert("rows_left_out".into(), json!(found.rows_left_out));
    object.insert("covered_ns".into(), json!(found.covered_ns));
    object.insert("length_ns".into(), json!(found.length_ns));
    object.insert("outside".into(), frame.outside.iter().map(outside_place).collect());
    serde_json::Value::Object(object)
}

/// Converts a place where events had no request; the names of span and thread are null if there are none.
fn outside_place(place: &OutsidePlace) -> serde_json::Value {
    let side = match place.side {
        JoinSide::Packs => "packs",
        JoinSide::Unpacks => "unpacks",
    };

    let name = |name: &str| if name.is_empty() { serde_json::Value::Null } else { json!(name) };
    json!({
        "side": side,
        "tracepoint": place.tracepoint,
        "span": name(&place.span),
        "thread": name(&place.thread),
        "events": place.events,
    })
}
