//! Results as the command shows them, checked out of the wire's messages.

use crate::text;
use pivot_advice::{Type, Value};
use pivot_protocol::wire::column::Estimate;
use pivot_protocol::{ProtocolError, from_wire, wire};

/// A column of a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FrameColumn {
    pub(crate) name: String,
    pub(crate) ty: Type,
    /// What its values are if the result is that of a sample of all requests.
    pub(crate) estimate: Estimate,
}

impl FrameColumn {
    /// A column whose values are what they are.
    #[cfg(test)]
    pub(crate) fn exact(name: &str, ty: Type) -> FrameColumn {
        FrameColumn { name: name.into(), ty, estimate: Estimate::None }
    }

    /// What stands above the column. Scaled values need no mark: each has its standard error.
    pub(crate) fn heading(&self) -> String {
        let mark = match self.estimate {
            Estimate::None | Estimate::Scaled => "",
            Estimate::Approximate => " ≈",
            Estimate::OfSample => " of sample",
        };
        text::escaped(&self.name) + mark
    }
}

/// A row of a result; as many values as columns.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct FrameRow {
    values: Vec<Value>,
    /// Of values that are estimated from a sample, 0 for the others; empty if none is.
    standard_errors: Vec<f64>,
}

impl std::ops::Deref for FrameRow {
    type Target = [Value];

    fn deref(&self) -> &[Value] {
        &self.values
    }
}

impl From<Vec<Value>> for FrameRow {
    fn from(values: Vec<Value>) -> FrameRow {
        FrameRow { values, standard_errors: Vec::new() }
    }
}

impl FrameRow {
    /// How far an estimated value may be off; none if it is not estimated.
    pub(crate) fn standard_error(&self, column: usize) -> Option<f64> {
        self.standard_errors.get(column).copied().filter(|error| *error > 0.0)
    }

    /// The values as a table shows them, estimates with their standard error.
    pub(crate) fn texts(&self) -> impl Iterator<Item = String> {
        self.iter().enumerate().map(|(column, value)| {
            let shown = text::value(value);
            match (self.standard_error(column), value) {
                (None, _) => shown,
                (Some(error), Value::Duration(_)) => format!("{shown} ± {}", text::duration(error as i64)),
                (Some(error), Value::I64(_) | Value::U64(_)) => {
                    format!("{shown} ± {}", text::grouped(&format!("{error:.0}")))
                }
                (Some(error), _) => format!("{shown} ± {}", text::value(&Value::F64(error))),
            }
        })
    }
}

/// The result of one window, or a revision of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct ResultFrame {
    pub(crate) query: u32,
    /// The query's name here; empty for none.
    pub(crate) name: String,
    /// One more for each frame; where it leaps, frames are missing.
    pub(crate) sequence: u64,
    pub(crate) start_ns: i64,
    pub(crate) end_ns: i64,
    pub(crate) revision: u32,
    pub(crate) columns: Vec<FrameColumn>,
    pub(crate) rows: Vec<FrameRow>,
    /// Rows since install.
    pub(crate) cumulative: Vec<FrameRow>,
    /// The rows of this window that have no group of their own; its keys are null.
    pub(crate) other: Option<FrameRow>,
    /// Likewise, since install.
    pub(crate) cumulative_other: Option<FrameRow>,
    /// Whether all that is since install is left out.
    pub(crate) without_cumulative: bool,
    pub(crate) completeness: FrameCompleteness,
    pub(crate) cumulative_completeness: FrameCompleteness,
    /// Whether no frame follows.
    pub(crate) last: bool,
}

/// What is known to be missing from a result, and who contributed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct FrameCompleteness {
    pub(crate) emitted: u64,
    pub(crate) dropped: u64,
    pub(crate) errors: u64,
    pub(crate) truncated: u64,
    pub(crate) outside_request: u64,
    pub(crate) uncertain: u64,
    pub(crate) throttled: u64,
    pub(crate) other: u64,
    /// For how long the query did not run where it should.
    pub(crate) away_ns: u64,
    /// Messages that went without the query's tuples.
    pub(crate) held_back: u64,
    pub(crate) agents_reporting: u32,
    pub(crate) agents_expected: u32,
    pub(crate) partial: bool,
}

impl ResultFrame {
    /// Checks a message, above all that every row fits the columns.
    pub(crate) fn from_wire(frame: wire::Frame) -> Result<ResultFrame, ProtocolError> {
        let columns = columns(frame.columns);
        let row = |row| self::row(row, columns.len());
        let rows = |rows: Vec<wire::Row>| rows.into_iter().map(row).collect::<Result<_, _>>();
        Ok(ResultFrame {
            query: frame.query,
            name: String::new(),
            sequence: frame.sequence,
            start_ns: frame.window_start_ns,
            end_ns: frame.window_end_ns,
            revision: frame.revision,
            rows: rows(frame.rows)?,
            other: frame.other.map(row).transpose()?,
            cumulative_other: frame.cumulative_other.map(row).transpose()?,
            cumulative: rows(frame.cumulative)?,
            without_cumulative: frame.without_cumulative,
            completeness: FrameCompleteness::from_wire(frame.completeness),
            cumulative_completeness: FrameCompleteness::from_wire(frame.cumulative_completeness),
            last: frame.last,
            columns,
        })
    }

    /// The result since install as one long window, which began at `start_ns`.
    pub(crate) fn total(&self, start_ns: i64) -> ResultFrame {
        ResultFrame {
            start_ns,
            rows: self.cumulative.clone(),
            other: self.cumulative_other.clone(),
            completeness: self.cumulative_completeness,
            last: true,
            ..self.clone()
        }
    }

    /// Takes over what is since install from an earlier frame, if this one has nothing of it.
    pub(crate) fn inherit(&mut self, earlier: ResultFrame) {
        if self.without_cumulative {
            self.without_cumulative = earlier.without_cumulative;
            self.cumulative = earlier.cumulative;
            self.cumulative_other = earlier.cumulative_other;
            self.cumulative_completeness = earlier.cumulative_completeness;
        }
    }

    /// How many frames are missing between another one and this.
    pub(crate) fn missing_since(&self, sequence: u64) -> u64 {
        self.sequence.saturating_sub(sequence.saturating_add(1))
    }

    /// Whether this is about a window, and not only the end of the stream.
    pub(crate) fn has_window(&self) -> bool {
        self.end_ns > self.start_ns && (!self.last || self.has_rows())
    }

    /// Whether there is any row.
    pub(crate) fn has_rows(&self) -> bool {
        !self.rows.is_empty() || self.other.is_some()
    }
}

/// Columns with names that differ, so that a row can be a JSON object.
pub(crate) fn columns(columns: Vec<wire::Column>) -> Vec<FrameColumn> {
    let mut taken: Vec<FrameColumn> = Vec::with_capacity(columns.len());
    for column in columns {
        let names = std::iter::once(column.name.clone()).chain((2..).map(|n| format!("{}_{n}", column.name)));
        let mut free = names.skip_while(|name| taken.iter().any(|other| other.name == *name));
        let name = free.next().unwrap_or_default();
        let estimate = column.estimate();
        taken.push(FrameColumn { name, ty: from_wire::ty(column.r#type), estimate });
    }
    taken
}

fn clamped(ns: u64) -> i64 {
    i64::try_from(ns).unwrap_or(i64::MAX)
}

fn row(row: wire::Row, columns: usize) -> Result<FrameRow, ProtocolError> {
    if row.values.len() != columns {
        let number = row.values.len() as u64;
        return Err(ProtocolError::Unknown { what: "number of values in a row", number });
    }
    let values = row.values.into_iter().map(from_wire::value).collect::<Result<_, _>>()?;
    Ok(FrameRow { values, standard_errors: row.standard_errors })
}

impl FrameCompleteness {
    pub(crate) fn from_wire(completeness: Option<wire::Completeness>) -> FrameCompleteness {
        let found = completeness.unwrap_or_default();
        let loss = found.loss.unwrap_or_default();
        FrameCompleteness {
            emitted: found.emitted,
            dropped: loss.dropped,
            errors: loss.errors,
            truncated: loss.truncated,
            outside_request: loss.outside_request,
            uncertain: loss.uncertain,
            throttled: loss.throttled,
            other: found.other,
            away_ns: loss.away_ns,
            held_back: loss.held_back,
            agents_reporting: found.agents_reporting,
            agents_expected: found.agents_expected,
            partial: found.partial,
        }
    }

    /// What is missing, in words; empty if nothing is.
    pub(crate) fn missing(&self) -> String {
        use text::count;
        let silent = u64::from(self.agents_expected.saturating_sub(self.agents_reporting));
        let parts = [
            (silent, count(silent, "agent") + " silent"),
            (self.dropped, count(self.dropped, "row") + " dropped"),
            (self.errors, count(self.errors, "evaluation error")),
            (self.truncated, count(self.truncated, "event") + " with cut baggage"),
            (self.outside_request, count(self.outside_request, "tuple") + " outside any request"),
            (self.uncertain, count(self.uncertain, "row") + " uncertain"),
            (self.throttled, count(self.throttled, "event") + " throttled"),
            (self.other, count(self.other, "row") + " in other groups"),
            (self.held_back, count(self.held_back, "message") + " without baggage"),
            (self.away_ns, format!("not run for {}", text::duration(clamped(self.away_ns)))),
        ];
        let parts: Vec<String> = parts.into_iter().filter(|(n, _)| *n > 0).map(|(_, words)| words).collect();
        match (self.partial, parts.is_empty()) {
            (true, true) => "some reports are missing".to_owned(),
            _ => parts.join(", "),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_row_that_does_not_fit_its_columns_is_refused() {
        let columns = vec![wire::Column { name: "a".into(), r#type: 3, ..Default::default() }];
        let frame = wire::Frame { columns, rows: vec![wire::Row::default()], ..Default::default() };
        assert!(ResultFrame::from_wire(frame).is_err());
    }

    #[test]
    fn estimates_are_shown_with_their_error() {
        let values = vec![Value::str("a"), Value::U64(1_000), Value::F64(1.5), Value::Duration(2_000_000)];
        let row = FrameRow { values, standard_errors: vec![0.0, 1_200.4, 0.25, 1_000.0] };
        let texts: Vec<String> = row.texts().collect();
        assert_eq!(texts, ["a", "1,000 ± 1,200", "1.5 ± 0.250", "2.00 ms ± 1.00 µs"]);
    }

    #[test]
    fn columns_of_one_name_are_told_apart() {
        let column = |name: &str| wire::Column { name: name.into(), r#type: 0, ..Default::default() };
        let named = columns(vec![column("a"), column("a_2"), column("a"), column("a")]);
        let names: Vec<&str> = named.iter().map(|column| column.name.as_str()).collect();
        assert_eq!(names, ["a", "a_2", "a_3", "a_4"]);
    }

    #[test]
    fn headings_say_what_a_sample_does_not_know() {
        let column = |estimate| FrameColumn { estimate, ..FrameColumn::exact("x", Type::U64) }.heading();
        use Estimate::{Approximate, None, OfSample, Scaled};
        assert_eq!([None, Scaled, Approximate, OfSample].map(column), ["x", "x", "x ≈", "x of sample"]);
    }

    #[test]
    fn what_is_missing_is_said_in_words() {
        let completeness = FrameCompleteness {
            dropped: 1_200,
            agents_reporting: 7,
            agents_expected: 8,
            partial: true,
            ..Default::default()
        };
        assert_eq!(completeness.missing(), "1 agent silent, 1,200 rows dropped");
        let away =
            FrameCompleteness { throttled: 3, away_ns: 10_000_000_000, partial: true, ..Default::default() };
        assert_eq!(away.missing(), "3 events throttled, not run for 10.0 s");
        assert_eq!(FrameCompleteness::default().missing(), "");
    }
}
