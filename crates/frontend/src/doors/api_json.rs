//! Values and results as JSON, by the names that the formats of the command line have.
//!
//! | value | JSON |
//! |---|---|
//! | integers | numbers, with all their digits (up to 2^64) |
//! | doubles | numbers; the texts `NaN`, `inf` and `-inf` where JSON has no number |
//! | durations | nanoseconds |
//! | points in time | RFC 3339, in UTC, with nine digits behind the point |
//! | bytes | hexadecimal text |
//! | buckets of HIST and LHIST | `{"lower":1,"upper":2,"count":12,"label":"(1, 2]"}`, bounds null where there is none |

use chrono::{DateTime, SecondsFormat};
use pivot_advice::sketch::{LabelledBucket, labelled_bucket};
use pivot_advice::{JoinSide, LossCounts, OutsidePlace, Value};
use pivot_protocol::{from_wire, wire};
use serde_json::{Map, Value as Json, json};

/// Returns a value of the wire; one of a later version is null.
pub(super) fn wire_value(value: &wire::Value) -> Value {
    from_wire::value(value.clone()).unwrap_or_default()
}

/// Returns a value as JSON.
pub(super) fn value(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(x) => json!(x),
        Value::I64(x) => json!(x),
        Value::U64(x) => json!(x),
        Value::F64(x) if x.is_finite() => json!(x),
        Value::F64(x) => json!(x.to_string()),

        Value::Str(x) => json!(**x),
        Value::Bytes(_) => json!(value.to_string()),
        Value::Timestamp(ns) => json!(time(*ns)),
        Value::Duration(ns) => json!(ns),
        Value::List(items) => items.iter().map(self::value).collect(),
    }
}

/// Returns a point in time as text.
pub(super) fn time(ns: i64) -> String {
    DateTime::from_timestamp_nanos(ns).to_rfc3339_opts(SecondsFormat::Nanos, true)
}

fn column_value(column: &wire::Column, found: &Value) -> Json {
    match found {
        Value::List(items) if column.buckets => items.iter().map(bucket).collect(),
        other => value(other),
    }
}

fn bucket(shown: &Value) -> Json {
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
pub(super) fn row(columns: &[wire::Column], row: &wire::Row) -> Json {
    let pairs = columns.iter().zip(&row.values);
    let pairs = pairs.map(|(column, found)| (column.name.clone(), column_value(column, &wire_value(found))));
    Json::Object(pairs.collect::<Map<_, _>>())
}

/// Returns the columns of a result.
pub(super) fn columns(columns: &[wire::Column]) -> Json {
    columns.iter().map(column).collect()
}

fn column(column: &wire::Column) -> Json {
    use wire::column::{Estimate, Role};
    let mut description = json!({
        "name": column.name,
        "type": from_wire::ty(column.r#type).to_string(),
        "buckets": column.buckets,
        "relative_error": column.relative_error,
        "order_position": column.order_position,
        "role": match column.role() {
            Role::Key => "key",
            Role::Measure => "measure",
            Role::Value | Role::Unspecified => "value",
        },
    });

    let estimate = match column.estimate() {
        Estimate::None => return description,
        Estimate::Scaled => "scaled",
        Estimate::Approximate => "approximate",
        Estimate::OfSample => "of sample",
    };
    description["estimate"] = json!(estimate);
    description
}

/// The part of a frame that a document is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FrameScope {
    /// The window alone.
    Window,
    /// The result since install.
    Total,
}

/// A result with what it lacks.
#[derive(Debug, Clone, Copy)]
pub(super) struct FramePart<'f> {
    pub(super) columns: &'f [wire::Column],
    pub(super) rows: &'f [wire::Row],
    /// Rows for whose groups there was no room, as one.
    pub(super) other: Option<&'f wire::Row>,
    completeness: Option<&'f wire::Completeness>,
    outside: &'f [wire::OutsidePlace],
}

impl<'f> FramePart<'f> {
    /// Returns a part of a frame.
    pub(super) fn of(frame: &'f wire::Frame, scope: FrameScope) -> FramePart<'f> {
        match scope {
            FrameScope::Window => FramePart {
                columns: &frame.columns,
                rows: &frame.rows,
                other: frame.other.as_ref(),
                completeness: frame.completeness.as_ref(),
                outside: &frame.outside,
            },

            FrameScope::Total => FramePart {
                columns: &frame.columns,
                rows: &frame.cumulative,
                other: frame.cumulative_other.as_ref(),
                completeness: frame.cumulative_completeness.as_ref(),
                outside: &frame.cumulative_outside,
            },
        }
    }

    /// Returns whether anything is missing from it.
    pub(super) fn is_partial(&self) -> bool {
        self.completeness.is_some_and(|found| found.partial)
    }

    /// Returns rows and completeness, as members of a document.
    pub(super) fn members(&self) -> Map<String, Json> {
        let mut members = Map::new();
        members.insert("rows".into(), self.rows.iter().map(|found| row(self.columns, found)).collect());
        if let Some(other) = self.other {
            members.insert("other".into(), row(self.columns, other));
        }

        // Only the result of a sample has any; then there is one element for each row.
        if self.rows.iter().any(|row| !row.standard_errors.is_empty()) {
            let errors = self.rows.iter().map(|row| self.standard_errors(row));
            members.insert("standard_errors".into(), errors.collect());
        }
        members.insert("completeness".into(), self.completeness());
        members
    }

    fn standard_errors(&self, row: &wire::Row) -> Json {
        let errors = self.columns.iter().zip(&row.standard_errors).filter(|(_, error)| **error > 0.0);
        let errors = errors.map(|(column, error)| (column.name.clone(), value(&Value::F64(*error))));
        Json::Object(errors.collect::<Map<_, _>>())
    }

    /// Returns what it lacks, with all counts, also those that are zero.
    pub(super) fn completeness(&self) -> Json {
        let found = self.completeness.cloned().unwrap_or_default();
        let loss: LossCounts = from_wire::loss(found.loss);
        let mut object = Map::new();
        object.insert("partial".into(), json!(found.partial));
        object.insert("emitted".into(), json!(found.emitted));
        object.insert("other".into(), json!(found.other));
        for (kind, amount) in loss.by_kind() {
            object.insert(kind.name.into(), json!(amount));
        }

        object.insert("agents_reporting".into(), json!(found.agents_reporting));
        object.insert("agents_expected".into(), json!(found.agents_expected));
        object.insert("agents_late".into(), json!(found.agents_late));
        object.insert("incomplete_windows".into(), json!(found.incomplete_windows));
        object.insert("rows_left_out".into(), json!(found.rows_left_out));
        object.insert("covered_ns".into(), json!(found.covered_ns));
        object.insert("length_ns".into(), json!(found.length_ns));
        let outside = from_wire::outside_places(self.outside.to_vec());
        object.insert("outside".into(), outside.iter().map(outside_place).collect());
        Json::Object(object)
    }
}

fn outside_place(place: &OutsidePlace) -> Json {
    let side = match place.side {
        JoinSide::Packs => "packs",
        JoinSide::Unpacks => "unpacks",
    };

    json!({
        "side": side,
        "tracepoint": place.tracepoint,
        "span": (!place.span.is_empty()).then_some(&place.span),
        "thread": (!place.thread.is_empty()).then_some(&place.thread),
        "events": place.events,
    })
}

/// Returns how each document of a frame begins: with the query and the window.
pub(super) fn window(frame: &wire::Frame) -> Map<String, Json> {
    let mut document = Map::new();
    document.insert("query".into(), json!(frame.query));
    let window = json!({ "start": time(frame.window_start_ns), "end": time(frame.window_end_ns) });
    document.insert("window".into(), window);
    document.insert("revision".into(), json!(frame.revision));
    document
}

/// Returns a frame: the window, and the result since install if the frame has it.
pub(super) fn frame(frame: &wire::Frame) -> Json {
    let mut document = window(frame);
    document.insert("sequence".into(), json!(frame.sequence));
    document.insert("columns".into(), columns(&frame.columns));
    document.extend(FramePart::of(frame, FrameScope::Window).members());

    if !frame.without_cumulative {
        let total = FramePart::of(frame, FrameScope::Total).members();
        document.insert("total".into(), Json::Object(total));
    }
    if frame.last {
        document.insert("final".into(), json!(true));
        document.insert("end".into(), json!(end(frame)));
    }
    Json::Object(document)
}

/// Returns why no frame follows a last one.
pub(super) fn end(frame: &wire::Frame) -> &'static str {
    use wire::frame::End;
    match frame.end() {
        End::Expired => "expired",
        End::Abandoned => "abandoned",
        End::Uninstalled | End::Unspecified => "uninstalled",
    }
}
