//! Whether two results are the same bag of rows.

use crate::oracle::reference::aggregates::{ExpectedCell, ExpectedHistogram};
use crate::oracle::reference::values::double;
use pivot_advice::Value;

/// The relative difference of doubles that is allowed.
const RELATIVE: f64 = 1e-9;
/// Near zero, where sums cancel.
const ABSOLUTE: f64 = 1e-7;

/// Rows that only one side has: those due, and those found. A row that is due may be any of several
/// that were found, so they are matched as a whole.
pub fn differences(
    due: &[Vec<ExpectedCell>],
    found: &[Vec<Value>],
) -> (Vec<Vec<ExpectedCell>>, Vec<Vec<Value>>) {
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
    due: &[Vec<ExpectedCell>],
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
    let moving = due.iter().flatten().any(|cell| !matches!(cell, ExpectedCell::Value(_)));
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
pub fn in_order(due: &[Vec<ExpectedCell>], found: &[Vec<Value>]) -> bool {
    due.len() == found.len() && due.iter().zip(found).all(|(due, found)| is_row(due, found))
}

fn is_row(due: &[ExpectedCell], found: &[Value]) -> bool {
    due.len() == found.len() && due.iter().zip(found).all(|(due, found)| is_cell(due, found))
}

fn is_cell(due: &ExpectedCell, found: &Value) -> bool {
    match due {
        ExpectedCell::Value(due) => is_value(due, found),
        ExpectedCell::AnyOf(list) => list.iter().any(|due| is_value(due, found)),
        ExpectedCell::Buckets(due) => are_buckets(due, found),

        // A sketch may be off by its relative error, to either side.
        ExpectedCell::Between(low, high) => {
            let found = match found {
                Value::Duration(ns) | Value::Timestamp(ns) => Some(*ns as f64),
                other => double(other),
            };
            found.is_some_and(|found| *low <= found && found <= *high)
        }
    }
}

/// How much wider than it is a bucket may be shown, as a fraction of its width: bounds are rounded to few digits.
const WIDENED: f64 = 0.06;

/// Whether buckets `(lower, upper]: count` hold these numbers within their bounds, no two are called the same, and
/// none is wider than it may be.
fn are_buckets(due: &ExpectedHistogram, found: &Value) -> bool {
    let ExpectedHistogram { numbers, base, durations, fraction } = due;
    let (base, durations) = (*base, *durations);
    let Value::List(buckets) = found else { return false };

    let mut left = &numbers[..];
    let mut labels = Vec::new();
    for bucket in buckets.iter() {
        let Some(text) = bucket_of(bucket, durations) else { return false };
        let BucketText { label, lower, upper, count: shown } = text;
        if labels.contains(&label) {
            return false;
        }
        // Of a sample each count is larger than what was looked at.
        let Some(count) = (0..=shown.min(left.len())).find(|count| fraction.whole(*count) == shown) else {
            return false;
        };
        let Some((inside, rest)) = left.split_at_checked(count) else { return false };
        let least = lower.abs().min(upper.abs());
        // A duration is shown in whole nanoseconds.
        let unit = if durations { 2.0 } else { 0.0 };
        let narrow = upper - lower <= least * (base - 1.0) * (1.0 + WIDENED) * (1.0 + 1e-9) + unit;
        if count == 0 || !(lower == upper || narrow) || !inside.iter().all(|x| text.holds(*x)) {
            return false;
        }
        labels.push(label);
        left = rest;
    }

    left.is_empty()
}

/// A bucket as it is shown.
struct BucketText<'t> {
    label: &'t str,
    lower: f64,
    upper: f64,
    count: usize,
}

impl BucketText<'_> {
    /// Returns whether a number is within the bounds.
    fn holds(&self, x: f64) -> bool {
        let is_above = if self.label.starts_with('(') { x > self.lower } else { x >= self.lower };
        let is_below = if self.label.ends_with(')') { x < self.upper } else { x <= self.upper };
        is_above && is_below
    }
}

fn bucket_of(bucket: &Value, durations: bool) -> Option<BucketText<'_>> {
    let Value::Str(text) = bucket else { return None };
    let (label, count) = text.rsplit_once(": ")?;
    let bounds = label.trim_matches(['(', ')', '[', ']']);
    let (lower, upper) = bounds.split_once(", ").unwrap_or((bounds, bounds));
    let (lower, upper) = (bound(lower, durations)?, bound(upper, durations)?);
    Some(BucketText { label, lower, upper, count: count.parse().ok()? })
}

fn bound(text: &str, durations: bool) -> Option<f64> {
    let units = [("ns", 1.0), ("us", 1e3), ("ms", 1e6), ("s", 1e9)];
    let (number, unit) = match durations {
        true => units.into_iter().find_map(|(name, unit)| Some((text.strip_suffix(name)?, unit)))?,
        false => (text, 1.0),
    };
    let infinite = [("∞", f64::INFINITY), ("-∞", f64::NEG_INFINITY)];
    let infinite = infinite.into_iter().find(|(name, _)| *name == number).map(|(_, x)| x);
    infinite.or_else(|| number.parse().ok()).map(|x: f64| x * unit)
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
    let near = (x - y).abs() <= ABSOLUTE.max(RELATIVE * x.abs().max(y.abs()));
    x == y || x.is_nan() && y.is_nan() || x.is_finite() && y.is_finite() && near
}
