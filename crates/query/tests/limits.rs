//! A short text cannot stand for endless work: what would grow is refused, soon, and it is said why.
#![allow(missing_docs, clippy::unwrap_used)]

use pivot_advice::{Exports, FieldDescriptor, QueryId, Type};
use pivot_query::{Catalog, Diagnostics, QueryProgram, compile};
use std::time::{Duration, Instant};

/// Without a limit the texts here take minutes or never end; with it a debug build takes milliseconds. The
/// rest is for a machine that is busy.
const SOON: Duration = Duration::from_secs(5);

fn catalog() -> Catalog {
    let mut catalog = Catalog::default();
    for name in ["T", "X"] {
        let field = |(name, ty): (&str, Type)| FieldDescriptor { name: name.into(), ty };
        let fields = [("v", Type::U64), ("k", Type::String)].map(field).to_vec();
        let tracepoint = name.into();
        catalog.add(&Exports { tracepoint, fields, file: String::new(), line: 1, module: String::new() });
    }
    catalog
}

fn compiled(text: &str, catalog: &Catalog) -> Result<QueryProgram, Diagnostics> {
    let began = Instant::now();
    let compiled = compile(text, catalog);
    let took = began.elapsed();
    println!("{took:?} for {} bytes: {}", text.len(), text.chars().take(60).collect::<String>());
    assert!(took < SOON, "{took:?}");
    compiled
}

/// The text is refused, and one of the errors says this.
fn refused(text: &str, catalog: &Catalog, expected: &str) {
    let wrong = compiled(text, catalog).unwrap_err();
    assert!(wrong.to_string().contains(expected), "{wrong}");
    for wrong in wrong.iter() {
        assert!(text.get(wrong.span.clone()).is_some(), "{wrong:?}");
    }
}

fn accepted(text: &str, catalog: &Catalog) {
    let began = Instant::now();
    let program = compiled(text, catalog).unwrap_or_else(|wrong| panic!("{wrong}"));
    let _ = (program.advice(QueryId::default()), program.explain());
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
}

/// `WITH a0 AS (FROM x IN T ..), a1 AS (FROM x IN a0, a0 ..), ..`
fn doubling_definitions(depth: usize, each: impl Fn(usize) -> String) -> String {
    let mut text = "WITH a0 AS (FROM x IN T SELECT x.v)".to_owned();
    for i in 1..=depth {
        text.push_str(&format!(", a{i} AS ({})", each(i - 1)));
    }
    format!("{text} FROM e IN a{depth} SELECT e.v")
}

fn union(i: usize) -> String {
    format!("FROM x IN a{i}, a{i} SELECT x.v")
}

#[test]
fn definitions_that_double_are_refused() {
    let too_many = "once it is written out";
    accepted(&doubling_definitions(5, union), &catalog());
    for depth in [10, 12, 14, 29, 200] {
        refused(&doubling_definitions(depth, union), &catalog(), too_many);
    }
    let joined = |i| format!("FROM x IN a{i} JOIN y IN a{i} ON y -> x SELECT x.v");
    refused(&doubling_definitions(29, joined), &catalog(), "stages");
    let nested = |i| format!("FROM x IN (FROM y IN a{i}, a{i} SELECT y.v), a{i} SELECT x.v");
    refused(&doubling_definitions(20, nested), &catalog(), too_many);
}

#[test]
fn joins_of_unions_of_unions_are_refused() {
    let text = doubling_definitions(9, union);
    let (definitions, _) = text.rsplit_once(" FROM e IN").unwrap();
    let joins: String = (0..40).map(|i| format!("JOIN j{i} IN a9 ON j{i} -> e ")).collect();
    refused(&format!("{definitions} FROM e IN T {joins} SELECT COUNT"), &catalog(), "once it is written out");
}

#[test]
fn named_queries_that_double_are_refused() {
    for each in ["FROM x IN n#, n# SELECT x.v", "FROM x IN n# JOIN y IN n# ON y -> x SELECT x.v"] {
        let mut catalog = catalog();
        catalog.add_query("n0", "FROM x IN T SELECT x.v");
        for i in 1..30 {
            catalog.add_query(format!("n{i}"), each.replace('#', &(i - 1).to_string()));
        }
        accepted("FROM e IN n4 SELECT e.v", &catalog);
        for depth in [11, 12, 29] {
            refused(&format!("FROM e IN n{depth} SELECT e.v"), &catalog, "in query `n");
        }
    }
}

#[test]
fn a_long_named_query_is_parsed_once() {
    let mut catalog = catalog();
    let conditions = "x.v > 1 OR ".repeat(200);
    catalog.add_query("long", format!("FROM x IN T WHERE {conditions} x.v > 2 SELECT x.v"));
    let uses = vec!["long"; 200].join(", ");
    refused(&format!("FROM e IN {uses} SELECT e.v"), &catalog, "once it is written out");
}

#[test]
fn wide_queries_that_double_are_refused() {
    let columns: Vec<String> = (0..600).map(|i| format!("x.v AS c{i}")).collect();
    let passed: Vec<String> = (0..600).map(|i| format!("x.c{i}")).collect();
    let mut text = format!("WITH a0 AS (FROM x IN T SELECT {})", columns.join(", "));
    for i in 1..8 {
        text.push_str(&format!(", a{i} AS (FROM x IN a{p}, a{p} SELECT {})", passed.join(", "), p = i - 1));
    }
    refused(&format!("{text} FROM e IN a7 SELECT e.c599"), &catalog(), "once it is written out");

    let calls = "lower(upper(x.k)), ".repeat(900);
    let mut catalog = catalog();
    catalog.add_query("calls", format!("FROM x IN T SELECT {calls} x.v"));
    let uses = vec!["calls"; 200].join(", ");
    refused(&format!("FROM e IN {uses} SELECT e.v"), &catalog, "once it is written out");
}

#[test]
fn chains_of_joins_are_refused() {
    let joins: String = (0..300).map(|i| format!("JOIN j{i} IN X ON j{i} -> e ")).collect();
    refused(&format!("FROM e IN T {joins} SELECT COUNT"), &catalog(), "stages");
}

#[test]
fn values_that_double_stay_small() {
    let lets: String = (1..60).map(|i| format!("LET n{i} = n{p} + n{p} ", p = i - 1)).collect();
    let lets = format!("LET n0 = x.v {lets}");
    for end in ["SELECT SUM(n59)", "SELECT n59", "WHERE n59 > 3 SELECT COUNT", "GROUP BY n59 SELECT COUNT"] {
        accepted(&format!("FROM e IN T JOIN x IN X ON x -> e {lets} {end}"), &catalog());
    }
    let long: String = (0..2_000).map(|i| format!("{i}, ")).collect();
    let uses = "b AND ".repeat(100);
    accepted(
        &format!("FROM e IN T JOIN x IN X ON x -> e LET b = x.v IN ({long} 1) WHERE {uses} b SELECT COUNT"),
        &catalog(),
    );
}

#[test]
fn unions_and_texts_without_end_are_refused() {
    let union = |count: usize| format!("FROM e IN {} SELECT COUNT", vec!["T"; count].join(", "));
    accepted(&union(1_000), &catalog());
    refused(&union(10_000), &catalog(), "tracepoints");
    refused(&union(20_000), &catalog(), "long");
    let unknown: Vec<String> = (0..4_000).map(|i| format!("unknown.tracepoint{i}")).collect();
    accepted(&format!("FROM e IN {} SELECT COUNT", unknown.join(", ")), &catalog());

    refused(&format!("FROM e IN T WHERE {}e.v > 1 SELECT e.v", "NOT ".repeat(200_000)), &catalog(), "long");
    refused(&format!("FROM e IN T WHERE {}e.v > 1 SELECT e.v", "NOT ".repeat(24_000)), &catalog(), "long");
    refused(&format!("FROM e IN T SELECT {}e.v", "e.v, ".repeat(5_000)), &catalog(), "columns");
    refused(&format!("FROM e IN T WHERE e.v IN ({}1) SELECT e.v", "1, ".repeat(100_000)), &catalog(), "long");
}

#[test]
fn long_conditions_at_many_tracepoints_are_refused() {
    let mut catalog = catalog();
    for i in 0..900 {
        let tracepoint = format!("rpc::call{i}");
        let fields = vec![FieldDescriptor { name: "v".into(), ty: Type::U64 }];
        catalog.add(&Exports { tracepoint, fields, file: String::new(), line: 1, module: String::new() });
    }
    accepted(
        "FROM e IN rpc::* WHERE e.v > 1 AND e.v < 9 GROUP BY e.tracepoint SELECT COUNT, SUM(e.v)",
        &catalog,
    );
    let list = "1, ".repeat(1_000);
    refused(&format!("FROM e IN rpc::* WHERE e.v IN ({list} 2) SELECT e.v"), &catalog, "all tracepoints");
    let text = "x".repeat(50_000);
    refused(&format!("FROM e IN rpc::* WHERE e.host = '{text}' SELECT e.v"), &catalog, "all tracepoints");
    let conditions = "AND e.v > 1 ".repeat(250);
    refused(&format!("FROM e IN rpc::* WHERE e.v > 0 {conditions} SELECT e.v"), &catalog, "all tracepoints");
}
