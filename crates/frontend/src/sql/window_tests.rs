//! Tables of windows: what is asked of them is what was reported.
#![allow(clippy::unwrap_used)]

use super::SqlLimits;
use super::tests::Asked;
use crate::agent_report::DecodedQueryReport;
use crate::compilation::CompiledQuery;
use crate::time_range::TimeRange;
use pivot_advice::{EvalErrors, Groups, Value};
use pivot_query::{Catalog, CompileOptions};

const SECOND: i64 = 1_000_000_000;

/// An event: its key, and its value.
type Event = (Value, Value);

impl Asked {
    fn with_windows() -> Asked {
        Asked::new(SqlLimits::default())
    }

    fn install(&self, name: &str, text: &str) -> u32 {
        let mut state = self.shared.lock();
        let snapshot = state.compile_snapshot();
        let program =
            pivot_query::compile(text, &Catalog::default()).unwrap_or_else(|wrong| panic!("{wrong}"));
        let compiled = CompiledQuery::new(snapshot.next_id, program, CompileOptions::default(), 0);
        state.install(name, compiled, 1).number
    }

    /// Reports events of a query for the window of a second that begins at a second, and closes it.
    fn report(&self, number: u32, second: i64, events: &[Event]) {
        let mut state = self.shared.lock();
        let query = state.query_mut(number).unwrap();
        let output = query.definition.output.clone();
        let mut groups: Groups = output.table();
        for (key, value) in events {
            let mut states: Vec<_> = output.states.iter().map(|kind| kind.empty()).collect();
            states.iter_mut().for_each(|state| state.update(value, 1, &mut EvalErrors::default()));
            let key = if output.keys.is_empty() { vec![] } else { vec![key.clone()] };
            groups.entry(&key).merge(1, &states);
        }

        let window = TimeRange { start_ns: second * SECOND, end_ns: (second + 1) * SECOND };
        let mut part = DecodedQueryReport::of(query.definition.id, Some(&groups));
        part.emitted = events.len() as u64;
        query.merge_report(1, window, &mut part);
        state.tick((second + 100) * SECOND);
    }
}

fn event(key: &str, value: i64) -> Event {
    (Value::str(key), Value::I64(value))
}

#[tokio::test]
async fn all_groups_of_all_windows_are_there_whatever_the_query_shows() {
    let asked = Asked::with_windows();
    let text =
        "FROM t IN T GROUP BY t.k SELECT t.k AS k, COUNT AS n, SUM(t.x) AS s HAVING n > 5 ORDER BY s LIMIT 1";
    let number = asked.install("sums", text);
    asked.report(number, 10, &[event("a", 1), event("a", 2), event("b", 5)]);
    asked.report(number, 11, &[event("a", 7)]);

    assert_eq!(
        asked.rows("SELECT k, n, s FROM sums ORDER BY window_start, k").await,
        ["a | 2 | 3", "b | 1 | 5", "a | 1 | 7"]
    );
    let columns = asked.ask("SELECT * FROM sums").await.unwrap().columns;
    let columns: Vec<String> =
        columns.iter().map(|column| format!("{} {}", column.name, column.sql_type)).collect();
    assert_eq!(columns[0], "window_start Timestamp(ns, \"UTC\")");
    assert_eq!(columns[2..6], ["revision UInt32", "partial Boolean", "k Utf8", "n UInt64"]);
    assert_eq!(asked.rows("SELECT sum(s) FROM sums WHERE window_start >= to_timestamp(11)").await, ["7"]);
    assert_eq!(asked.rows("SELECT count(*) FROM sums WHERE window_end <= to_timestamp(11)").await, ["2"]);
    assert_eq!(asked.rows("SELECT count(*) FROM sums").await, ["3"]);
}

#[tokio::test]
async fn late_rows_revise_a_window_and_each_revision_can_be_asked() {
    let asked = Asked::with_windows();
    let number = asked.install("", "FROM t IN T GROUP BY t.k SELECT t.k AS k, COUNT AS n");
    asked.report(number, 10, &[event("a", 1)]);
    asked.report(number, 10, &[event("a", 1), event("b", 1)]);

    let table = format!("q{number}");
    assert_eq!(
        asked.rows(&format!("SELECT k, n, revision FROM {table} ORDER BY k")).await,
        ["a | 2 | 1", "b | 1 | 1"]
    );
    assert_eq!(
        asked.rows(&format!("SELECT k, n, revision FROM \"{table}$revisions\" ORDER BY revision, k")).await,
        ["a | 1 | 0", "a | 2 | 1", "b | 1 | 1"]
    );
    let windows = "SELECT query, name, revision, groups, emitted, dropped FROM pivot.windows";
    assert_eq!(asked.rows(windows).await, [format!("{number} | null | 1 | 2 | 3 | 0")]);
}

#[tokio::test]
async fn rows_of_a_query_that_does_not_group_are_there_as_often_as_they_came() {
    let asked = Asked::with_windows();
    let number = asked.install("rows", "FROM t IN T SELECT t.k AS k");
    asked.report(number, 10, &[event("a", 1), event("a", 1), event("b", 1)]);
    assert_eq!(asked.rows("SELECT k, count(*) FROM rows GROUP BY k ORDER BY k").await, ["a | 2", "b | 1"]);
}

#[tokio::test]
async fn a_column_of_no_known_type_has_that_of_its_values() {
    let asked = Asked::with_windows();
    let number = asked.install("open", "FROM t IN T GROUP BY t.k SELECT t.k AS k, COUNT AS n");
    let with = |value: Value| (value, Value::I64(1));
    let kind = "SELECT arrow_typeof(k) FROM open LIMIT 1";

    asked.report(number, 10, &[with(Value::I64(-1)), with(Value::Null)]);
    assert_eq!(asked.rows(kind).await, ["Int64"]);
    asked.report(number, 11, &[with(Value::U64(u64::MAX))]);
    assert_eq!(asked.rows(kind).await, ["Decimal128(20, 0)"]);
    assert_eq!(asked.rows("SELECT max(k) FROM open").await, ["18446744073709551615"]);
    asked.report(number, 12, &[with(Value::F64(0.5))]);
    assert_eq!(asked.rows(kind).await, ["Float64"]);
    asked.report(number, 13, &[with(Value::str("x"))]);
    assert_eq!(asked.rows(kind).await, ["Utf8"]);
    assert_eq!(
        asked.rows("SELECT k FROM open ORDER BY k").await,
        ["-1", "0.5", "18446744073709551615", "x", "null"]
    );
}

#[tokio::test]
async fn names_are_those_of_the_newest_query_and_numbers_those_of_all() {
    let asked = Asked::with_windows();
    let old = asked.install("Errors", "FROM t IN T SELECT COUNT AS n");
    asked.report(old, 10, &[event("", 1)]);
    assert!(asked.shared.lock().uninstall(old, 200 * SECOND));
    let new = asked.install("Errors", "FROM t IN T SELECT COUNT AS n");
    asked.report(new, 10, &[event("", 1), event("", 1)]);

    for (table, expected) in [
        ("\"Errors\"".to_owned(), "2"),
        ("errors".to_owned(), "2"),
        (format!("\"Errors@{old}\""), "1"),
        (format!("errors@{new}"), "2"),
        (format!("q{old}"), "1"),
        (format!("q{old}$states"), "1"),
    ] {
        assert_eq!(
            asked.rows(&format!("SELECT n FROM {table} WHERE window_start = to_timestamp(10)")).await,
            [expected],
            "{table}"
        );
    }
    let tables =
        asked.rows("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'").await;
    assert!(tables.contains(&"Errors".to_owned()) && tables.contains(&format!("Errors@{old}")), "{tables:?}");
    let wrong = asked.ask("SELECT * FROM eror").await.unwrap().diagnostics.remove(0);
    assert!(wrong.detail.contains("\"Errors\""), "{wrong:?}");
}

#[tokio::test]
async fn a_range_of_windows_is_what_one_query_over_it_would_have_shown() {
    let asked = Asked::with_windows();
    let text = "FROM t IN T GROUP BY t.k SELECT t.k AS k, COUNT AS n, P50(t.x) AS p, COUNT(DISTINCT t.x) AS d \
                HAVING n > 1 ORDER BY n DESC LIMIT 2";
    let number = asked.install("r", text);
    for second in 10..20 {
        let mut events: Vec<Event> = (0..second).map(|x| event("a", x)).collect();
        events.extend([event("b", second), event(&format!("only-{second}"), 1)]);
        asked.report(number, second, &events);
    }

    let all = "SELECT k, n, d FROM range('r', null, null)";
    assert_eq!(asked.rows(all).await, ["a | 145 | 19", "b | 10 | 10"]);
    let part = "SELECT k, n, d, window_start = to_timestamp(12), window_end = to_timestamp(14), partial \
                FROM range('r', to_timestamp(12), to_timestamp(14))";
    assert_eq!(
        asked.rows(part).await,
        ["a | 25 | 13 | true | true | false", "b | 2 | 2 | true | true | false"]
    );
    assert_eq!(
        asked.rows("SELECT k FROM range('R', '1970-01-01T00:00:12Z', '1970-01-01T00:00:13Z')").await,
        ["a"]
    );
    assert_eq!(asked.rows("SELECT count(*) FROM range('r', now(), null)").await, ["0"]);
    let two = "SELECT (SELECT sum(n) FROM range('r', null, to_timestamp(12))) AS a, (SELECT sum(n) FROM range('r', to_timestamp(12), null)) AS b";
    assert_eq!(asked.rows(two).await, ["23 | 132"]);
    assert_eq!(asked.rows("SELECT * FROM range(0, 3)").await, ["0", "1", "2"]);
    for (text, why) in [
        ("SELECT * FROM range('nothing', null, null)", "no query `nothing`"),
        ("SELECT * FROM range('r')", "range('name of a query', from, to)"),
        ("SELECT * FROM range('r', 'soon', null)", "is no time"),
    ] {
        let found = asked.rows(text).await;
        assert!(found[0].contains(why), "{text}: {found:?}");
    }
}

#[tokio::test]
async fn states_add_up_over_windows_to_what_a_range_shows() {
    let asked = Asked::with_windows();
    let text = "FROM t IN T GROUP BY t.k SELECT t.k AS k, P99(t.x) AS p99, COUNT(DISTINCT t.x) AS d, TOPK(t.x, 3), SUM(t.x)";
    let number = asked.install("st", text);
    for second in 10..14 {
        let events: Vec<Event> =
            (0..second * 10).map(|x| event(if x % 3 == 0 { "a" } else { "b" }, x)).collect();
        asked.report(number, second, &events);
    }

    let columns = asked.ask("SELECT * FROM \"st$states\" LIMIT 0").await.unwrap().columns;
    let names: Vec<&str> = columns[4..].iter().map(|column| column.name.as_str()).collect();
    assert_eq!(names, ["k", "other", "n", "p99", "d", "TOPK(t.x, 3)", "SUM(t.x)"]);

    let range = asked.rows("SELECT k, p99, d FROM range('st', null, null) ORDER BY k").await;
    let merged = "SELECT k, quantile(p99, 0.99), count_distinct(d) FROM st$states GROUP BY k ORDER BY k";
    assert_eq!(asked.rows(merged).await, range);
    let explicit = "SELECT k, quantile(merge(p99), 0.99) AS q, count_distinct(merge(d)) FROM st$states GROUP BY k ORDER BY k";
    assert_eq!(asked.rows(explicit).await, range);
    let whole = "SELECT sum(n), count_distinct(d), array_length(topk(\"TOPK(t.x, 3)\", 2)) FROM st$states";
    assert_eq!(asked.rows(whole).await, ["460 | 130 | 2"]);

    // A row for each window where nothing groups.
    let rows = "SELECT s.k, quantile(s.p99, 0.99) = t.p99, count_distinct(s.d) = t.d FROM st$states s JOIN st t ON s.k = t.k AND s.window_start = t.window_start";
    assert!(
        asked.rows(rows).await.iter().all(|row| row.ends_with("true | true")),
        "{:?}",
        asked.rows(rows).await
    );
    assert!(!asked.rows("SELECT hist(p99) FROM st$states").await.is_empty());
    let ranked = "SELECT k FROM st$states GROUP BY k HAVING count_distinct(d) > 10 ORDER BY quantile(p99, 0.5) DESC, k";
    let explicit = ranked.replace("(d)", "(merge(d))").replace("(p99,", "(merge(p99),");
    assert_eq!(asked.rows(ranked).await.len(), 2);
    assert_eq!(asked.rows(ranked).await, asked.rows(&explicit).await);
}

#[tokio::test]
async fn what_is_no_state_is_an_error_and_nothing_else() {
    let asked = Asked::with_windows();
    let number = asked.install("st", "FROM t IN T GROUP BY t.k SELECT P99(t.x) AS p99, SUM(t.x) AS s");
    asked.report(number, 10, &[event("a", 1)]);
    for (text, why) in [
        ("SELECT quantile(x'', 0.5)", "no state"),
        ("SELECT quantile(x'FF01', 0.5)", "no aggregate 255"),
        ("SELECT quantile(x'08FFFFFFFFFFFFFFFFFFFF', 0.5)", "no state"),
        ("SELECT merge(x'01') FROM st", "no state"),
        ("SELECT quantile(s, 0.5) FROM st$states", "takes states of HIST"),
        ("SELECT quantile(p99, 1.5) FROM st$states", "from 0 to 1"),
        ("SELECT quantile(p99) FROM st$states", "quantile(state, fraction)"),
        ("SELECT quantile(k, 0.5) FROM (SELECT 1 AS k)", "quantile(state, fraction)"),
        (
            "SELECT merge(x) FROM (SELECT p99 AS x FROM st$states UNION ALL SELECT s FROM st$states)",
            "do not add up",
        ),
    ] {
        let found = asked.rows(text).await;
        assert!(found[0].contains(why), "{text}: {found:?}");
    }
    assert_eq!(asked.rows("SELECT quantile(null, 0.5), count_distinct(null)").await, ["null | null"]);
}

#[tokio::test]
async fn columns_are_found_as_the_query_writes_them() {
    let asked = Asked::with_windows();
    let number =
        asked.install("plain", "FROM e IN T GROUP BY e.k SELECT e.k, COUNT, SUM(e.x), MAX(e.x) AS Most");
    asked.report(number, 10, &[event("a", 1), event("a", 2), event("b", 5)]);
    let expected = ["a | 2 | 3 | 2", "b | 1 | 5 | 5"];
    for text in [
        "SELECT \"e.k\", \"COUNT\", \"SUM(e.x)\", \"Most\" FROM plain ORDER BY \"e.k\"",
        "SELECT e.k, COUNT, SUM(e.x), Most FROM plain ORDER BY e.k",
        "SELECT t.e.k, t.COUNT, sum(e.x), t.Most FROM plain AS t ORDER BY t.e.k",
        "SELECT e.k, sum(COUNT), max(SUM(e.x)), max(Most) FROM plain GROUP BY e.k HAVING sum(COUNT) > 0 ORDER BY e.k",
        "SELECT e.k, COUNT, SUM(e.x), Most FROM range('plain', null, null) ORDER BY e.k",
        "SELECT d.k, n, s, m FROM (SELECT e.k AS k, COUNT AS n, SUM(e.x) AS s, Most AS m FROM plain) AS d ORDER BY d.k",
    ] {
        assert_eq!(asked.rows(text).await, expected, "{text}");
    }
    assert_eq!(asked.rows("SELECT e.k FROM plain$states WHERE e.k = 'b'").await, ["b"]);
    let wrong = asked.ask("SELECT e.kk FROM plain").await.unwrap().diagnostics.remove(0);
    assert!(wrong.hint.contains("\"e.k\"") || wrong.detail.contains("\"e.k\""), "{wrong:?}");
}
