//! Result frames as the command draws and prints them, checked when they leave the wire.
//!
//! A frame is what the frontend sends when a window closes (or late data revises it): the rows of the window, the
//! rows since install, and what is missing from both.
//!
//! ```text
//! wire::Frame ─from_wire─▶ ResultFrame ─┬─ rows, other                        the window
//!                                       └─ cumulative, cumulative_other       since install; may be left out
//!                                            └─ total() ─▶ one ResultFrame    for the end of a batch run
//! ```

use crate::humanize::{self, count, duration};
use crate::outside_notices::outside_notices;
use crate::terminal_text;
use pivot_advice::{LossCounts, LossUnit, OutsidePlaces, Type, Value};
use pivot_protocol::wire::column::{Estimate, Role};
use pivot_protocol::{ProtocolError, from_wire, wire};

/// A column of a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FrameColumn {
    /// The name, unique among the columns of a frame.
    pub(crate) name: String,
    /// The type of its values; [`Type::Any`] if it is not known.
    pub(crate) ty: Type,
    /// How its values relate to all requests if only a sample of the requests took part.
    pub(crate) estimate: Estimate,
    /// Whether it is a key of a group or a measure of it.
    pub(crate) role: Role,
    /// Its place in ORDER BY, from 1, or 0 if rows are not sorted by it.
    pub(crate) order_position: u32,
    /// Whether its values are lists of buckets, each as text.
    pub(crate) has_buckets: bool,
}

impl FrameColumn {
    /// Returns the column of an answer to SQL.
    pub(crate) fn of_sql(column: wire::SqlColumn) -> FrameColumn {
        FrameColumn::exact(&column.name, from_wire::ty(column.r#type))
    }

    /// Returns a column that is not estimated, and whose role is not known.
    pub(crate) fn exact(name: &str, ty: Type) -> FrameColumn {
        FrameColumn {
            name: name.into(),
            ty,
            estimate: Estimate::None,
            role: Role::Unspecified,
            order_position: 0,
            has_buckets: false,
        }
    }

    /// Returns the text above the column. Scaled values need no mark: each shows its standard error.
    pub(crate) fn heading(&self) -> String {
        let mark = match self.estimate {
            Estimate::None | Estimate::Scaled => "",
            Estimate::Approximate => " ≈",
            Estimate::OfSample => " of sample",
        };
        terminal_text::escaped(&self.name) + mark
    }
}

/// A row of a result; it has as many values as the frame has columns.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct FrameRow {
    values: Vec<Value>,
    /// The standard error of each value that is estimated from a sample, 0 for the others. Empty if no value is
    /// estimated.
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
    /// Decodes a row, which has as many values as there are columns.
    pub(crate) fn from_wire(row: wire::Row, columns: usize) -> Result<FrameRow, ProtocolError> {
        if row.values.len() != columns {
            let number = row.values.len() as u64;
            return Err(ProtocolError::Unknown { what: "number of values in a row", number });
        }

        let values = row.values.into_iter().map(from_wire::value).collect::<Result<_, _>>()?;
        Ok(FrameRow { values, standard_errors: row.standard_errors })
    }

    /// Returns the standard error of a value, or `None` if the value is not estimated.
    pub(crate) fn standard_error(&self, column: usize) -> Option<f64> {
        self.standard_errors.get(column).copied().filter(|error| *error > 0.0)
    }

    /// Returns how much a value is, to compare rows by it: durations in nanoseconds, and 0 for what is no number.
    pub(crate) fn magnitude(&self, column: usize) -> f64 {
        match self.get(column) {
            Some(Value::Duration(ns)) => *ns as f64,
            Some(value) => value.as_f64().unwrap_or(0.0),
            None => 0.0,
        }
    }

    /// Returns the values as a table shows them; estimates carry their standard error (`1,000 ± 120`).
    pub(crate) fn texts(&self) -> impl Iterator<Item = String> {
        self.iter().enumerate().map(|(column, value)| {
            let shown = humanize::value(value);

            // An error has the form of its value: a duration has a unit, a count has no digits after the point.
            match (self.standard_error(column), value) {
                (None, _) => shown,
                (Some(error), Value::Duration(_)) => {
                    format!("{shown} ± {}", humanize::duration(error as i64))
                }
                (Some(error), Value::I64(_) | Value::U64(_)) => {
                    format!("{shown} ± {}", humanize::grouped(&format!("{error:.0}")))
                }
                (Some(error), _) => format!("{shown} ± {}", humanize::value(&Value::F64(error))),
            }
        })
    }
}

/// The meaning of the order of a frame's rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum FrameOrder {
    /// Nothing: the query has no ORDER BY, and whoever draws the rows may sort them.
    #[default]
    Unspecified,
    /// The query sorts its rows by ORDER BY.
    ByQuery,
}

/// The result of one window, or a revision of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct ResultFrame {
    /// The number of the query.
    pub(crate) query: u32,
    /// The name under which this client installed the query; empty for none.
    pub(crate) name: String,
    /// Grows by one for each frame of the query; a larger step means that frames are missing.
    pub(crate) sequence: u64,
    /// Begin of the window, in nanoseconds since the epoch.
    pub(crate) start_ns: i64,
    /// End of the window, in nanoseconds since the epoch.
    pub(crate) end_ns: i64,
    /// 0 for a new window, then one more for each time that late data changed it.
    pub(crate) revision: u32,
    pub(crate) columns: Vec<FrameColumn>,
    pub(crate) order: FrameOrder,
    /// Rows of this window.
    pub(crate) rows: Vec<FrameRow>,
    /// Rows since install.
    pub(crate) cumulative: Vec<FrameRow>,
    /// All groups of this window for which there was no room, as one row whose keys are null.
    pub(crate) other: Option<FrameRow>,
    /// All groups since install for which there was no room, as one row whose keys are null.
    pub(crate) cumulative_other: Option<FrameRow>,
    /// Whether the frontend left out everything that is since install.
    pub(crate) without_cumulative: bool,
    /// The losses of this window.
    pub(crate) completeness: FrameCompleteness,
    /// The losses since install.
    pub(crate) cumulative_completeness: FrameCompleteness,
    /// Where the events of this window ran that had no request.
    pub(crate) outside: OutsidePlaces,
    /// Where the events since install ran that had no request.
    pub(crate) cumulative_outside: OutsidePlaces,
    /// Whether no frame follows.
    pub(crate) last: bool,
    /// Whether no frame follows because the client that installed the query was not heard of.
    pub(crate) is_abandoned: bool,
}

/// The known losses of a result, and how many agents contributed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct FrameCompleteness {
    /// Rows that agents have reported.
    pub(crate) emitted: u64,
    pub(crate) loss: LossCounts,
    /// Rows whose groups had no room, and which are in the row of the other groups.
    pub(crate) other: u64,
    pub(crate) agents_reporting: u32,
    pub(crate) agents_expected: u32,
    /// Whether anything is missing, for whatever reason.
    pub(crate) partial: bool,
    /// The time that the result covers, in nanoseconds; rates are per second of it. 0 if the frontend does not say.
    pub(crate) covered_ns: i64,
    /// The time from the begin of the first window to the end of the last.
    pub(crate) length_ns: i64,
    /// Agents that were there when the query was installed and wove it later than others.
    pub(crate) agents_late: u32,
    /// Since install, windows that some agent has not reported.
    pub(crate) incomplete_windows: u64,
    /// Rows that the frontend left out of the frame, which would be too large.
    pub(crate) rows_left_out: u64,
}

impl ResultFrame {
    /// Converts a message. It is an error if a row does not fit the columns, as everything behind relies on that.
    pub(crate) fn from_wire(frame: wire::Frame) -> Result<ResultFrame, ProtocolError> {
        let is_abandoned = frame.end() == wire::frame::End::Abandoned;
        let columns = columns_from_wire(frame.columns);
        let width = columns.len();

        // The name is known to whoever installed the query, not to the frontend's frames.
        Ok(ResultFrame {
            query: frame.query,
            name: String::new(),
            sequence: frame.sequence,
            start_ns: frame.window_start_ns,
            end_ns: frame.window_end_ns,
            revision: frame.revision,
            columns,
            order: if frame.ordered { FrameOrder::ByQuery } else { FrameOrder::Unspecified },
            rows: rows_from_wire(frame.rows, width)?,
            cumulative: rows_from_wire(frame.cumulative, width)?,
            other: frame.other.map(|row| FrameRow::from_wire(row, width)).transpose()?,
            cumulative_other: frame
                .cumulative_other
                .map(|row| FrameRow::from_wire(row, width))
                .transpose()?,
            without_cumulative: frame.without_cumulative,
            completeness: FrameCompleteness::from_wire(frame.completeness),
            cumulative_completeness: FrameCompleteness::from_wire(frame.cumulative_completeness),
            outside: from_wire::outside_places(frame.outside),
            cumulative_outside: from_wire::outside_places(frame.cumulative_outside),
            last: frame.last,
            is_abandoned,
        })
    }

    /// Returns the result since install as one long window that began at `start_ns`.
    pub(crate) fn total(&self, start_ns: i64) -> ResultFrame {
        ResultFrame {
            start_ns,
            rows: self.cumulative.clone(),
            other: self.cumulative_other.clone(),
            completeness: self.cumulative_completeness,
            outside: self.cumulative_outside.clone(),
            last: true,
            ..self.clone()
        }
    }

    /// Takes the result since install from an earlier frame if this frame came without it.
    pub(crate) fn inherit_cumulative(&mut self, earlier: ResultFrame) {
        if self.without_cumulative {
            self.without_cumulative = earlier.without_cumulative;
            self.cumulative = earlier.cumulative;
            self.cumulative_other = earlier.cumulative_other;
            self.cumulative_completeness = earlier.cumulative_completeness;
            self.cumulative_outside = earlier.cumulative_outside;
        }
    }

    /// Returns how many frames are missing between the frame with `sequence` and this one.
    pub(crate) fn missing_since(&self, sequence: u64) -> u64 {
        self.sequence.saturating_sub(sequence.saturating_add(1))
    }

    /// Returns whether the frame is about a window, and not only the end of the stream.
    pub(crate) fn has_window(&self) -> bool {
        self.end_ns > self.start_ns && (!self.last || self.has_rows())
    }

    /// Returns a sentence for each side of the query's joins that had events without a request in this window.
    pub(crate) fn outside_notices(&self) -> Vec<String> {
        outside_notices(&self.completeness.loss, &self.outside)
    }

    /// Returns whether the window has any row.
    pub(crate) fn has_rows(&self) -> bool {
        !self.rows.is_empty() || self.other.is_some()
    }
}

/// Converts columns. A name that was there before gets a number (`a`, `a_2`), so that a row can be a JSON object.
pub(crate) fn columns_from_wire(columns: Vec<wire::Column>) -> Vec<FrameColumn> {
    let mut converted: Vec<FrameColumn> = Vec::with_capacity(columns.len());
    for column in columns {
        // A number may lead to a name that was there before as well, so the search goes on.
        let mut name = column.name.clone();
        let mut number = 2;
        while converted.iter().any(|earlier| earlier.name == name) {
            name = format!("{}_{number}", column.name);
            number += 1;
        }

        converted.push(FrameColumn {
            name,
            ty: from_wire::ty(column.r#type),
            estimate: column.estimate(),
            role: column.role(),
            order_position: column.order_position,
            has_buckets: column.buckets,
        });
    }
    converted
}

fn rows_from_wire(rows: Vec<wire::Row>, columns: usize) -> Result<Vec<FrameRow>, ProtocolError> {
    rows.into_iter().map(|row| FrameRow::from_wire(row, columns)).collect()
}

impl FrameCompleteness {
    /// Converts a message; an absent one means that nothing is known to be missing.
    pub(crate) fn from_wire(completeness: Option<wire::Completeness>) -> FrameCompleteness {
        let found = completeness.unwrap_or_default();
        FrameCompleteness {
            emitted: found.emitted,
            loss: from_wire::loss(found.loss),
            other: found.other,
            agents_reporting: found.agents_reporting,
            agents_expected: found.agents_expected,
            partial: found.partial,
            covered_ns: found.covered_ns,
            length_ns: found.length_ns,
            agents_late: found.agents_late,
            incomplete_windows: found.incomplete_windows,
            rows_left_out: found.rows_left_out,
        }
    }

    /// Returns what a reader should know of rows that are there (`3 rows after the answer`), empty if there is
    /// nothing. Rows without a request have a notice of their own, which says where they were.
    pub(crate) fn notes(&self) -> String {
        let noted = self.loss.by_kind().filter_map(|(kind, amount)| match kind.unit {
            LossUnit::Noted(..) if kind.name == "without_request" => None,
            LossUnit::Noted(noun, note) if amount > 0 => Some(format!("{} {note}", count(amount, noun))),
            _ => None,
        });
        noted.collect::<Vec<_>>().join(", ")
    }

    /// Returns how much of its time the result covers (`covers 400 ms of 1.00 s`) if that is not all, else nothing.
    pub(crate) fn covered_part(&self) -> String {
        // A few milliseconds are the time that weaving takes.
        let uncovered_ns = self.length_ns.saturating_sub(self.covered_ns);
        if self.covered_ns <= 0 || uncovered_ns < self.length_ns / 100 {
            return String::new();
        }
        format!("covers {} of {}", duration(self.covered_ns), duration(self.length_ns))
    }

    /// Returns what is missing in words (`1 agent silent, 1,200 rows dropped`), empty if nothing is.
    pub(crate) fn missing(&self) -> String {
        let silent = u64::from(self.agents_expected.saturating_sub(self.agents_reporting));
        let mut words = Vec::new();
        let mut times = Vec::new();

        if silent > 0 {
            words.push(count(silent, "agent") + " silent");
        }
        if self.agents_late > 0 {
            words.push(count(self.agents_late.into(), "agent") + " woven later than others");
        }
        if self.incomplete_windows > 0 {
            words.push(count(self.incomplete_windows, "window") + " that some agent has not reported");
        }
        if self.rows_left_out > 0 {
            words.push(count(self.rows_left_out, "row") + " left out: the result is too large to send");
        }
        for (kind, amount) in self.loss.by_kind() {
            // Rows in other groups are not lost, but stand where people are used to find them.
            if kind.name == "held_back" && self.other > 0 {
                words.push(count(self.other, "row") + " in other groups");
            }
            match kind.unit {
                _ if amount == 0 => {}
                LossUnit::Noted(..) => {}
                LossUnit::Counted(noun, "") => words.push(count(amount, noun)),
                LossUnit::Counted(noun, fate) => words.push(format!("{} {fate}", count(amount, noun))),
                LossUnit::Nanoseconds(fate) => {
                    let ns = i64::try_from(amount).unwrap_or(i64::MAX);
                    times.push(format!("{fate} {}", duration(ns)));
                }
            }
        }
        words.extend(times);

        // A result can be partial without any count, as when an agent vanished before its report.
        if self.partial && words.is_empty() {
            "some reports are missing".to_owned()
        } else {
            words.join(", ")
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
        let named = columns_from_wire(vec![column("a"), column("a_2"), column("a"), column("a")]);
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
            loss: LossCounts { dropped: 1_200, ..Default::default() },
            agents_reporting: 7,
            agents_expected: 8,
            partial: true,
            ..Default::default()
        };
        assert_eq!(completeness.missing(), "1 agent silent, 1,200 rows dropped");
        let away = FrameCompleteness {
            loss: LossCounts { throttled: 3, away_ns: 10_000_000_000, ..Default::default() },
            partial: true,
            ..Default::default()
        };
        assert_eq!(away.missing(), "3 events throttled, not run for 10.0 s");
        assert_eq!(FrameCompleteness::default().missing(), "");
        let late =
            FrameCompleteness { agents_late: 1, incomplete_windows: 2, partial: true, ..Default::default() };
        assert_eq!(
            late.missing(),
            "1 agent woven later than others, 2 windows that some agent has not reported"
        );
        let large = FrameCompleteness { rows_left_out: 1_200, partial: true, ..Default::default() };
        assert_eq!(large.missing(), "1,200 rows left out: the result is too large to send");
    }

    #[test]
    fn a_part_of_a_window_is_said_if_it_is_worth_it() {
        let covered = |ms: i64| {
            let (covered_ns, length_ns) = (ms * 1_000_000, 1_000_000_000);
            FrameCompleteness { covered_ns, length_ns, ..Default::default() }.covered_part()
        };
        assert_eq!([0, 400, 995, 1_000].map(covered), ["", "covers 400 ms of 1.00 s", "", ""]);
    }
}
