//! Whether two results are the same bag of rows.

use crate::aggregate::Cell;
use crate::value::double;
use pivot_advice::Value;

/// The relative difference of doubles that is allowed.
const RELATIVE: f64 = 1e-9;
/// Near zero, where sums cancel.
const ABSOLUTE: f64 = 1e-7;

/// Rows that only one side has: those due, and those found. A row that is due may be any of several
/// that were found, so they are matched as a whole.
pub(crate) fn differences(due: &[Vec<Cell>], found: &[Vec<Value>]) -> (Vec<Vec<Cell>>, Vec<Vec<Value>>) {
    let mut taken: Vec<Option<usize>> = vec![None; found.len()];
    let missing =
        (0..due.len()).filter(|row| !is_placed(*row, due, found, &mut taken, &mut vec![false; found.len()]));
    let missing = missing.collect::<Vec<_>>().into_iter().map(|row| due[row].clone()).collect();
    let surplus = found.iter().zip(&taken).filter(|(_, taken)| taken.is_none()).map(|(row, _)| row.clone());
    (missing, surplus.collect())
}

/// Finds a place for a row that is due, moving others if need be.
fn is_placed(
    row: usize,
    due: &[Vec<Cell>],
    found: &[Vec<Value>],
    taken: &mut [Option<usize>],
    tried: &mut [bool],
) -> bool {
    let fits = |place: &usize| is_row(&due[row], &found[*place]);
    let free = (0..found.len()).filter(|place| taken[*place].is_none()).find(fits);
    if let Some(place) = free {
        taken[place] = Some(row);
        return true;
    }
    // Where every row is one value there is nothing to gain.
    let moving = due.iter().flatten().any(|cell| !matches!(cell, Cell::Value(_)));
    for place in (0..found.len()).filter(|_| moving) {
        if tried[place] || !fits(&place) {
            continue;
        }
        tried[place] = true;
        if taken[place].is_none_or(|other| is_placed(other, due, found, taken, tried)) {
            taken[place] = Some(row);
            return true;
        }
    }
    false
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
