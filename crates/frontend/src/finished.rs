//! Merged groups as rows that expressions are over: keys, n, finished aggregates, seconds.
//!
//! Of a sample the values are those for all requests, see [`estimate`].

use crate::arrow::{array, data_type, unite};
use crate::estimate::{self, Estimated};
use crate::window_groups::WindowGroups;
use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::datatypes::{Field, Schema};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::Result;
use pivot_advice::{Errors, Expr, Group, Type, Value};
use pivot_query::OutputSchema;
use std::sync::Arc;

/// Rows in an order that depends on their values alone.
#[derive(Debug)]
pub(crate) struct FinishedGroups {
    pub(crate) rows: Vec<FinishedGroup>,
    /// The types of the values.
    pub(crate) types: Vec<Type>,
    /// For each value how far it may be from the exact one, as a fraction of it.
    relative_errors: Vec<f64>,
}

/// One group.
#[derive(Debug)]
pub(crate) struct FinishedGroup {
    pub(crate) values: Vec<Value>,
    /// How many rows it stands for.
    pub(crate) n: u64,
    /// Standard errors of its values, 0 where they are not estimated; empty if there is no sample.
    standard_errors: Vec<f64>,
}

impl From<Estimated> for FinishedGroup {
    fn from(row: Estimated) -> FinishedGroup {
        FinishedGroup { values: row.values, n: row.n, standard_errors: row.standard_errors }
    }
}

impl FinishedGroups {
    /// The rows of merged groups in a window of so many seconds.
    pub(crate) fn of(
        tally: &WindowGroups,
        output: &OutputSchema,
        seconds: f64,
        errors: &mut Errors,
    ) -> FinishedGroups {
        let keys = output.keys.len();
        let mut relative_errors = vec![0.0; keys + 2 + output.finished.len()];
        for group in tally.groups.iter().chain(tally.sampled.groups.iter().flatten()) {
            for (value, error) in output.finished.iter().zip(&mut relative_errors[keys + 1..]) {
                let state = group.states.get(usize::from(value.finished.state));
                *error = f64::max(*error, state.map_or(0.0, |state| state.relative_error()));
            }
        }
        let mut rows: Vec<FinishedGroup> = match estimate::is_sampled(tally, output) {
            true => {
                estimate::rows(tally, output, seconds, errors).into_iter().map(FinishedGroup::from).collect()
            }
            false => tally.groups.iter().map(|group| row(group, output, seconds, errors)).collect(),
        };
        rows.sort_by(|a, b| compare(&a.values, &b.values));
        let types = types(&rows, output);
        FinishedGroups { rows, types, relative_errors }
    }

    /// The types of the values, but of those that have several: as columns they are not what they were.
    pub(crate) fn pure_types(&self) -> Vec<Option<Type>> {
        let is = |i: usize, ty: Type| {
            self.rows.iter().filter_map(|row| row.values.get(i)).all(|x| x.is_null() || x.type_of() == ty)
        };
        self.types.iter().enumerate().map(|(i, ty)| Some(*ty).filter(|ty| is(i, *ty))).collect()
    }

    /// How far a column of the result may be off, as a fraction.
    pub(crate) fn relative_error(&self, expr: &Expr) -> f64 {
        let mut largest: f64 = 0.0;
        expr.columns(&mut |column| {
            largest = largest.max(self.relative_errors.get(usize::from(column)).copied().unwrap_or(0.0));
        });
        largest
    }

    /// The standard errors of a row's columns, if it is estimated.
    pub(crate) fn standard_errors(&self, row: usize, output: &OutputSchema) -> Vec<f64> {
        let Some(row) = self.rows.get(row).filter(|row| !row.standard_errors.is_empty()) else {
            return vec![];
        };
        let of = |expr: &Expr| estimate::standard_error(expr, &row.values, &row.standard_errors, output);
        output.columns.iter().map(|column| of(&column.expr)).collect()
    }

    /// The rows as columns `c0`, `c1`, .. and the row numbers as `r`.
    pub(crate) fn batch(&self) -> Result<RecordBatch> {
        let fields = self.types.iter().enumerate().map(|(i, ty)| Field::new(name(i), data_type(*ty), true));
        let numbers = Field::new(NUMBER, data_type(Type::U64), true);
        let schema = Arc::new(Schema::new(fields.chain([numbers]).collect::<Vec<_>>()));
        let column = |(i, ty): (usize, &Type)| array(self.rows.iter().map(|row| &row.values[i]), *ty);
        let mut columns: Vec<ArrayRef> = self.types.iter().enumerate().map(column).collect::<Result<_>>()?;
        let numbers: Vec<Value> = (0..self.rows.len() as u64).map(Value::U64).collect();
        columns.push(array(numbers.iter(), Type::U64)?);
        Ok(RecordBatch::try_new(schema, columns)?)
    }
}

/// The name of the column with the row numbers.
pub(crate) const NUMBER: &str = "r";

/// The name of a column of the table.
pub(crate) fn name(column: usize) -> String {
    format!("c{column}")
}

/// The order of rows by their values.
pub(crate) fn compare(a: &[Value], b: &[Value]) -> std::cmp::Ordering {
    let differing = a.iter().zip(b).map(|(x, y)| x.group_cmp(y)).find(|order| order.is_ne());
    differing.unwrap_or(std::cmp::Ordering::Equal)
}

fn types(rows: &[FinishedGroup], output: &OutputSchema) -> Vec<Type> {
    let keys = output.keys.iter().map(|key| key.ty);
    let finished = output.finished.iter().map(|value| value.ty);
    let declared = keys.chain([Type::U64]).chain(finished).chain([Type::F64]);
    let found = |i: usize| rows.iter().filter_map(|row| row.values.get(i)).collect::<Vec<_>>();
    declared.enumerate().map(|(i, ty)| unite(&found(i), ty)).collect()
}

fn row(group: &Group, output: &OutputSchema, seconds: f64, errors: &mut Errors) -> FinishedGroup {
    let values = output.row(&group.key, group.n, &group.states, seconds, errors);
    FinishedGroup { values, n: group.n, standard_errors: vec![] }
}
