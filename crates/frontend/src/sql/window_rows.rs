//! The rows that tables have of a window.
//!
//! Only the columns that a statement reads are computed. HAVING, ORDER BY and LIMIT of the query do not count: SQL has its
//! own, and what was asked later is rarely what was to be shown then.

use super::row_column::RowColumn;
use super::state_value::encode;
use super::to_arrow::array;
use super::window_source::{HistoryQuery, HistoryWindow};
use crate::finished_groups::FinishedGroup;
use crate::select::finish;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::common::Result;
use pivot_advice::{EmitMode, EvalErrors, Group, Value};

/// The rows of a batch.
const BATCH_ROWS: usize = 4_096;

/// The most bytes of states in a batch, about.
const BATCH_BYTES: usize = 8 << 20;

/// The rows that there are of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RowKind {
    /// One for each group, or each row of a query that does not group, with the values of SELECT.
    Selected,
    /// One for each group, with its states.
    States,
    /// One for the window.
    Window,
}

/// The columns of a table that are read.
#[derive(Debug, Clone)]
pub(super) struct ReadColumns {
    pub(super) kind: RowKind,
    pub(super) columns: Vec<RowColumn>,
    pub(super) schema: SchemaRef,
}

/// The rows of a window, batch by batch.
#[derive(Debug)]
pub(super) struct WindowRows {
    query: HistoryQuery,
    read: ReadColumns,
    window: HistoryWindow,
    items: WindowItems,
    /// The item that comes next, and how many of its rows have come.
    next: usize,
    repeated: u64,
}

/// The groups, or the window, that rows are made of.
#[derive(Debug)]
enum WindowItems {
    Finished(Vec<FinishedGroup>),
    Raw(Vec<RawGroup>),
    Window,
}

/// A group with its states.
#[derive(Debug)]
struct RawGroup {
    group: Group,
    /// Whether it is that of the rows without one of their own.
    is_other: bool,
}

impl WindowItems {
    fn new(kind: RowKind, query: &HistoryQuery, window: &HistoryWindow) -> WindowItems {
        let groups = &*window.groups;
        match kind {
            // What cannot be computed is null; of how many rows that is so shows in the frames of the query.
            RowKind::Selected => WindowItems::Finished(finish(
                groups,
                &query.output,
                window.seconds(),
                &mut EvalErrors::default(),
            )),

            RowKind::States => {
                let sampled = groups.sampled.groups.iter().flatten().cloned();
                let own = groups.groups.iter().chain(sampled);
                let own = own.map(|group| RawGroup { group, is_other: false });
                let other = groups.other.iter().cloned();
                WindowItems::Raw(own.chain(other.map(|group| RawGroup { group, is_other: true })).collect())
            }

            RowKind::Window => WindowItems::Window,
        }
    }

    fn len(&self) -> usize {
        match self {
            WindowItems::Finished(groups) => groups.len(),
            WindowItems::Raw(groups) => groups.len(),
            WindowItems::Window => 1,
        }
    }
}

impl WindowRows {
    /// Makes the rows of a window.
    pub(super) fn new(query: HistoryQuery, read: ReadColumns, window: HistoryWindow) -> WindowRows {
        let items = WindowItems::new(read.kind, &query, &window);
        WindowRows { query, read, window, items, next: 0, repeated: 0 }
    }

    /// Returns the next rows, or `None` behind the last.
    pub(super) fn next(&mut self) -> Result<Option<RecordBatch>> {
        let rows = self.next_items();
        if rows.is_empty() {
            return Ok(None);
        }

        let mut arrays = Vec::with_capacity(self.read.columns.len());
        for (column, field) in self.read.columns.iter().zip(self.read.schema.fields()) {
            let values: Vec<Value> = rows.iter().map(|row| self.value(*column, *row)).collect();
            arrays.push(array(field, &values)?);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        Ok(Some(RecordBatch::try_new_with_options(self.read.schema.clone(), arrays, &options)?))
    }

    /// Returns the numbers of the items that the next rows are made of.
    fn next_items(&mut self) -> Vec<usize> {
        let most = match self.items {
            WindowItems::Raw(_) => BATCH_ROWS.min(BATCH_BYTES / self.state_bytes().max(1)).max(1),
            _ => BATCH_ROWS,
        };

        let mut rows = Vec::new();
        while self.next < self.items.len() && rows.len() < most {
            let left = self.row_count(self.next).saturating_sub(self.repeated);
            let fit = left.min((most - rows.len()) as u64);
            rows.extend(std::iter::repeat_n(self.next, fit as usize));

            self.repeated += fit;
            if fit == left {
                (self.next, self.repeated) = (self.next + 1, 0);
            }
        }
        rows
    }

    /// Returns how many rows an item is: of a query that does not group, as many as had these values.
    fn row_count(&self, item: usize) -> u64 {
        let output = &self.query.output;
        match &self.items {
            WindowItems::Finished(groups) if output.form == EmitMode::Rows && !output.distinct => {
                groups[item].n
            }
            _ => 1,
        }
    }

    /// Returns the bytes of the states of the next group, as a guess for those behind it.
    fn state_bytes(&self) -> usize {
        let WindowItems::Raw(groups) = &self.items else { return 0 };
        let states = self.read.columns.iter().filter(|column| matches!(column, RowColumn::State(_))).count();
        let first = groups.get(self.next);
        states
            * first
                .map_or(0, |raw| raw.group.states.iter().map(|state| encode(state).len()).max().unwrap_or(0))
    }

    fn value(&self, column: RowColumn, item: usize) -> Value {
        match &self.items {
            WindowItems::Finished(groups) => match column {
                RowColumn::Selected(i) => {
                    let column = self.query.output.columns.get(i);
                    column.map_or(Value::Null, |column| {
                        column.expr.eval(&groups[item].values, &mut EvalErrors::default())
                    })
                }
                other => self.window_value(other),
            },

            WindowItems::Raw(groups) => self.group_value(column, &groups[item]),
            WindowItems::Window => self.window_value(column),
        }
    }

    fn group_value(&self, column: RowColumn, raw: &RawGroup) -> Value {
        let RawGroup { group, is_other } = raw;
        match column {
            RowColumn::Key(i) => group.key.get(i).cloned().unwrap_or_default(),
            RowColumn::Stratum => group.key.get(self.query.output.keys.len()).cloned().unwrap_or_default(),
            RowColumn::IsOther => Value::Bool(*is_other),
            RowColumn::Count => Value::U64(group.n),

            RowColumn::State(i) => {
                let state = self.query.output.finished.get(i).map(|value| usize::from(value.finished.state));
                let state = state.and_then(|state| group.states.get(state));
                state.map_or(Value::Null, |state| Value::Bytes(encode(state).into()))
            }
            other => self.window_value(other),
        }
    }

    /// Returns what all rows of the window have.
    fn window_value(&self, column: RowColumn) -> Value {
        let HistoryWindow { time_range, revision, time, coverage, groups, .. } = &self.window;
        match column {
            RowColumn::Query => Value::U64(self.query.number.into()),
            RowColumn::QueryName if self.query.name.is_empty() => Value::Null,
            RowColumn::QueryName => Value::str(&self.query.name),
            RowColumn::WindowStart => Value::Timestamp(time_range.start_ns),
            RowColumn::WindowEnd => Value::Timestamp(time_range.end_ns),
            RowColumn::Revision => Value::U64((*revision).into()),
            RowColumn::Partial => Value::Bool(self.window.is_partial()),

            RowColumn::Covered => Value::Duration(time.covered_ns),
            RowColumn::AgentsReporting => Value::U64(coverage.reporting.into()),
            RowColumn::AgentsExpected => Value::U64(coverage.expected.into()),
            RowColumn::Groups => Value::U64(groups.size_in_groups() as u64),
            RowColumn::Emitted => Value::U64(groups.emitted),
            RowColumn::OtherRows => Value::U64(groups.rows_in_other()),
            RowColumn::Lost(i) => Value::U64(groups.loss.by_kind().nth(i).map_or(0, |(_, amount)| amount)),
            _ => Value::Null,
        }
    }
}
