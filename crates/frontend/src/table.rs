//! Merged groups as rows that expressions are over: keys, n, finished aggregates, seconds.
//!
//! Of a sample COUNT and SUM are scaled to all requests. The requests of a sample fall into sixteen
//! parts by a hash; how much the parts differ tells how far the whole may be off.

use crate::arrow::{array, data_type, unite};
use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::datatypes::{Field, Schema};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::Result;
use pivot_advice::{Aggregate, Errors, Expr, Group, Groups, Type, Value};
use pivot_query::Output;
use std::collections::HashMap;
use std::sync::Arc;

/// Into how many parts the requests of a sample fall.
const PARTS: f64 = 16.0;

/// Rows in an order that depends on their values alone.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) rows: Vec<Row>,
    /// The types of the values.
    pub(crate) types: Vec<Type>,
    /// For each value how far it may be from the exact one, as a fraction of it.
    relative_errors: Vec<f64>,
}

/// One group.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) values: Vec<Value>,
    /// How many rows it stands for.
    pub(crate) n: u64,
    /// Standard errors of its values, 0 where they are not estimated; empty if there is no sample.
    standard_errors: Vec<f64>,
}

impl Table {
    /// The rows of merged groups in a window of so many seconds.
    pub(crate) fn of(groups: &Groups, output: &Output, seconds: f64, errors: &mut Errors) -> Table {
        let keys = output.keys.len();
        let mut relative_errors = vec![0.0; keys + 2 + output.finished.len()];
        for group in groups {
            for (value, error) in output.finished.iter().zip(&mut relative_errors[keys + 1..]) {
                let state = group.states.get(usize::from(value.finished.state));
                *error = f64::max(*error, state.map_or(0.0, |state| state.relative_error()));
            }
        }
        let mut rows = match output.sample.filter(|_| output.is_scaled()) {
            Some(fraction) => scaled(groups, output, (fraction, seconds), errors),
            None => groups.iter().map(|group| row(group, output, seconds, errors)).collect(),
        };
        rows.sort_by(|a, b| compare(&a.values, &b.values));
        let types = types(&rows, output);
        Table { rows, types, relative_errors }
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
    pub(crate) fn standard_errors(&self, row: usize, output: &Output) -> Vec<f64> {
        let Some(errors) = self.rows.get(row).map(|row| &row.standard_errors).filter(|e| !e.is_empty())
        else {
            return vec![];
        };
        let of = |expr: &Expr| match expr {
            Expr::Column(column) => errors.get(usize::from(*column)).copied().unwrap_or(0.0),
            _ => 0.0,
        };
        output.columns.iter().map(|column| of(&column.expr)).collect()
    }

    /// The rows as columns `c0`, `c1`, .. and the row numbers as `r`.
    pub(crate) fn batch(&self) -> Result<RecordBatch> {
        let fields = self.types.iter().enumerate().map(|(i, ty)| Field::new(name(i), data_type(*ty), true));
        let numbers = Field::new(NUMBER, data_type(Type::U64), true);
        let schema = Arc::new(Schema::new(fields.chain([numbers]).collect::<Vec<_>>()));
        let column = |(i, ty): (usize, &Type)| {
            let values: Vec<Value> = self.rows.iter().map(|row| row.values[i].clone()).collect();
            array(&values, *ty)
        };
        let mut columns: Vec<ArrayRef> = self.types.iter().enumerate().map(column).collect::<Result<_>>()?;
        let numbers: Vec<Value> = (0..self.rows.len() as u64).map(Value::U64).collect();
        columns.push(array(&numbers, Type::U64)?);
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

fn types(rows: &[Row], output: &Output) -> Vec<Type> {
    let keys = output.keys.iter().map(|key| key.ty);
    let finished = output.finished.iter().map(|value| value.ty);
    let declared = keys.chain([Type::U64]).chain(finished).chain([Type::F64]);
    let found = |i: usize| rows.iter().filter_map(|row| row.values.get(i)).collect::<Vec<_>>();
    declared.enumerate().map(|(i, ty)| unite(&found(i), ty)).collect()
}

fn row(group: &Group, output: &Output, seconds: f64, errors: &mut Errors) -> Row {
    let values = output.row(&group.key, group.n, &group.states, seconds, errors);
    Row { values, n: group.n, standard_errors: vec![] }
}

/// The parts of each group together, and scaled.
fn scaled(
    groups: &Groups,
    output: &Output,
    (fraction, seconds): (f64, f64),
    errors: &mut Errors,
) -> Vec<Row> {
    let keys = output.keys.len();
    let mut whole = Groups::new(keys, groups.aggregates());
    let mut parts: HashMap<Vec<Value>, Vec<&Group>> = HashMap::new();
    for group in groups {
        let key = &group.key[..keys.min(group.key.len())];
        whole.entry(key).merge(group.n, &group.states);
        parts.entry(key.to_vec()).or_default().push(group);
    }
    let rows = whole.iter().map(|group| {
        let parts = parts.get(&*group.key).map(Vec::as_slice).unwrap_or_default();
        let mut values = output.row(&group.key, group.n, &group.states, seconds, errors);
        let mut standard_errors = vec![0.0; values.len()];
        for (i, value) in values.iter_mut().enumerate().skip(keys) {
            let Some(shares) = shares(parts, output, i - keys) else { continue };
            standard_errors[i] = standard_error(&shares, fraction);
            *value = scale(value, fraction);
        }
        Row { values, n: group.n, standard_errors }
    });
    rows.collect()
}

/// What each part adds to a value that is scaled: n is the first behind the keys, then aggregates.
fn shares(parts: &[&Group], output: &Output, place: usize) -> Option<Vec<f64>> {
    let Some(place) = place.checked_sub(1) else {
        return Some(parts.iter().map(|part| part.n as f64).collect());
    };
    let state = usize::from(output.finished.get(place)?.finished.state);
    let scales = matches!(output.states.get(state)?, Aggregate::Count | Aggregate::Sum);
    let finish = output.finished[place].finished.finish;
    let share = |part: &&Group| {
        let value = part.states.get(state).map(|state| state.finish(finish, &mut Errors::default()));
        value.map_or(0.0, |value| double(&value))
    };
    scales.then(|| parts.iter().map(share).collect())
}

fn double(value: &Value) -> f64 {
    match value {
        Value::Duration(ns) => *ns as f64,
        other => other.as_f64().unwrap_or(0.0),
    }
}

/// Of a sum over a fraction of all requests, from the sums over its parts.
fn standard_error(shares: &[f64], fraction: f64) -> f64 {
    let mean = shares.iter().sum::<f64>() / PARTS;
    let missing = (PARTS - shares.len() as f64).max(0.0);
    let squares = shares.iter().map(|share| (share - mean).powi(2)).sum::<f64>() + missing * mean * mean;
    (squares * PARTS / (PARTS - 1.0) * (1.0 - fraction)).sqrt() / fraction
}

/// A sum over a fraction of all requests as one over all of them.
fn scale(value: &Value, fraction: f64) -> Value {
    let whole = |x: f64| (x / fraction).round();
    match value {
        Value::U64(x) => Value::U64(whole(*x as f64) as u64),
        Value::I64(x) => Value::I64(whole(*x as f64) as i64),
        Value::Duration(x) => Value::Duration(whole(*x as f64) as i64),
        Value::F64(x) => Value::F64(x / fraction),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use pivot_query::{Catalog, compile};

    /// Counts requests 0..many of a host by the part that a hash puts them in, keeping a fraction.
    fn sampled(many: u64, fraction: f64) -> Table {
        let text = format!("FROM t IN T GROUP BY t.host SELECT t.host, COUNT, SUM(t.x) SAMPLE {fraction}");
        let output = compile(&text, &Catalog::default()).unwrap().output;
        let mut groups = output.table();
        for request in 0..many {
            let hash = |salt: u64| pivot_advice::eval::stable_hash(&[Value::U64(request), Value::U64(salt)]);
            if hash(0) as f64 / u64::MAX as f64 >= fraction {
                continue;
            }
            let group = groups.entry(&[Value::str("a"), Value::U64(hash(1) % 16)]);
            group.n += 1;
            group.states[0].update(&Value::I64(3), 1, &mut Errors::default());
        }
        Table::of(&groups, &output, 1.0, &mut Errors::default())
    }

    #[test]
    fn counts_of_a_sample_are_scaled_with_an_honest_error() {
        for fraction in [0.5, 0.1] {
            let table = sampled(40_000, fraction);
            assert_eq!(table.rows.len(), 1);
            let row = &table.rows[0];
            let (count, sum) = (double(&row.values[1]), double(&row.values[2]));
            let (error, sum_error) = (row.standard_errors[1], row.standard_errors[2]);
            // The standard error of a binomial sample, which is estimated from sixteen parts.
            let truth = (40_000.0 * (1.0 - fraction) / fraction).sqrt();
            assert!(error > truth / 2.5 && error < truth * 2.5, "{error}, {truth}");
            assert!((count - 40_000.0).abs() < 5.0 * truth, "{count}");
            assert!((sum / count - 3.0).abs() < 0.01 && (sum_error / error - 3.0).abs() < 0.01);
        }
    }
}
