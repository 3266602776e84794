//! What EXPLAIN says besides the plan.
#![allow(missing_docs, clippy::unwrap_used)]

use pivot_advice::{Exports, FieldDescriptor, Type};
use pivot_query::{Catalog, compile};

fn types_of(query: &str) -> Option<String> {
    let field = |(name, ty): (&str, Type)| FieldDescriptor { name: name.into(), ty };
    let fields = [("elapsed", Type::Any), ("rows", Type::Any), ("n", Type::U64)].map(field).to_vec();
    let exports = |name: &str| Exports {
        tracepoint: name.into(),
        fields: fields.clone(),
        file: String::new(),
        line: 1,
        module: String::new(),
    };
    let mut catalog = Catalog::default();
    ["sqlx::query", "request"].iter().for_each(|name| catalog.add(&exports(name)));
    let explained = compile(query, &catalog).unwrap().explain();
    let line = explained.lines().find(|line| line.contains("not known before they are seen"));
    line.map(|line| line.split_once(": ").unwrap().1.to_owned())
}

#[test]
fn explain_names_what_is_added_up_and_may_be_text() {
    let of = |aggregates: &str| types_of(&format!("FROM q IN sqlx::query SELECT {aggregates}"));
    assert_eq!(of("COUNT(q.elapsed), MAX(q.elapsed), SUM(q.n), ANY(q.rows)"), None);
    assert_eq!(of("SUM(q.elapsed), P99(q.rows + 1)").as_deref(), Some("q.elapsed, q.rows"));
    assert_eq!(of("AVERAGE(CAST(q.elapsed AS duration))"), None);
    let joined = "FROM r IN request JOIN q IN sqlx::query ON q -> r SELECT SUM(q.elapsed), STDDEV(r.n)";
    assert_eq!(types_of(joined).as_deref(), Some("q.elapsed"));
    let inner = "FROM r IN request JOIN s IN (FROM q IN sqlx::query SELECT SUM(q.rows) AS rows) ON s -> r
        SELECT MAX(s.rows)";
    assert_eq!(types_of(inner).as_deref(), Some("s.rows"));
}
