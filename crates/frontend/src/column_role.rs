//! What each column of a result says about its row, for clients that draw results.
//!
//! A client marks the measure of a group with a bar and keeps the rows in the order of the query. It
//! cannot tell either from names and types, and it has no compiler: the roles travel with the columns.

use pivot_advice::EmitMode;
use pivot_query::{OutputColumn, OutputPlan};

/// The role of a column in its row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ColumnRole {
    /// A key of a group, or computed from keys alone.
    Key,
    /// Computed from an aggregate of a group.
    Measure,
    /// A value of a row that is not grouped.
    Value,
}

/// Returns whether the column is a key of a group, a measure of it, or a value of a row that is not grouped.
pub(crate) fn role(column: &OutputColumn, output: &OutputPlan) -> ColumnRole {
    if output.form == EmitMode::Rows {
        return ColumnRole::Value;
    }

    // A group's row begins with its keys. Behind them stand the count, the aggregates and the window's
    // length.
    let mut is_measure = false;
    column.expr.columns(&mut |place| is_measure |= usize::from(place) >= output.keys.len());

    if is_measure { ColumnRole::Measure } else { ColumnRole::Key }
}

/// Returns the place of the column in ORDER BY, from 1, or 0 if rows are not sorted by it.
pub(crate) fn order_position(column: &OutputColumn, output: &OutputPlan) -> u32 {
    let position = output.order.iter().position(|(expr, _)| *expr == column.expr);
    position.map_or(0, |position| u32::try_from(position + 1).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use ColumnRole::{Key, Measure, Value};
    use pivot_query::Catalog;

    fn check(text: &str, expected: &[(ColumnRole, u32)]) {
        let output = pivot_query::compile(text, &Catalog::default()).unwrap().output;
        let found: Vec<(ColumnRole, u32)> = output
            .columns
            .iter()
            .map(|column| (role(column, &output), order_position(column, &output)))
            .collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn columns_with_an_aggregate_in_them_are_measures() {
        check("FROM e IN T GROUP BY e.port SELECT e.port, SUM(e.bytes)", &[(Key, 0), (Measure, 0)]);
        check(
            "FROM e IN T GROUP BY e.port SELECT e.port AS bytes, e.port + 1 AS x, e.port / COUNT AS y",
            &[(Key, 0), (Key, 0), (Measure, 0)],
        );
        check("FROM e IN T GROUP BY e.port SELECT e.port, RATE(COUNT)", &[(Key, 0), (Measure, 0)]);
    }

    #[test]
    fn columns_of_rows_are_values() {
        check("FROM e IN T SELECT e.port, e.bytes", &[(Value, 0), (Value, 0)]);
    }

    #[test]
    fn the_position_in_order_by_counts_from_one() {
        check(
            "FROM e IN T GROUP BY e.port SELECT e.port, COUNT, SUM(e.bytes) AS b ORDER BY b DESC, e.port",
            &[(Key, 2), (Measure, 0), (Measure, 1)],
        );
        check("FROM e IN T GROUP BY e.port SELECT e.port ORDER BY COUNT", &[(Key, 0)]);
    }
}
