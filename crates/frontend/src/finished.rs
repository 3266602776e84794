//! Merged groups as rows that expressions are over: keys, n, finished aggregates, seconds.
//!
//! Of a sample the values are those for all requests, see [`estimate`].

use crate::estimate::{self, Estimated};
use crate::window_groups::WindowGroups;
use pivot_advice::{Errors, Expr, Group, Value};
use pivot_query::OutputSchema;

/// Rows in an order that depends on their values alone.
#[derive(Debug)]
pub(crate) struct FinishedGroups {
    pub(crate) rows: Vec<FinishedGroup>,
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
        FinishedGroups { rows, relative_errors }
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
}

/// The order of rows by their values.
pub(crate) fn compare(a: &[Value], b: &[Value]) -> std::cmp::Ordering {
    let differing = a.iter().zip(b).map(|(x, y)| x.group_cmp(y)).find(|order| order.is_ne());
    differing.unwrap_or(std::cmp::Ordering::Equal)
}

fn row(group: &Group, output: &OutputSchema, seconds: f64, errors: &mut Errors) -> FinishedGroup {
    let values = output.row(&group.key, group.n, &group.states, seconds, errors);
    FinishedGroup { values, n: group.n, standard_errors: vec![] }
}
