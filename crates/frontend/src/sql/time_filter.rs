//! Which windows a statement can be about, by its conditions on `window_start` and `window_end`.

use crate::time_range::TimeRange;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator, TableProviderFilterPushDown};

/// The columns with the bounds of windows.
pub(super) const WINDOW_START: &str = "window_start";
/// The column with the end of a window.
pub(super) const WINDOW_END: &str = "window_end";

/// Returns the range in which the windows begin that conditions can be true of. It may be larger than that, as the
/// conditions are checked again.
pub(super) fn starts(conditions: &[Expr]) -> TimeRange {
    let mut starts = TimeRange { start_ns: i64::MIN, end_ns: i64::MAX };
    conditions.iter().for_each(|condition| narrow(condition, &mut starts));
    starts
}

/// Returns which conditions a table that is read by time takes over.
pub(super) fn pushed_down(conditions: &[&Expr]) -> Vec<TableProviderFilterPushDown> {
    let mut pushed = Vec::with_capacity(conditions.len());
    for condition in conditions {
        pushed.push(match narrows(condition) {
            true => TableProviderFilterPushDown::Inexact,
            false => TableProviderFilterPushDown::Unsupported,
        });
    }
    pushed
}

/// Whether a condition says anything of the range.
fn narrows(condition: &Expr) -> bool {
    starts(std::slice::from_ref(condition)) != TimeRange { start_ns: i64::MIN, end_ns: i64::MAX }
}

fn narrow(condition: &Expr, starts: &mut TimeRange) {
    match condition {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => {
            narrow(left, starts);
            narrow(right, starts);
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            if let (Some(column), Some(at_ns)) = (bound(left), time(right)) {
                compare(column, *op, at_ns, starts);
            } else if let (Some(at_ns), Some(column), Some(op)) = (time(left), bound(right), op.swap()) {
                compare(column, op, at_ns, starts);
            }
        }

        Expr::Between(between) if !between.negated => {
            if let Some(column) = bound(&between.expr) {
                let (low, high) = (time(&between.low), time(&between.high));
                low.iter().for_each(|at_ns| compare(column, Operator::GtEq, *at_ns, starts));
                high.iter().for_each(|at_ns| compare(column, Operator::LtEq, *at_ns, starts));
            }
        }
        _ => {}
    }
}

/// A bound of windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bound {
    Start,
    End,
}

/// Narrows the range to where `column op at_ns` may hold. Of a window that ends before a time the start is before it too;
/// of one that ends behind it, nothing is known.
fn compare(column: Bound, op: Operator, at_ns: i64, starts: &mut TimeRange) {
    let is_start = column == Bound::Start;
    match op {
        Operator::Gt | Operator::GtEq | Operator::Eq if is_start => {
            starts.start_ns = starts.start_ns.max(at_ns)
        }
        _ => {}
    }

    match op {
        Operator::Lt => starts.end_ns = starts.end_ns.min(at_ns),
        Operator::LtEq | Operator::Eq => starts.end_ns = starts.end_ns.min(at_ns.saturating_add(1)),
        _ => {}
    }
}

fn bound(expr: &Expr) -> Option<Bound> {
    match expr {
        Expr::Column(column) if column.name == WINDOW_START => Some(Bound::Start),
        Expr::Column(column) if column.name == WINDOW_END => Some(Bound::End),
        // To another unit or zone, which moves no time.
        Expr::Cast(cast) if cast.field.data_type().is_temporal() => bound(&cast.expr),
        _ => None,
    }
}

fn time(expr: &Expr) -> Option<i64> {
    let Expr::Literal(value, _) = expr else { return None };
    match value.cast_to(&super::column_type::timestamp_type()).ok()? {
        ScalarValue::TimestampNanosecond(at_ns, _) => at_ns,
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::prelude::{col, lit};

    fn at(ns: i64) -> Expr {
        lit(ScalarValue::TimestampNanosecond(Some(ns), Some("UTC".into())))
    }

    fn check(condition: Expr, start_ns: i64, end_ns: i64) {
        assert_eq!(starts(std::slice::from_ref(&condition)), TimeRange { start_ns, end_ns }, "{condition}");
    }

    #[test]
    fn conditions_on_the_bounds_narrow_the_range() {
        let (start, end) = (col(WINDOW_START), col(WINDOW_END));
        check(start.clone().gt_eq(at(5)), 5, i64::MAX);
        check(start.clone().gt(at(5)).and(start.clone().lt(at(9))), 5, 9);
        check(at(5).lt(start.clone()), 5, i64::MAX);
        check(start.clone().eq(at(5)), 5, 6);
        check(start.clone().between(at(5), at(9)), 5, 10);
        check(end.clone().lt_eq(at(9)), i64::MIN, 10);
        check(end.gt(at(9)), i64::MIN, i64::MAX);
        check(start.clone().gt(at(5)).or(start.clone().lt(at(3))), i64::MIN, i64::MAX);
        check(start.not_eq(at(5)), i64::MIN, i64::MAX);
    }
}
