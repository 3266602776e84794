//! A table of windows: those of a query, their states, or the windows of all queries.

use super::row_column::{RowColumn, listed_columns, selected_columns, state_columns};
use super::time_filter::{pushed_down, starts};
use super::window_rows::{ReadColumns, RowKind, WindowRows};
use super::window_source::{HistoryQuery, ObservedValues, WindowRevisions, WindowSource};
use crate::time_range::TimeRange;
use datafusion::arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::Result;
use datafusion::error::DataFusionError;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use futures::stream::{StreamExt, TryStreamExt, iter, unfold};
use std::sync::Arc;
use tonic::async_trait;

/// A table whose rows are made of windows.
#[derive(Debug)]
pub(super) struct WindowTable {
    source: Arc<dyn WindowSource>,
    queries: Vec<HistoryQuery>,
    revisions: WindowRevisions,
    kind: RowKind,
    columns: Vec<RowColumn>,
    schema: SchemaRef,
}

impl WindowTable {
    /// Makes the table of a query.
    pub(super) fn of_query(
        source: Arc<dyn WindowSource>,
        query: HistoryQuery,
        observed: &ObservedValues,
        revisions: WindowRevisions,
    ) -> WindowTable {
        let columns = selected_columns(&query, observed);
        WindowTable::new(source, vec![query], columns, RowKind::Selected, revisions)
    }

    /// Makes the table of the states of a query.
    pub(super) fn of_states(
        source: Arc<dyn WindowSource>,
        query: HistoryQuery,
        observed: &ObservedValues,
    ) -> WindowTable {
        let columns = state_columns(&query, observed);
        WindowTable::new(source, vec![query], columns, RowKind::States, WindowRevisions::Newest)
    }

    /// Makes the table of the windows of all queries.
    pub(super) fn of_windows(source: Arc<dyn WindowSource>, queries: Vec<HistoryQuery>) -> WindowTable {
        WindowTable::new(source, queries, listed_columns(), RowKind::Window, WindowRevisions::Newest)
    }

    fn new(
        source: Arc<dyn WindowSource>,
        queries: Vec<HistoryQuery>,
        columns: Vec<(RowColumn, Field)>,
        kind: RowKind,
        revisions: WindowRevisions,
    ) -> WindowTable {
        let (columns, fields): (Vec<RowColumn>, Vec<Field>) = columns.into_iter().unzip();
        WindowTable { source, queries, revisions, kind, columns, schema: Arc::new(Schema::new(fields)) }
    }
}

#[async_trait]
impl TableProvider for WindowTable {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(pushed_down(filters))
    }

    async fn scan(
        &self,
        _state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let all: Vec<usize> = (0..self.columns.len()).collect();
        let projection = projection.unwrap_or(&all);
        let schema = Arc::new(self.schema.project(projection)?);

        let columns = projection.iter().map(|i| self.columns[*i]).collect();
        let scan = WindowScan {
            source: self.source.clone(),
            queries: self.queries.clone(),
            starts: starts(filters),
            revisions: self.revisions,
            read: ReadColumns { kind: self.kind, columns, schema: schema.clone() },
        };
        Ok(Arc::new(StreamingTableExec::try_new(schema, vec![Arc::new(scan)], None, [], false, limit)?))
    }
}

/// The rows of some windows, with the columns that are read.
#[derive(Debug)]
struct WindowScan {
    source: Arc<dyn WindowSource>,
    queries: Vec<HistoryQuery>,
    starts: TimeRange,
    revisions: WindowRevisions,
    read: ReadColumns,
}

impl PartitionStream for WindowScan {
    fn schema(&self) -> &SchemaRef {
        &self.read.schema
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let (source, starts, revisions) = (self.source.clone(), self.starts, self.revisions);
        let read = self.read.clone();

        let batches = iter(self.queries.clone()).flat_map(move |query| {
            let windows = source.windows(&query, starts, revisions).map_err(DataFusionError::External);
            let read = read.clone();
            let batches = windows.map(move |window| {
                let rows = WindowRows::new(query.clone(), read.clone(), window?);
                Ok::<_, DataFusionError>(unfold(rows, |mut rows| async {
                    // Each batch is a point at which the statement can end.
                    tokio::task::consume_budget().await;
                    rows.next().transpose().map(|batch| (batch, rows))
                }))
            });
            batches.try_flatten()
        });
        Box::pin(RecordBatchStreamAdapter::new(self.read.schema.clone(), batches))
    }
}
