//! Finished sketches as lists of text, one bucket or value each.

use crate::sketch::{ExponentialHistogram, IntegerCounts, SpaceSaving};
use crate::value::Value;

/// Buckets of one width.
pub(crate) struct Scale {
    pub(crate) least: f64,
    pub(crate) step: f64,
    pub(crate) count: u16,
    pub(crate) durations: bool,
}

fn list(texts: impl Iterator<Item = String>) -> Value {
    Value::List(texts.map(Value::str).collect())
}

/// A bound with as many digits as tell it from its neighbours.
fn bound(x: f64, durations: bool) -> String {
    match x {
        f64::INFINITY => "∞".into(),
        f64::NEG_INFINITY => "-∞".into(),
        _ if durations => Value::Duration(x.round() as i64).to_string(),
        _ if x != 0.0 && !(1e-4..1e15).contains(&x.abs()) => format!("{x:e}"),
        _ => x.to_string(),
    }
}

/// Four significant digits.
fn rounded(x: f64) -> f64 {
    if x == 0.0 || !x.is_finite() {
        return x;
    }
    let unit = 10f64.powi(x.abs().log10().floor() as i32 - 3);
    if unit == 0.0 || !unit.is_finite() { x } else { (x / unit).round() * unit }
}

/// `(lower, upper]: count`, the bounds rounded to four digits.
pub(crate) fn buckets(histogram: &ExponentialHistogram) -> Value {
    let durations = histogram.durations;
    let shown = |x: f64| bound(tidied(rounded(x)), durations);
    list(histogram.buckets().into_iter().map(|bucket| match bucket.upper {
        0.0 if bucket.lower == 0.0 => format!("{}: {}", shown(0.0), bucket.count),
        upper if upper <= 0.0 => format!("[{}, {}): {}", shown(bucket.lower), shown(upper), bucket.count),
        upper => format!("({}, {}]: {}", shown(bucket.lower), shown(upper), bucket.count),
    }))
}

/// The nearest double with a short decimal form.
fn tidied(x: f64) -> f64 {
    format!("{x:.3e}").parse().unwrap_or(x)
}

/// `[lower, upper): count`, with what lies outside at both ends.
pub(crate) fn linear(tally: &IntegerCounts, scale: Scale) -> Value {
    let Scale { least, step, count, durations } = scale;
    let last = i64::from(count) + 1;
    let lower = |number: i64| match number {
        ..=0 => f64::NEG_INFINITY,
        number => least + step * (number.min(last) - 1) as f64,
    };
    let upper = |number: i64| match number {
        number if number >= last => f64::INFINITY,
        number => least + step * number.max(0) as f64,
    };
    let outside = (tally.other > 0).then(|| format!("other: {}", tally.other));
    let inside = tally.counts.iter().map(|(number, count)| {
        let (lower, upper) = (bound(lower(*number), durations), bound(upper(*number), durations));
        format!("[{lower}, {upper}): {count}")
    });
    list(inside.chain(outside))
}

/// `number: count`
pub(crate) fn tally(tally: &IntegerCounts) -> Value {
    let outside = (tally.other > 0).then(|| format!("other: {}", tally.other));
    list(tally.counts.iter().map(|(number, count)| format!("{number}: {count}")).chain(outside))
}

/// `value: count`, with how much less it may be.
pub(crate) fn top(top: &SpaceSaving, k: usize) -> Value {
    list(top.ranked().into_iter().take(k).map(|counter| match counter.excess {
        0 => format!("{}: {}", counter.value, counter.count),
        excess => format!("{}: {} (-{excess})", counter.value, counter.count),
    }))
}
