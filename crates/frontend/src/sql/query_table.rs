//! The table of a query: its windows, closed and kept, as one.

use super::column_type::{column_type, timestamp_type};
use super::time_filter::{WINDOW_END, WINDOW_START, pushed_down, starts};
use super::window_rows::{RowColumn, WindowRows};
use super::window_source::{HistoryQuery, ObservedValues, WindowRevisions, WindowSource};
use crate::time_range::TimeRange;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::Result;
use datafusion::error::DataFusionError;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use futures::stream::{StreamExt, TryStreamExt, unfold};
use std::collections::HashSet;
use std::sync::Arc;
use tonic::async_trait;

/// The table of a query.
#[derive(Debug)]
pub(super) struct QueryTable {
    source: Arc<dyn WindowSource>,
    query: HistoryQuery,
    revisions: WindowRevisions,
    columns: Vec<RowColumn>,
    schema: SchemaRef,
}

impl QueryTable {
    /// Makes the table of a query.
    pub(super) fn new(
        source: Arc<dyn WindowSource>,
        query: HistoryQuery,
        observed: &ObservedValues,
        revisions: WindowRevisions,
    ) -> QueryTable {
        let (columns, fields): (Vec<_>, Vec<_>) = row_columns(&query, observed).into_iter().unzip();
        QueryTable { source, query, revisions, columns, schema: Arc::new(Schema::new(fields)) }
    }
}

/// Returns the columns of rows of a query.
pub(super) fn row_columns(query: &HistoryQuery, observed: &ObservedValues) -> Vec<(RowColumn, Field)> {
    let mut columns = vec![
        (RowColumn::WindowStart, Field::new(WINDOW_START, timestamp_type(), false)),
        (RowColumn::WindowEnd, Field::new(WINDOW_END, timestamp_type(), false)),
        (RowColumn::Revision, Field::new("revision", DataType::UInt32, false)),
        (RowColumn::Partial, Field::new("partial", DataType::Boolean, false)),
    ];

    let mut taken: HashSet<String> = columns.iter().map(|(_, field)| field.name().clone()).collect();
    for (i, column) in query.output.columns.iter().enumerate() {
        let types = observed.columns.get(i).copied().unwrap_or_default();
        let name = unique_name(&column.name, &mut taken);
        columns.push((RowColumn::Selected(i), Field::new(name, column_type(column.ty, types), true)));
    }
    columns
}

/// Returns a name that no other column has, and takes it.
pub(super) fn unique_name(name: &str, taken: &mut HashSet<String>) -> String {
    let mut unique = name.to_owned();
    let mut number = 1;
    while !taken.insert(unique.clone()) {
        number += 1;
        unique = format!("{name}_{number}");
    }
    unique
}

#[async_trait]
impl TableProvider for QueryTable {
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

        let scan = QueryScan {
            source: self.source.clone(),
            query: self.query.clone(),
            starts: starts(filters),
            revisions: self.revisions,
            columns: projection.iter().map(|i| self.columns[*i]).collect(),
            schema: schema.clone(),
        };
        Ok(Arc::new(StreamingTableExec::try_new(schema, vec![Arc::new(scan)], None, [], false, limit)?))
    }
}

/// The rows of some windows of a query, with the columns that are read.
#[derive(Debug)]
struct QueryScan {
    source: Arc<dyn WindowSource>,
    query: HistoryQuery,
    starts: TimeRange,
    revisions: WindowRevisions,
    columns: Vec<RowColumn>,
    schema: SchemaRef,
}

impl PartitionStream for QueryScan {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let windows = self.source.windows(&self.query, self.starts, self.revisions);
        let (query, columns, schema) = (self.query.clone(), self.columns.clone(), self.schema.clone());

        let batches = windows.map_err(DataFusionError::External).map(move |window| {
            let rows = WindowRows::new(query.clone(), columns.clone(), schema.clone(), window?);
            Ok::<_, DataFusionError>(unfold(rows, |mut rows| async {
                // Each batch is a point at which the statement can end.
                tokio::task::consume_budget().await;
                rows.next().transpose().map(|batch| (batch, rows))
            }))
        });
        Box::pin(RecordBatchStreamAdapter::new(self.schema.clone(), batches.try_flatten()))
    }
}
