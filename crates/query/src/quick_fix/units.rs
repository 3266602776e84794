//! Numbers where a duration is wanted: they lack their unit.

use super::fix::QuickFix;
use super::operators::duration_of;
use super::written_query::WrittenQuery;
use pivot_advice::Value;

/// Returns the fixes for a number or text at a place that is compared with a duration, or added to a time.
pub(super) fn at(query: &WrittenQuery<'_>, at: usize) -> Vec<QuickFix> {
    // The clauses that take a duration have fixes of their own.
    if at > 0 && query.is_one_of(at - 1, &["EVERY", "FOR"]) {
        return vec![];
    }
    let number = query.source(at..at + 1);
    let written = match query.literal(at) {
        Some(Value::I64(_) | Value::F64(_)) => format!("{number}ms"),
        Some(Value::Str(text)) => match duration_of(text) {
            Some(duration) => duration,
            None => return vec![],
        },
        _ => return vec![],
    };
    let is_number = !number.starts_with('\'');
    let hint = match is_number {
        true => format!("a duration has a unit: {number}ms, {number}us or {number}s"),
        false => format!("a duration stands without quotes: {written}"),
    };
    let in_seconds = if is_number { format!("{number}s") } else { written.clone() };

    // What the diagnostic is about tells what is wanted.
    let fixes = [
        ("compare duration", &written),
        ("and duration", &written),
        ("expected a duration", &written),
        ("must be a duration", &in_seconds),
        ("subtract timestamp", &in_seconds),
        ("add timestamp", &in_seconds),
    ];
    fixes
        .into_iter()
        .map(|(about, written)| {
            let fix = QuickFix::new(query, at..at + 1, written.clone(), hint.clone());
            QuickFix { about, ..fix }
        })
        .collect()
}
