//! SELECT, HAVING and ORDER BY, evaluated for every group.
//!
//! Expressions have one meaning, that of [`Expr::eval`]: here as in advice, a missing value, an overflow or
//! a division by zero is null and is counted. DataFusion filters, sorts and tells rows apart afterwards
//! and never computes a value; what it sorts by are *ranks*, the places of the values in our order.

use crate::finished_groups::FinishedGroup;
use crate::unify_column::unify;
use datafusion::arrow::array::{ArrayRef, BooleanArray, UInt64Array};
use datafusion::arrow::datatypes::{Field, Schema};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::Result;
use pivot_advice::{EvalErrors, Expr, Value};
use pivot_query::OutputPlan;
use std::sync::Arc;

/// The column of a batch that says which rows HAVING keeps.
pub(crate) const HAVING: &str = "having";

/// The column of a batch with the numbers of the rows.
pub(crate) const ROW: &str = "row";

/// Returns the name of the column of a batch with the ranks of a selected column.
pub(crate) fn distinct_column(index: usize) -> String {
    format!("distinct{index}")
}

/// Returns the name of the column of a batch with the ranks of an expression of ORDER BY.
pub(crate) fn order_column(index: usize) -> String {
    format!("order{index}")
}

/// The values of a query's expressions for each group, by row number.
#[derive(Debug)]
pub(crate) struct EvaluatedRows {
    /// The selected values, column by column, each of one type.
    columns: Vec<Vec<Value>>,
    /// Conditions, ranks and numbers of the rows, for DataFusion.
    batch: RecordBatch,
}

impl EvaluatedRows {
    /// Evaluates all expressions of a query over its groups, and counts those that had no value.
    pub(crate) fn new(
        groups: &[FinishedGroup],
        output: &OutputPlan,
        errors: &mut EvalErrors,
    ) -> Result<EvaluatedRows> {
        let mut batch: Vec<(String, ArrayRef)> = Vec::new();
        if let Some(having) = &output.having {
            batch.push((HAVING.to_owned(), conditions(having, groups, errors)));
        }

        let mut columns = Vec::new();
        for (i, column) in output.columns.iter().enumerate() {
            let mut values = evaluate(&column.expr, groups, errors);
            // Before the column gets one type: 1 and "1" are different values, even if both are shown as
            // text.
            if output.distinct {
                batch.push((distinct_column(i), Arc::new(UInt64Array::from(ranks(&values)))));
            }
            unify(&mut values);
            columns.push(values);
        }

        for (i, (expr, _)) in output.order.iter().enumerate() {
            // What ORDER BY cannot evaluate sorts as null and is missing from no result, so it is not
            // counted.
            let values = evaluate(expr, groups, &mut EvalErrors::default());
            batch.push((order_column(i), ranks_of_values(&values)));
        }

        let numbers = UInt64Array::from_iter_values(0..groups.len() as u64);
        batch.push((ROW.to_owned(), Arc::new(numbers)));
        let fields = batch.iter().map(|(name, array)| Field::new(name, array.data_type().clone(), true));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let arrays = batch.into_iter().map(|(_, array)| array).collect();
        Ok(EvaluatedRows { columns, batch: RecordBatch::try_new(schema, arrays)? })
    }

    /// Returns the table that DataFusion filters and sorts: whether HAVING keeps each row, its ranks, and its
    /// number.
    pub(crate) fn batch(&self) -> RecordBatch {
        self.batch.clone()
    }

    /// Returns the selected values of a row.
    pub(crate) fn row(&self, number: usize) -> Vec<Value> {
        self.columns.iter().map(|column| column.get(number).cloned().unwrap_or_default()).collect()
    }
}

fn evaluate(expr: &Expr, groups: &[FinishedGroup], errors: &mut EvalErrors) -> Vec<Value> {
    groups.iter().map(|group| expr.eval(&group.values, errors)).collect()
}

/// Evaluates a condition; what is neither true nor false is unknown, and counted unless it is null.
fn conditions(expr: &Expr, groups: &[FinishedGroup], errors: &mut EvalErrors) -> ArrayRef {
    let mut found = Vec::with_capacity(groups.len());

    for group in groups {
        found.push(match expr.eval(&group.values, errors) {
            Value::Bool(holds) => Some(holds),
            Value::Null => None,
            _ => {
                errors.null();
                None
            }
        });
    }

    Arc::new(BooleanArray::from(found))
}

/// Returns the ranks of values for a sort; null has none, as its place is not among them.
fn ranks_of_values(values: &[Value]) -> ArrayRef {
    let ranks = values.iter().zip(ranks(values)).map(|(value, rank)| (!value.is_null()).then_some(rank));
    Arc::new(UInt64Array::from_iter(ranks))
}

/// Returns the rank of each value among all: equal values have one rank, and ranks order as values do.
fn ranks(values: &[Value]) -> Vec<u64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].group_cmp(&values[*b]));

    let mut ranks = vec![0_u64; values.len()];
    let mut rank = 0;
    for pair in order.windows(2) {
        let (previous, next) = (pair[0], pair[1]);
        rank += u64::from(values[previous] != values[next]);
        ranks[next] = rank;
    }
    ranks
}
