//! No text makes the compiler panic, overflow its stack, or take long.

use pivot_advice::{Exports, FieldDescriptor, QueryId, Type};
use pivot_query::{Catalog, Color, compile, is_complete, statements};
use proptest::prelude::*;

fn catalog() -> Catalog {
    let mut catalog = Catalog::default();
    for (name, fields) in [("E", ["v", "k"]), ("X", ["a", "s"]), ("f@enter", ["n", "s"])] {
        let types = [Type::U64, Type::String];
        let fields =
            fields.iter().zip(types).map(|(name, ty)| FieldDescriptor { name: (*name).into(), ty }).collect();
        let tracepoint = name.into();
        catalog.add(&Exports { tracepoint, fields, file: String::new(), line: 1, module: String::new() });
    }
    catalog.add_query("q", "FROM x IN X GROUP BY x.s SELECT x.s, SUM(x.a) AS sum");
    catalog
}

/// Compiles, and uses everything that comes out of it; says whether it compiled.
fn check(text: &str) -> bool {
    let _ = (statements(text), is_complete(text));
    match compile(text, &catalog()) {
        Ok(program) => {
            let _ = (program.explain(), program.advice(QueryId::default()));
            true
        }
        Err(wrong) => {
            assert!(wrong.has_errors(), "{text}");
            assert!(!wrong.render(text, "text", Color::Never).is_empty());
            false
        }
    }
}

const WORDS: [&str; 76] = [
    "FROM",
    "e",
    "IN",
    "E",
    "JOIN",
    "x",
    "X",
    "ON",
    "->",
    "WHERE",
    "LET",
    "GROUP BY",
    "GROUP",
    "SELECT",
    "COUNT",
    "SUM",
    "(",
    ")",
    ",",
    ".",
    "e.v",
    "x.a",
    "e.k",
    "x.s",
    "=",
    "<",
    "+",
    "-",
    "*",
    "/",
    "AND",
    "OR",
    "NOT",
    "1",
    "'a'",
    "2.5",
    "5ms",
    "null",
    "true",
    "First",
    "MostRecent",
    "FirstN",
    "WITH",
    "AS",
    "q",
    "CASE",
    "WHEN",
    "THEN",
    "ELSE",
    "END",
    "BETWEEN",
    "LIKE",
    "~",
    "IS",
    "CAST",
    "i64",
    "f@enter",
    "f",
    "@exit",
    ";",
    "--",
    "/*",
    "*/",
    "\"",
    "'",
    "$p",
    "LIMIT",
    "LEFT JOIN",
    "HAVING",
    "::",
    "DISTINCT",
    "lower",
    "if",
    "\u{2212}",
    "é",
    "WHRE",
];

const CLAUSES: [&str; 16] = [
    "FROM e IN E",
    "FROM e IN q",
    "FROM e IN E, f",
    "JOIN x IN X ON x -> e",
    "JOIN y IN First(X WHERE a > 1) ON y -> e",
    "JOIN y IN q ON y -> x",
    "JOIN z IN q ON z -> e",
    "WHERE e.v > x.a",
    "LET n = e.v + x.a",
    "WHERE n > 1",
    "GROUP BY x.s, n",
    "SELECT x.s, SUM(n)",
    "SELECT e.v, z.sum",
    "SELECT COUNT, MAX(y.a)",
    "SELECT n",
    "SELECT e.v / 0 AS a, -x.a AS b",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn any_text_is_compiled_or_refused(text in "\\PC{0,80}") {
        check(&text);
    }

    #[test]
    fn any_soup_of_tokens_is_compiled_or_refused(words in prop::collection::vec(prop::sample::select(&WORDS[..]), 0..40)) {
        check(&words.join(" "));
        check(&words.concat());
    }

    #[test]
    fn any_soup_of_clauses_is_compiled_or_refused(clauses in prop::collection::vec(prop::sample::select(&CLAUSES[..]), 0..8)) {
        check(&format!("FROM e IN E {}", clauses.join("\n")));
        check(&clauses.join("\n"));
    }
}

#[test]
fn deep_nesting_is_refused() {
    let around = |open: &str, inner: &str, close: &str| {
        format!("FROM e IN E WHERE {}{inner}{} SELECT e.v", open.repeat(10_000), close.repeat(10_000))
    };
    assert!(!check(&around("(", "e.v > 1", ")")));
    assert!(!check(&around("(", "e.v > 1", "")));
    assert!(!check(&around("CASE WHEN true THEN ", "e.v > 1", " END")));
    assert!(!check(&around("lower(", "e.k", ")")));
    assert!(!check(&around("(e.end + (e.case + ", "e.k", "))")));
    assert!(!check(&format!("FROM e IN {}E{} SELECT e.v", "First(".repeat(10_000), ")".repeat(10_000))));
    let queries = ("(FROM e IN ".repeat(10_000), " SELECT e.v)".repeat(10_000));
    assert!(!check(&format!("FROM e IN {}E{} SELECT e.v", queries.0, queries.1)));
}

#[test]
fn long_rows_of_operators_cost_no_stack() {
    assert!(check(&format!("FROM e IN E WHERE {}e.v > 1 SELECT e.v", "NOT ".repeat(10_001))));
    assert!(check(&format!("FROM e IN E SELECT {}e.v AS v", "- ".repeat(10_001))));
    assert!(!check(&format!("FROM e IN E SELECT {}e.v AS v", "1 + ".repeat(100_000))));
    assert!(check(&format!("FROM e IN E WHERE {}e.v > 1 SELECT e.v", "e.v = 3 OR ".repeat(1_000))));
    assert!(!check(&format!("FROM e IN E WHERE {}e.v > 1 SELECT e.v", "e.v = 3 AND ".repeat(10_000))));
    assert!(!check(&format!("FROM e IN E WHERE {}e.v > 1 SELECT e.v", "e.v = 3 OR ".repeat(50_000))));
    let between = format!("{}true{}", "(".repeat(60), " BETWEEN false AND true)".repeat(60));
    assert!(!check(&format!("FROM e IN E WHERE {between} SELECT e.v")));
}

#[test]
fn long_lists_cost_no_stack() {
    let list: Vec<String> = (0..10_000).map(|i| i.to_string()).collect();
    assert!(check(&format!("FROM e IN E WHERE e.v IN ({}) SELECT e.v", list.join(", "))));
    let lets: String = (0..300).map(|i| format!("LET n{i} = e.v + {i} ")).collect();
    assert!(!check(&format!("FROM e IN E {lets} SELECT e.v")));
}

#[test]
fn values_that_double_do_not_explode() {
    let doubling: String = (1..40).map(|i| format!("LET n{i} = n{} + n{} ", i - 1, i - 1)).collect();
    let doubling = format!("LET n0 = x.a {doubling}");
    assert!(check(&format!("FROM e IN E JOIN x IN X ON x -> e {doubling} WHERE n39 > 3 SELECT n39, x.a")));
    let kept =
        format!("FROM e IN E JOIN y IN First((FROM x IN X {doubling} SELECT n39 AS n)) ON y -> e SELECT y.n");
    assert!(check(&kept));
    let queries: String = (1..12)
        .map(|i| format!(", q{i} AS (FROM a IN q{p} JOIN b IN q{p} ON b -> a SELECT a.v)", p = i - 1))
        .collect();
    assert!(!check(&format!("WITH q0 AS (FROM e IN E SELECT e.v) {queries} FROM e IN q11 SELECT e.v")));
}

#[test]
fn a_megabyte_of_garbage_takes_bounded_time() {
    let pieces = [
        "(",
        ")",
        "'",
        "\"",
        "a ",
        "FROM ",
        "e.v, ",
        "/*",
        "--",
        "1",
        "é",
        "SELECT e.v ",
        "JOIN x IN X ON x -> e ",
    ];
    for piece in pieces {
        let garbage = piece.repeat((1 << 20) / piece.len());
        check(&garbage);
        check(&format!("FROM e IN E SELECT {garbage}"));
    }
}
