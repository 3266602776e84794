//! Which column of a result says how much: rows are sorted by it and it gets bars.

use crate::client::ListedTracepoint;
use crate::params::{self, Params};
use pivot_advice::{Exports, Expr, Field, Form, Type};
use pivot_protocol::wire;
use pivot_query::{Catalog, compile_with};

/// The column that says how much, and those that tell rows apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Measure {
    pub(crate) column: usize,
    /// The columns that no aggregate goes into.
    pub(crate) keys: Vec<usize>,
    pub(crate) order: RowOrder,
}

/// Who says in which order rows are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RowOrder {
    /// The query, by ORDER BY.
    Query,
    /// Nobody: the largest stand first.
    Size,
}

/// The first column with a number that an aggregate goes into; none for a result of rows.
///
/// Results do not say how their columns came about, so the query is compiled here once more.
pub(crate) fn measure(
    text: &str,
    params: &Params,
    tracepoints: &[ListedTracepoint],
    queries: &[wire::Query],
) -> Option<Measure> {
    let mut catalog = Catalog::default();
    tracepoints.iter().for_each(|tracepoint| catalog.add(&exports(tracepoint)));
    let named = queries.iter().filter(|query| !query.name.is_empty());
    named.for_each(|query| catalog.add_query(&query.name, &query.text));
    let output = compile_with(text, &catalog, &params::options(params)).ok()?.output;
    let number = |ty: Type| ty.is_number() || matches!(ty, Type::Duration | Type::Any);
    if output.form != Form::Groups {
        return None;
    }
    let aggregated: Vec<bool> =
        output.columns.iter().map(|column| refers_from(&column.expr, output.keys.len())).collect();
    let fits = |i: &usize| aggregated[*i] && number(output.columns[*i].ty);
    let first = output.order.first().map(|(expr, _)| expr);
    // What a query is ordered by matters most in it.
    let ordered = (0..aggregated.len()).find(|i| fits(i) && Some(&output.columns[*i].expr) == first);
    let column = ordered.or_else(|| (0..aggregated.len()).find(fits))?;
    let order = if output.order.is_empty() { RowOrder::Size } else { RowOrder::Query };
    Some(Measure { column, keys: (0..aggregated.len()).filter(|i| !aggregated[*i]).collect(), order })
}

fn exports(tracepoint: &ListedTracepoint) -> Exports {
    let field = |field: &crate::client::ListedField| Field { name: field.name.clone(), ty: field.ty };
    Exports {
        tracepoint: tracepoint.name.clone(),
        fields: tracepoint.fields.iter().map(field).collect(),
        file: String::new(),
        line: 0,
        module: String::new(),
    }
}

/// Whether an expression uses a column at or behind a place: behind the keys stand the aggregates.
fn refers_from(expr: &Expr, place: usize) -> bool {
    match expr {
        Expr::Column(index) => usize::from(*index) >= place,
        other => other.children().into_iter().any(|child| refers_from(child, place)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<usize>) {
        let field = |name: &str| crate::client::ListedField { name: name.into(), ty: Type::I64, agents: 1 };
        let fields = vec![field("port"), field("bytes")];
        let tracepoint = ListedTracepoint { name: "T".into(), fields, agents: 1, places: vec![] };
        let found = measure(text, &Params::default(), &[tracepoint], &[]).map(|found| found.column);
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn keys_are_not_the_measure() {
        check("FROM e IN T GROUP BY e.port SELECT e.port, SUM(e.bytes)", Some(1));
        check("FROM e IN T GROUP BY e.port SELECT e.port AS bytes, e.port AS x, COUNT", Some(2));
        check("FROM e IN T SELECT e.port, e.bytes", None);
        check("FROM e IN Unknown SELECT", None);
        check("FROM e IN T GROUP BY e.port SELECT e.port, COUNT, SUM(e.bytes) AS b ORDER BY b DESC", Some(2));
    }
}
