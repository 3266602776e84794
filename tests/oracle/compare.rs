//! Whether two results are the same bag of rows.

use crate::aggregate::Cell;
use crate::value::double;
use pivot_advice::Value;

/// The relative difference of doubles that is allowed.
const RELATIVE: f64 = 1e-9;
/// Near zero, where sums cancel.
const ABSOLUTE: f64 = 1e-7;

/// Rows that only one side has: those due, and those found.
pub(crate) fn differences(due: &[Vec<Cell>], found: &[Vec<Value>]) -> (Vec<Vec<Cell>>, Vec<Vec<Value>>) {
    let mut surplus = found.to_vec();
    let mut missing = Vec::new();
    for row in due {
        match surplus.iter().position(|found| is_row(row, found)) {
            Some(place) => drop(surplus.swap_remove(place)),
            None => missing.push(row.clone()),
        }
    }
    (missing, surplus)
}

/// Whether the rows are the same one by one.
pub(crate) fn in_order(due: &[Vec<Cell>], found: &[Vec<Value>]) -> bool {
    due.len() == found.len() && due.iter().zip(found).all(|(due, found)| is_row(due, found))
}

fn is_row(due: &[Cell], found: &[Value]) -> bool {
    due.len() == found.len() && due.iter().zip(found).all(|(due, found)| is_cell(due, found))
}

fn is_cell(due: &Cell, found: &Value) -> bool {
    match due {
        Cell::Value(due) => is_value(due, found),
        Cell::AnyOf(list) => list.iter().any(|due| is_value(due, found)),
        Cell::Between(low, high) => {
            let found = match found {
                Value::Duration(ns) | Value::Timestamp(ns) => Some(*ns as f64),
                other => double(other),
            };
            found.is_some_and(|found| *low <= found && found <= *high)
        }
    }
}

fn is_value(due: &Value, found: &Value) -> bool {
    match (due, found) {
        (Value::F64(x), Value::F64(y)) => is_close(*x, *y),
        (Value::List(x), Value::List(y)) => {
            x.len() == y.len() && x.iter().zip(y.iter()).all(|(x, y)| is_value(x, y))
        }
        _ => due == found,
    }
}

fn is_close(x: f64, y: f64) -> bool {
    let near = |x: f64, y: f64| (x - y).abs() <= ABSOLUTE.max(RELATIVE * x.abs().max(y.abs()));
    x == y || x.is_nan() && y.is_nan() || x.is_finite() && y.is_finite() && near(x, y)
}
