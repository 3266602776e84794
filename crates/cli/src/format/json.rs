//! One JSON document per window, one per line:
//!
//! ```text
//! {"query":1,"window":{..},"revision":0,"columns":[..],"rows":[{..}],"completeness":{..}}
//! ```

use super::frame_writer::FrameWriter;
use super::json_value;
use crate::result_frame::{FrameColumn, ResultFrame};
use pivot_protocol::wire::column::Estimate;
use serde_json::json;
use std::io::{self, Write};

pub(super) struct JsonWriter;

impl FrameWriter for JsonWriter {
    fn write_frame(&mut self, out: &mut dyn Write, frame: &ResultFrame) -> io::Result<()> {
        let mut document = json_value::window(frame);

        document.insert("columns".into(), frame.columns.iter().map(column_description).collect());
        let rows = frame.rows.iter().map(|row| json_value::row(&frame.columns, row));
        document.insert("rows".into(), rows.collect());
        if let Some(other) = &frame.other {
            document.insert("other".into(), json_value::row(&frame.columns, other));
        }

        // Only the result of a sample has any; then there is one element for each row.
        let errors: Vec<_> =
            frame.rows.iter().map(|row| json_value::standard_errors(&frame.columns, row)).collect();
        if errors.iter().any(Option::is_some) {
            document.insert("standard_errors".into(), json!(errors));
        }

        document.insert("completeness".into(), json_value::completeness(frame));
        writeln!(out, "{}", serde_json::Value::Object(document))
    }
}

/// Returns name and type, and how the values relate to all requests if the result is that of a sample.
fn column_description(column: &FrameColumn) -> serde_json::Value {
    let mut description = json!({ "name": column.name, "type": column.ty.to_string() });
    let estimate = match column.estimate {
        Estimate::None => return description,
        Estimate::Scaled => "scaled",
        Estimate::Approximate => "approximate",
        Estimate::OfSample => "of sample",
    };
    description["estimate"] = json!(estimate);
    description
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::result_frame::FrameCompleteness;
    use pivot_advice::{Type, Value};

    fn check(frame: &ResultFrame, expected: &str) {
        let mut out = Vec::new();
        JsonWriter.write_frame(&mut out, frame).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    fn frame() -> ResultFrame {
        let column = |name: &str, ty| FrameColumn::exact(name, ty);
        ResultFrame {
            query: 3,
            start_ns: 1_500_000_000_000_000_000,
            end_ns: 1_500_000_001_000_000_000,
            columns: vec![column("host", Type::String), column("latency", Type::Duration)],
            rows: vec![
                vec![Value::str("dn-\"1\""), Value::Duration(1_500)].into(),
                vec![Value::Null, Value::Null].into(),
            ],
            completeness: FrameCompleteness {
                emitted: 2,
                agents_reporting: 1,
                agents_expected: 1,
                covered_ns: 400_000_000,
                length_ns: 1_000_000_000,
                ..Default::default()
            },
            ..ResultFrame::default()
        }
    }

    #[test]
    fn a_window_is_one_line_with_a_stable_schema() {
        check(
            &frame(),
            concat!(
                r#"{"query":3,"window":{"start":"2017-07-14T02:40:00.000000000Z","end":"2017-07-14T02:40:01.000000000Z"},"#,
                r#""revision":0,"columns":[{"name":"host","type":"string"},{"name":"latency","type":"duration"}],"#,
                r#""rows":[{"host":"dn-\"1\"","latency":1500},{"host":null,"latency":null}],"#,
                r#""completeness":{"partial":false,"emitted":2,"dropped":0,"errors":0,"truncated":0,"#,
                r#""outside_request":0,"uncertain":0,"throttled":0,"other":0,"away_ns":0,"held_back":0,"after_answer":0,"unreturned":0,"late":0,"without_request":0,"agents_reporting":1,"agents_expected":1,"#,
                r#""agents_late":0,"incomplete_windows":0,"rows_left_out":0,"covered_ns":400000000,"length_ns":1000000000,"outside":[]}}"#,
                "\n"
            ),
        );
    }

    #[test]
    fn rows_without_a_group_stand_beside_the_others() {
        let mut frame = frame();
        frame.columns[1].estimate = Estimate::OfSample;
        frame.other = Some(vec![Value::Null, Value::Duration(9)].into());
        let mut out = Vec::new();
        JsonWriter.write_frame(&mut out, &frame).unwrap();
        let document: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(document["other"], json!({ "host": null, "latency": 9 }));
        assert_eq!(document["rows"].as_array().unwrap().len(), 2);
        assert_eq!(document["columns"][1]["estimate"], "of sample");
        assert!(document["columns"][0].get("estimate").is_none());
    }

    #[test]
    fn the_final_document_says_so() {
        let total =
            ResultFrame { cumulative: vec![vec![Value::str("all"), Value::Duration(9)].into()], ..frame() }
                .total(0);
        let mut out = Vec::new();
        JsonWriter.write_frame(&mut out, &total).unwrap();
        let document: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(document["final"], true);
        assert_eq!(document["window"]["start"], "1970-01-01T00:00:00.000000000Z");
        assert_eq!(document["rows"][0]["host"], "all");
        assert!(document.get("revision").is_none());
    }

    #[test]
    fn numbers_that_json_lacks_are_text() {
        assert_eq!(json_value::value(&Value::F64(f64::NAN)), json!("NaN"));
        assert_eq!(json_value::value(&Value::F64(f64::NEG_INFINITY)), json!("-inf"));
        assert_eq!(json_value::value(&Value::U64(u64::MAX)), json!(u64::MAX));
        assert_eq!(json_value::value(&Value::Bytes(vec![0, 255].into())), json!("00ff"));
    }
}
