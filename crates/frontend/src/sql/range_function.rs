//! `range('q7', from, to)`: the windows of a query that begin in a range, as if they had been one.
//!
//! Its rows are those that the query would have shown: HAVING, ORDER BY and LIMIT count, over all windows together. With
//! numbers or times alone it is the function that makes a row for each of them.

use super::catalogue::QuerySchema;
use super::column_type::timestamp_type;
use super::row_column::{RowColumn, selected_columns};
use super::to_arrow::array;
use super::window_source::{HistoryQuery, HistoryWindow, WindowRevisions, WindowSource};
use crate::agent_coverage::AllAgentsReported;
use crate::select::{ResultTable, SelectEngine};
use crate::time_range::TimeRange;
use crate::window_groups::WindowGroups;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::catalog::{Session, TableFunction, TableFunctionArgs, TableFunctionImpl, TableProvider};
use datafusion::common::{Result, ScalarValue, plan_datafusion_err, plan_err};
use datafusion::error::DataFusionError;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use futures::stream::{StreamExt, once};
use pivot_advice::Value;
use pivot_merge::MergedGroups;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::runtime::Handle;
use tonic::async_trait;

/// How the function is called.
const USAGE: &str = "range('name of a query', from, to), where each time may be null";

/// The function of tables.
#[derive(Debug)]
pub(super) struct RangeFunction {
    queries: Arc<QuerySchema>,
    /// The function of numbers and times.
    series: Arc<TableFunction>,
}

impl RangeFunction {
    /// Makes the function over queries; `series` is that of numbers and times of this name.
    pub(super) fn new(queries: Arc<QuerySchema>, series: Arc<TableFunction>) -> RangeFunction {
        RangeFunction { queries, series }
    }
}

impl TableFunctionImpl for RangeFunction {
    fn call_with_args(&self, args: TableFunctionArgs<'_, '_>) -> Result<Arc<dyn TableProvider>> {
        let [Expr::Literal(first, _), rest @ ..] = args.exprs() else {
            return self.series.create_table_provider_with_args(args);
        };
        let Some(Some(name)) = first.try_as_str() else {
            return self.series.create_table_provider_with_args(args);
        };
        let [from, to] = rest else { return plan_err!("a range of a query is {USAGE}") };

        let query = self.queries.find_query(name).cloned();
        let query = query.ok_or_else(|| plan_datafusion_err!("there is no query `{name}`"))?;
        let starts = TimeRange { start_ns: time(from, i64::MIN)?, end_ns: time(to, i64::MAX)? };
        let source = self.queries.source.clone();
        // Reading waits for a disk, and this cannot wait by itself.
        let observed = tokio::task::block_in_place(|| Handle::current().block_on(source.observed(&query)));
        let observed = observed.map_err(DataFusionError::External)?;
        let (columns, fields): (Vec<_>, Vec<Field>) = selected_columns(&query, &observed).into_iter().unzip();

        // DataFusion takes two scans of one name for the same, whatever they were called with, unless their schemas differ.
        let called = format!("{} {} {}", query.number, starts.start_ns, starts.end_ns);
        let metadata = HashMap::from([("pivot.range".to_owned(), called)]);
        let schema = Arc::new(Schema::new_with_metadata(fields, metadata));
        Ok(Arc::new(RangeTable { source, query, starts, columns, schema }))
    }
}

/// Returns the time that an argument is; null is the far past or future.
fn time(argument: &Expr, if_null: i64) -> Result<i64> {
    let Expr::Literal(value, _) = argument else {
        return plan_err!("a range of a query is {USAGE}, and `{argument}` depends on rows");
    };
    if value.is_null() {
        return Ok(if_null);
    }
    match value.cast_to(&timestamp_type()) {
        Ok(ScalarValue::TimestampNanosecond(Some(at_ns), _)) => Ok(at_ns),
        _ => plan_err!("`{value}` is no time: a range of a query is {USAGE}"),
    }
}

/// The windows of a query in a range, as one result.
#[derive(Debug, Clone)]
struct RangeTable {
    source: Arc<dyn WindowSource>,
    query: HistoryQuery,
    starts: TimeRange,
    columns: Vec<RowColumn>,
    schema: SchemaRef,
}

#[async_trait]
impl TableProvider for RangeTable {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Temporary
    }

    async fn scan(
        &self,
        _state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let whole: Arc<dyn PartitionStream> = Arc::new(self.clone());

        Ok(Arc::new(StreamingTableExec::try_new(
            self.schema.clone(),
            vec![whole],
            projection,
            [],
            false,
            limit,
        )?))
    }
}

impl PartitionStream for RangeTable {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let table = self.clone();
        let rows = once(async move { table.rows().await });
        Box::pin(RecordBatchStreamAdapter::new(self.schema.clone(), rows))
    }
}

impl RangeTable {
    /// Adds the windows up, and makes the rows of their sum.
    async fn rows(&self) -> Result<RecordBatch> {
        let mut sum = WindowsSum::new(&self.query);
        let mut windows = self.source.windows(&self.query, self.starts, WindowRevisions::Newest);
        while let Some(window) = windows.next().await {
            sum.add(&window.map_err(DataFusionError::External)?);
            tokio::task::consume_budget().await;
        }
        let Some(range) = sum.range else { return Ok(RecordBatch::new_empty(self.schema.clone())) };

        // Where nothing was reported there may be no window, and yet the query was answered.
        let covered = self.source.covered(&self.query, range);
        let covered_ns = covered.map_or(sum.covered_ns, |time| time.covered_ns.max(sum.covered_ns));
        let engine = SelectEngine::new();
        let table = engine.select(&sum.groups, &self.query.output, covered_ns as f64 / 1e9).await?;
        sum.is_partial |= !table.loss.is_zero() || sum.groups.rows_in_other() > 0;
        self.batch(&sum, range, &table)
    }

    fn batch(&self, sum: &WindowsSum, range: TimeRange, table: &ResultTable) -> Result<RecordBatch> {
        let mut arrays = Vec::with_capacity(self.columns.len());
        for (column, field) in self.columns.iter().zip(self.schema.fields()) {
            let mut values = Vec::with_capacity(table.rows.len());
            for row in &table.rows {
                values.push(match column {
                    RowColumn::WindowStart => Value::Timestamp(range.start_ns),
                    RowColumn::WindowEnd => Value::Timestamp(range.end_ns),
                    RowColumn::Revision => Value::U64(sum.revision.into()),
                    RowColumn::Partial => Value::Bool(sum.is_partial),
                    RowColumn::Selected(i) => row.values.get(*i).cloned().unwrap_or_default(),
                    _ => Value::Null,
                });
            }
            arrays.push(array(field, &values)?);
        }

        Ok(RecordBatch::try_new(self.schema.clone(), arrays)?)
    }
}

/// The sum of windows.
#[derive(Debug)]
struct WindowsSum {
    /// From the start of the first window to the end of the last.
    range: Option<TimeRange>,
    groups: WindowGroups,
    covered_ns: i64,
    is_partial: bool,
    /// The largest of any window.
    revision: u32,
}

impl WindowsSum {
    fn new(query: &HistoryQuery) -> WindowsSum {
        let shape = MergedGroups::from(&query.output.table());
        WindowsSum {
            range: None,
            groups: WindowGroups::new(&shape),
            covered_ns: 0,
            is_partial: false,
            revision: 0,
        }
    }

    fn add(&mut self, window: &HistoryWindow) {
        let range = self.range.get_or_insert(window.time_range);
        range.start_ns = range.start_ns.min(window.time_range.start_ns);
        range.end_ns = range.end_ns.max(window.time_range.end_ns);

        self.groups.merge(&window.groups);
        self.covered_ns = self.covered_ns.saturating_add(window.time.covered_ns);
        self.is_partial |= window.heard == AllAgentsReported::SomeMissing || window.time.agents_late > 0;
        self.revision = self.revision.max(window.revision);
    }
}
