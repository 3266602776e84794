//! The rules change what a query costs, and nothing else: any set of them gives the same result.
#![allow(missing_docs, clippy::unwrap_used)]

use pivot_advice::{Exports, FieldDescriptor, Type};
use pivot_query::{Catalog, CompileOptions, QueryProgram, compile_with};
use pivot_tests::golden::results;
use proptest::prelude::*;

/// An event: its tracepoint, and the fields a, b and s; the list l is a, b.
type Event = (&'static str, u64, u64, &'static str);

const TRACEPOINTS: [&str; 3] = ["X", "Y", "E"];

const QUERIES: [&str; 36] = [
    "FROM e IN E JOIN x IN X ON x -> e GROUP BY x.s SELECT x.s, SUM(x.a), SUM(e.a), COUNT, AVG(x.b), MIN(x.a), COUNT(e.s)",
    "FROM e IN E JOIN x IN X ON x -> e JOIN y IN Y ON y -> e GROUP BY x.s, y.s SELECT COUNT, SUM(x.a), SUM(y.a), SUM(x.a * y.b)",
    "FROM e IN E JOIN x IN X ON x -> e JOIN y IN Y ON y -> x GROUP BY e.s SELECT SUM(x.a), SUM(y.a), SUM(x.a * y.b), MAX(y.b)",
    "FROM e IN E JOIN x IN X ON x -> e JOIN y IN Y ON y -> x WHERE x.a < e.a AND y.a != 1 AND y.b <= x.b SELECT SUM(y.a), SUM(x.a), COUNT",
    "FROM e IN E JOIN x IN X ON x -> e LET d = x.a - x.b LET f = d * e.a WHERE d > 0 SELECT SUM(d), SUM(f), SUM(x.a)",
    "FROM e IN E JOIN x IN X ON x -> e LET d = x.a - x.b WHERE d > 0 SELECT d, x.a, e.s",
    "FROM e IN E JOIN x IN First(X) ON x -> e WHERE x.a > 1 GROUP BY x.s SELECT COUNT, SUM(x.b)",
    "FROM e IN E JOIN x IN MostRecent 2 (X WHERE a > 1) ON x -> e WHERE x.b < 3 GROUP BY e.s SELECT COUNT, SUM(x.a), SUM(e.a)",
    "FROM e IN E JOIN x IN First 2 (X) ON x -> e JOIN y IN Y ON y -> x WHERE x.a > 0 AND y.a > 1 SELECT COUNT, SUM(y.b), SUM(x.b * y.a)",
    "FROM e IN E JOIN x IN X ON x -> e JOIN y IN MostRecent(Y) ON y -> x WHERE y.a > 1 AND y.b < x.b GROUP BY x.s SELECT COUNT, SUM(y.b), SUM(x.a)",
    "FROM e IN E JOIN x IN First(X WHERE a > 0) ON x -> e JOIN y IN First 2 (Y) ON y -> x WHERE y.a > 1 SELECT y.b, x.s, e.s",
    "FROM e IN E JOIN q IN (FROM x IN X GROUP BY x.s SELECT x.s, SUM(x.a) AS sum, MAX(x.b) AS max, COUNT AS n) ON q -> e WHERE q.n > 1 GROUP BY q.s SELECT COUNT, SUM(q.sum), MAX(q.sum / q.n)",
    "FROM e IN E JOIN q IN (FROM x IN X JOIN y IN Y ON y -> x WHERE y.a > x.b GROUP BY y.s SELECT SUM(x.a) + SUM(y.b) AS sum, COUNT) ON q -> e JOIN x IN X ON x -> e SELECT SUM(q.sum), SUM(q.sum * x.a), SUM(x.a), COUNT",
    "FROM e IN E JOIN q IN (FROM x IN X JOIN y IN MostRecent(Y) ON y -> x WHERE y.a != x.a SELECT x.a - y.a AS d, x.s) ON q -> e GROUP BY q.s SELECT AVG(q.d), COUNT, SUM(e.b)",
    "FROM e IN E JOIN one IN X ON one -> e JOIN two IN X ON two -> e WHERE one.a > 1 AND two.a > 1 GROUP BY one.s SELECT COUNT, SUM(one.b), SUM(two.b)",
    "FROM e IN X JOIN x IN X ON x -> e JOIN y IN X ON y -> x JOIN z IN X ON z -> e GROUP BY z.s SELECT COUNT, SUM(x.a), SUM(y.b), SUM(z.a)",
    "FROM e IN E, X JOIN x IN MostRecent 2 (X) ON x -> e JOIN y IN MostRecent 2 (X) ON y -> e SELECT x.a, y.b, e.s",
    "FROM e IN E JOIN x IN X ON x -> e GROUP BY x.a % 2, e.s SELECT e.s, x.a % 2 AS parity, SUM(x.a)",
    "FROM e IN E JOIN x IN First 2 ((FROM x IN X LET h = x.a * 2 WHERE h > 2 SELECT h, x.b) WHERE b < 3) ON x -> e JOIN y IN Y ON y -> x SELECT COUNT, SUM(x.h), SUM(y.a)",
    "FROM e IN E JOIN y IN Y ON y -> e JOIN x IN X ON x -> y WHERE x.b < 3 GROUP BY e.s SELECT SUM(x.a * y.b), SUM(x.a), MAX(x.a + e.a)",
    "FROM e IN E JOIN x IN X ON x -> e GROUP BY x.s, e.a SELECT x.s",
    "FROM e IN E LEFT JOIN x IN X ON x -> e AND x.a > 1 GROUP BY x.s SELECT x.s, COUNT, COUNT(x.a), SUM(x.b), SUM(e.a)",
    "FROM e IN E LEFT JOIN x IN X ON x -> e JOIN y IN Y ON y -> x AND y.a = e.a WHERE x.b IS NULL OR x.b < 3 SELECT e.s, x.a, y.b",
    "FROM e IN E ANTI JOIN x IN X ON x -> e AND x.a = e.a AND x.s = 'p' GROUP BY e.s SELECT e.s, COUNT",
    "FROM e IN E ANTI JOIN x IN X ON x -> e JOIN y IN Y ON y -> x SELECT COUNT, SUM(e.a)",
    "FROM e IN E JOIN y IN Y ON y -> e LEFT JOIN x IN First 2 (X WHERE a > 0) ON x -> y WHERE y.a > 0 SELECT COALESCE(x.a, 9), y.s",
    "FROM e IN E LEFT JOIN q IN (FROM x IN X GROUP BY x.s SELECT x.s, COALESCE(SUM(x.a), 0) AS sum, COUNT(DISTINCT x.b) AS d HAVING COUNT > 1) ON q -> e SELECT e.a, q.s, q.sum, q.d",
    "FROM e IN E JOIN u IN UNNEST(X, l) ON u -> e WHERE u.l > 1 GROUP BY u.s SELECT u.s, COUNT, SUM(u.l), SUM(u.b), SUM(e.b)",
    "FROM u IN UNNEST(E, l) JOIN x IN X ON x -> u WHERE x.a != u.l GROUP BY u.l SELECT u.l, SUM(x.a), SUM(u.b), COUNT",
    "FROM e IN E JOIN u IN MostRecent 3 (UNNEST(X, l) WHERE b > 0) ON u -> e SELECT u.l, u.a",
    "FROM e IN E JOIN u IN UNNEST(First 2 (X), l) ON u -> e WHERE u.l < 3 SELECT u.l, e.s",
    "FROM e IN E JOIN d IN (FROM x IN X JOIN y IN Y ON y -> x SELECT DISTINCT x.s, y.a) ON d -> e GROUP BY d.s SELECT d.s, COUNT, SUM(d.a)",
    "FROM e IN E JOIN f IN First 2 ((FROM x IN X JOIN y IN Y ON y -> x SELECT x.a, y.b)) ON f -> e SELECT f.a, f.b",
    "FROM e IN E JOIN u IN (FROM a IN X, (FROM y IN Y JOIN x IN X ON x -> y WHERE x.a > 1 SELECT y.a + x.b AS a, y.s) LET d = a.a * 2 WHERE d > 1 SELECT d, a.s) ON u -> e GROUP BY u.s SELECT u.s, COUNT, SUM(u.d)",
    "FROM e IN E, (FROM x IN X JOIN y IN Y ON y -> x SELECT x.a, y.s) JOIN z IN X ON z -> e GROUP BY e.s SELECT e.s, COUNT, SUM(z.a), SUM(e.a) HAVING COUNT > 1 ORDER BY COUNT DESC, e.s LIMIT 3",
    "FROM e IN E JOIN x IN X ON x -> e GROUP BY e.s SELECT e.s, COUNT(DISTINCT x.a), P50(x.a), STDDEV(x.b) IS NULL, TOPK(x.s, 2), LHIST(x.a, 0, 4, 2), ANY(x.s) IS NULL",
];

fn catalog() -> Catalog {
    let mut catalog = Catalog::default();
    for name in TRACEPOINTS {
        let fields = [("a", Type::U64), ("b", Type::U64), ("s", Type::String), ("l", Type::U64.list())];
        let fields = fields.map(|(name, ty)| FieldDescriptor { name: name.into(), ty }).to_vec();
        let tracepoint = name.into();
        catalog.add(&Exports { tracepoint, fields, file: String::new(), line: 1, module: String::new() });
    }
    catalog
}

fn compiled(query: &str, options: &CompileOptions) -> QueryProgram {
    compile_with(query, &catalog(), options).unwrap_or_else(|wrong| panic!("{query}: {wrong}"))
}

/// The rows of the result over one request whose events happen one after the other.
fn result(program: &QueryProgram, events: &[Event]) -> Vec<String> {
    let lines = events.iter().map(|(name, a, b, s)| format!("main {name} a={a} b={b} s={s} l={a},{b}\n"));
    let script: String = std::iter::once("request\n".to_owned()).chain(lines).collect();
    results(program, &catalog(), &script).lines().skip(1).map(str::to_owned).collect()
}

fn check(query: &str, options: &CompileOptions, events: &[Event]) {
    let (naive, other) = (compiled(query, &CompileOptions::naive()), compiled(query, options));
    assert_eq!(naive.output, other.output, "{query}");
    let (expected, found) = (result(&naive, events), result(&other, events));
    assert_eq!(expected, found, "{query}\n{events:?}\n{}", other.explain());
}

fn event() -> impl Strategy<Value = Event> {
    (prop::sample::select(&TRACEPOINTS[..]), 0..4u64, 0..4u64, prop::sample::select(&["p", "q"][..]))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(80) })]

    #[test]
    fn all_rules_together_keep_the_result(events in prop::collection::vec(event(), 0..12)) {
        QUERIES.iter().for_each(|query| check(query, &CompileOptions::default(), &events));
    }

    #[test]
    fn any_set_of_rules_keeps_the_result(
        events in prop::collection::vec(event(), 0..12),
        on in prop::collection::vec(any::<bool>(), 5),
        query in prop::sample::select(&QUERIES[..]),
    ) {
        let rules = CompileOptions::rules().zip(on).filter(|(_, on)| *on);
        let options = rules.fold(CompileOptions::naive(), |options, (rule, _)| options.with(rule));
        check(query, &options, &events);
    }
}

fn gives(query: &str, events: &[Event], rows: &[&str]) {
    assert_eq!(result(&compiled(query, &CompileOptions::default()), events), rows, "{query}");
}

#[test]
fn several_tuples_with_equal_keys_count_each() {
    let events = [("X", 2, 0, "p"), ("X", 2, 0, "p"), ("X", 5, 0, "p"), ("E", 10, 0, "p")];
    let query = "FROM e IN E JOIN x IN X ON x -> e GROUP BY x.s SELECT COUNT, SUM(x.a), SUM(e.a)";
    gives(query, &events, &["3 | 9 | 30"]);
}

#[test]
fn first_keeps_its_slot_when_an_outer_condition_refuses_the_tuple() {
    let events = [("X", 1, 0, "p"), ("X", 3, 0, "p"), ("E", 0, 0, "p")];
    let query =
        |source: &str| format!("FROM e IN E JOIN x IN {source} ON x -> e WHERE x.a > 2 SELECT SUM(x.a)");
    gives(&query("First(X)"), &events, &["null"]);
    gives(&query("First(X WHERE a > 2)"), &events, &["3"]);
}

#[test]
fn a_chosen_tuple_without_rows_below_keeps_its_slot() {
    let events = [("X", 1, 0, "p"), ("Y", 1, 0, "p"), ("X", 3, 0, "p"), ("E", 0, 0, "p")];
    let query = "FROM e IN E JOIN x IN First(X) ON x -> e JOIN y IN Y ON y -> x SELECT COUNT";
    gives(query, &events, &["0"]);
}

#[test]
fn an_event_never_joins_with_itself() {
    let events = [("X", 1, 0, "p"), ("X", 2, 0, "p")];
    let query = "FROM e IN X JOIN x IN X ON x -> e SELECT SUM(x.a), SUM(e.a)";
    gives(query, &events, &["1 | 2"]);
}

#[test]
fn an_aggregating_source_gives_one_row_for_each_group() {
    let events = [("X", 1, 0, "p"), ("X", 2, 0, "p"), ("X", 7, 0, "q"), ("E", 0, 0, "p")];
    let query = "FROM e IN E JOIN q IN (FROM x IN X GROUP BY x.s SELECT SUM(x.a) AS sum, COUNT AS n) ON q -> e SELECT COUNT, SUM(q.sum), SUM(q.n)";
    gives(query, &events, &["2 | 10 | 3"]);
}
