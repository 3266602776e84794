//! The rows of windows: one for each group, or for each row of a query that does not group, with the values of SELECT.
//!
//! Only the columns that a statement reads are computed. HAVING, ORDER BY and LIMIT of the query do not count: SQL has its
//! own, and what was asked later is rarely what was to be shown then.

use super::to_arrow::array;
use super::window_source::{HistoryQuery, HistoryWindow};
use crate::finished_groups::FinishedGroup;
use crate::select::finish;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::common::Result;
use pivot_advice::{EmitMode, EvalErrors, Value};

/// The rows of a batch.
pub(super) const BATCH_ROWS: usize = 4_096;

/// The value that a column of a table holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RowColumn {
    WindowStart,
    WindowEnd,
    Revision,
    Partial,
    /// The column of SELECT with this index.
    Selected(usize),
}

/// The rows of a window, batch by batch.
#[derive(Debug)]
pub(super) struct WindowRows {
    query: HistoryQuery,
    columns: Vec<RowColumn>,
    schema: SchemaRef,
    window: HistoryWindow,
    groups: Vec<FinishedGroup>,
    /// The group that comes next, and how many of its rows have come.
    next: usize,
    repeated: u64,
}

impl WindowRows {
    /// Makes the rows of a window, with these columns.
    pub(super) fn new(
        query: HistoryQuery,
        columns: Vec<RowColumn>,
        schema: SchemaRef,
        window: HistoryWindow,
    ) -> WindowRows {
        // What cannot be computed is null; which of the rows that is so of shows in the frames of the query.
        let groups = finish(&window.groups, &query.output, window.seconds(), &mut EvalErrors::default());
        WindowRows { query, columns, schema, window, groups, next: 0, repeated: 0 }
    }

    /// Returns the next rows, or `None` behind the last.
    pub(super) fn next(&mut self) -> Result<Option<RecordBatch>> {
        let is_repeated = self.query.output.form == EmitMode::Rows && !self.query.output.distinct;
        let mut rows = Vec::new();
        while let Some(group) = self.groups.get(self.next).filter(|_| rows.len() < BATCH_ROWS) {
            let left = if is_repeated { group.n.saturating_sub(self.repeated) } else { 1 };
            let fit = left.min((BATCH_ROWS - rows.len()) as u64);
            rows.extend(std::iter::repeat_n(self.next, fit as usize));

            self.repeated += fit;
            if fit == left {
                (self.next, self.repeated) = (self.next + 1, 0);
            }
        }
        if rows.is_empty() {
            return Ok(None);
        }

        let mut arrays = Vec::with_capacity(self.columns.len());
        for (column, field) in self.columns.iter().zip(self.schema.fields()) {
            let values: Vec<Value> = rows.iter().map(|row| self.value(*column, *row)).collect();
            arrays.push(array(field, &values)?);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        Ok(Some(RecordBatch::try_new_with_options(self.schema.clone(), arrays, &options)?))
    }

    fn value(&self, column: RowColumn, group: usize) -> Value {
        match column {
            RowColumn::WindowStart => Value::Timestamp(self.window.time_range.start_ns),
            RowColumn::WindowEnd => Value::Timestamp(self.window.time_range.end_ns),
            RowColumn::Revision => Value::U64(self.window.revision.into()),
            RowColumn::Partial => Value::Bool(self.window.is_partial()),

            RowColumn::Selected(i) => {
                let values = &self.groups[group].values;
                let column = self.query.output.columns.get(i);
                column.map_or(Value::Null, |column| column.expr.eval(values, &mut EvalErrors::default()))
            }
        }
    }
}
