//! What people write who know another language, and the query that they are shown.

use pivot_advice::{Exports, FieldDescriptor, Type};
use pivot_query::{Catalog, Diagnostics, compile};

fn catalog() -> Catalog {
    let mut catalog = Catalog::default();
    let tracepoints: [(&str, &[(&str, Type)]); 8] = [
        ("P.a", &[("n", Type::I64), ("s", Type::String), ("ok", Type::Bool), ("took", Type::Duration)]),
        ("P.b", &[("n", Type::I64), ("s", Type::String), ("id", Type::I64)]),
        ("page", &[("bytes", Type::U64), ("kind", Type::String)]),
        ("Within.hit", &[("n", Type::I64)]),
        ("Order.placed@exit", &[("n", Type::I64), ("at", Type::Timestamp)]),
        ("DataNode.page", &[("bytes", Type::U64), ("kind", Type::String)]),
        ("Client.operation@enter", &[("kind", Type::String)]),
        ("Client.operation@exit", &[("kind", Type::String), ("elapsed", Type::Duration)]),
    ];

    for (name, fields) in tracepoints {
        let fields = fields.iter().map(|(name, ty)| FieldDescriptor { name: (*name).into(), ty: *ty });
        catalog.add(&Exports {
            tracepoint: name.into(),
            fields: fields.collect(),
            file: "here.rs".into(),
            line: 1,
            module: "here".into(),
        });
    }
    catalog
}

/// Returns the diagnostics of a text, whether it compiles or not.
fn diagnostics(text: &str) -> Diagnostics {
    match compile(text, &catalog()) {
        Ok(program) => program.warnings,
        Err(found) => found,
    }
}

/// Returns the query that the diagnostics of a text show, or an empty text if they show none.
fn shown(text: &str) -> String {
    let found = diagnostics(text);
    let mut shown = found.iter().filter_map(|wrong| wrong.corrected.clone());
    let first = shown.next().unwrap_or_default();
    assert_eq!(shown.next(), None, "only one finding shows the query: {text}");
    first
}

/// Checks pairs of a text and the query that is shown for it, and that each of these compiles.
fn check(cases: &[(&str, &str)]) {
    let mut wrong = Vec::new();
    for (text, expected) in cases {
        let shown = shown(text);
        if shown != *expected {
            let rendered = diagnostics(text).render(text, "q", pivot_query::Color::Never);
            wrong.push(format!("{text}\n  expected {expected}\n  shown    {shown}\n{rendered}"));
        }

        if !shown.is_empty() && compile(&shown, &catalog()).is_err() {
            wrong.push(format!("{text}\n  does not compile: {shown}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Checks that a text has no corrected query, and that a hint has these words.
fn hint(text: &str, words: &str) {
    let found = diagnostics(text);
    assert!(found.iter().all(|wrong| wrong.corrected.is_none()), "{text}: {found:?}");
    let mut hints = found.iter().filter_map(|wrong| wrong.hint.as_deref());
    assert!(hints.any(|hint| hint.contains(words)), "{text}: {found:?}");
}

#[test]
fn text_in_double_quotes_is_text() {
    let query = |condition: &str| format!("FROM e IN P.a WHERE {condition} SELECT COUNT");

    for (written, meant) in [
        (r#"e.s = "max""#, "e.s = 'max'"),
        (r#""max" = e.s"#, "'max' = e.s"),
        (r#"e.s LIKE "m%""#, "e.s LIKE 'm%'"),
        (r#"e.s NOT LIKE "m%""#, "e.s NOT LIKE 'm%'"),
        (r#"e.s IN ("a", "b")"#, "e.s IN ('a', 'b')"),
        (r#"e.s ~ "^a""#, "e.s ~ '^a'"),
        (r#"starts_with(e.s, "a")"#, "starts_with(e.s, 'a')"),
        (r#"e.s = "it's""#, "e.s = 'it''s'"),
        (r#"e.s BETWEEN "a" AND "b""#, "e.s BETWEEN 'a' AND 'b'"),
        (r#"e.s = "a" OR (e.s = "b" AND e.n == 3)"#, "e.s = 'a' OR (e.s = 'b' AND e.n = 3)"),
        ("e.s = \u{2018}max\u{2019}", "e.s = 'max'"),
        ("e.s = \u{201c}max min\u{201d}", "e.s = 'max min'"),
        ("`e`.`s` = 'a'", "e.s = 'a'"),
    ] {
        check(&[(&query(written), &query(meant))]);
    }
    check(&[
        (r#"FROM e IN *[s="a"] SELECT COUNT"#, "FROM e IN *[s='a'] SELECT COUNT"),
        (
            r#"FROM e IN P.a JOIN b IN P.b ON b -> e AND b.s = "x" SELECT COUNT"#,
            "FROM e IN P.a JOIN b IN P.b ON b -> e AND b.s = 'x' SELECT COUNT",
        ),
        (
            r#"FROM e IN P.a JOIN b IN First(P.b WHERE s = "x") ON b -> e SELECT COUNT"#,
            "FROM e IN P.a JOIN b IN First(P.b WHERE s = 'x') ON b -> e SELECT COUNT",
        ),
        (
            r#"FROM e IN P.a SELECT if(e.s = "x", "yes", "no") AS "is x""#,
            r#"FROM e IN P.a SELECT if(e.s = 'x', 'yes', 'no') AS "is x""#,
        ),
    ]);
}

#[test]
fn operators_of_other_languages_are_replaced() {
    let query = |condition: &str| format!("FROM e IN P.a WHERE {condition} SELECT COUNT");

    for (written, meant) in [
        ("e.n == 3", "e.n = 3"),
        ("e.n = 3 && e.ok", "e.n = 3 AND e.ok"),
        ("e.n=3&&e.ok", "e.n=3 AND e.ok"),
        ("e.n = 3 || e.n = 4", "e.n = 3 OR e.n = 4"),
        ("e.ok || e.n = 4", "e.ok OR e.n = 4"),
        ("!e.ok", "NOT e.ok"),
        ("!(e.n = 3)", "NOT (e.n = 3)"),
        ("e.s = NULL", "e.s IS NULL"),
        ("e.s != null", "e.s IS NOT NULL"),
        ("e.s == null && e.n == 3", "e.s IS NULL AND e.n = 3"),
        ("e.s ILIKE 'Max%'", "lower(e.s) LIKE 'max%'"),
        ("e.s NOT ILIKE 'Max%'", "lower(e.s) NOT LIKE 'max%'"),
        ("lower(e.s) ILIKE \"Max%\"", "lower(lower(e.s)) LIKE 'max%'"),
        ("e.s ~* 'max'", "e.s ~ '(?i)max'"),
        ("e.s =~ 'max'", "e.s ~ 'max'"),
        ("e.s REGEXP 'max'", "e.s ~ 'max'"),
        ("e.s NOT RLIKE 'max'", "e.s !~ 'max'"),
        ("e.took > 5", "e.took > 5ms"),
        ("5 < e.took", "5ms < e.took"),
        ("e.took BETWEEN 5 AND 10", "e.took BETWEEN 5ms AND 10ms"),
        ("e.took > '5 ms'", "e.took > 5ms"),
        ("e.took > INTERVAL '5 seconds'", "e.took > 5s"),
        ("e.took > interval 5 second", "e.took > 5s"),
        ("e.n::text = '3'", "CAST(e.n AS string) = '3'"),
        ("CAST(e.n AS VARCHAR) = '3'", "CAST(e.n AS string) = '3'"),
    ] {
        check(&[(&query(written), &query(meant))]);
    }
}

#[test]
fn functions_of_other_languages_are_replaced() {
    let query = |column: &str| format!("FROM e IN P.a SELECT {column}");

    for (written, meant) in [
        ("percentile(e.n, 95)", "P95(e.n)"),
        ("percentile(e.n, 99.9)", "P999(e.n)"),
        ("PERCENTILE_CONT(0.95) WITHIN GROUP (ORDER BY e.n)", "P95(e.n)"),
        ("PERCENTILE_DISC(0.5) WITHIN GROUP (ORDER BY e.n DESC) AS m", "P50(e.n) AS m"),
        ("approx_quantile(e.n, 0.123456)", "QUANTILE(e.n, 0.123456)"),
        ("percentile(e.n, 100)", "QUANTILE(e.n, 1)"),
        ("quantile(0.9, e.n)", "P90(e.n)"),
        ("median(e.n)", "P50(e.n)"),
        ("concat(e.s, '/', e.n)", "e.s || '/' || e.n"),
        ("concat(e.s, e.n + 1)", "e.s || (e.n + 1)"),
        ("concat_ws(':', e.s, e.n)", "e.s || ':' || e.n"),
        ("time_bucket('1 second', e.time)", "bucket(e.time, 1s)"),
        ("time_bucket(INTERVAL '5 minutes', e.time)", "bucket(e.time, 5m)"),
        ("date_bin('5 minutes', e.time)", "bucket(e.time, 5m)"),
        ("bin(e.time, 5m)", "bucket(e.time, 5m)"),
        ("date_trunc('minute', e.time)", "truncate(e.time, 'minute')"),
        ("date_trunc(\"HOUR\", e.time)", "truncate(e.time, 'hour')"),
        ("bucket(e.time, 5)", "bucket(e.time, 5s)"),
        ("IFNULL(e.n, 0)", "coalesce(e.n, 0)"),
        ("nvl(e.n, 0)", "coalesce(e.n, 0)"),
        ("LEN(e.s)", "length(e.s)"),
        ("IIF(e.ok, 1, 0)", "if(e.ok, 1, 0)"),
        ("substring(e.s, 1, 2)", "substr(e.s, 1, 2)"),
        ("COUNT DISTINCT e.s", "COUNT(DISTINCT e.s)"),
        ("COUNT(DISTINCT e.s, e.n)", "COUNT(DISTINCT hash(e.s, e.n))"),
        ("uniq(e.s)", "COUNT(DISTINCT e.s)"),
        ("countIf(e.n > 3)", "SUM(if(e.n > 3, 1, 0))"),
        ("COUNT(*) FILTER (WHERE e.n > 3)", "SUM(if(e.n > 3, 1, 0))"),
        ("mean(e.n)", "AVG(e.n)"),
        ("LHIST(e.took, 0, 100, 10)", "LHIST(e.took, 0ms, 100ms, 10ms)"),
    ] {
        check(&[(&query(written), &query(meant))]);
    }
}

#[test]
fn sources_of_sql_get_their_alias_in_front() {
    check(&[
        ("FROM DataNode.page SELECT COUNT", "FROM p IN DataNode.page SELECT COUNT"),
        ("FROM page SELECT COUNT", "FROM p IN page SELECT COUNT"),
        ("SELECT COUNT(*) FROM DataNode.page", "SELECT COUNT(*) FROM p IN DataNode.page"),
        ("FROM DataNode.page AS x SELECT COUNT", "FROM x IN DataNode.page SELECT COUNT"),
        (
            "FROM DataNode.page x SELECT COUNT, SUM(x.bytes)",
            "FROM x IN DataNode.page SELECT COUNT, SUM(x.bytes)",
        ),
        (
            "SELECT kind, COUNT(*) FROM DataNode.page WHERE bytes > 3 GROUP BY kind",
            "SELECT p.kind, COUNT(*) FROM p IN DataNode.page WHERE p.bytes > 3 GROUP BY p.kind",
        ),
        (
            "SELECT kind, COUNT(*) FROM DataNode.page",
            "SELECT p.kind, COUNT(*) FROM p IN DataNode.page GROUP BY p.kind",
        ),
        ("FROM page SELECT page.kind", "FROM page IN page SELECT page.kind"),
        ("FROM DataNode.page SELECT DataNode.page.kind", "FROM page IN DataNode.page SELECT page.kind"),
        ("SELECT * FROM P.b", "SELECT b.time, b.process, b.n, b.s, b.id FROM b IN P.b"),
        ("FROM e IN P.b SELECT e.*", "FROM e IN P.b SELECT e.time, e.process, e.n, e.s, e.id"),
        (
            "FROM P.a a INNER JOIN P.b b ON a.request = b.request SELECT COUNT",
            "FROM a IN P.a JOIN b IN P.b ON b -> a SELECT COUNT",
        ),
        (
            "SELECT a.s, COUNT(*) FROM P.a AS a LEFT OUTER JOIN P.b AS b ON a.n = b.id WHERE b.s = \"x\" GROUP BY a.s",
            "SELECT a.s, COUNT(*) FROM a IN P.a LEFT JOIN b IN P.b ON b -> a AND a.n = b.id WHERE b.s = 'x' GROUP BY a.s",
        ),
        (
            "FROM (FROM e IN P.a SELECT e.n) AS t SELECT t.n",
            "FROM t IN (FROM e IN P.a SELECT e.n) SELECT t.n",
        ),
    ]);

    hint("SELECT COUNT(*) FROM P.a, P.b", "others are joined");
}

#[test]
fn a_list_of_sources_with_aliases_is_a_join() {
    check(&[
        (
            "FROM e IN P.a, x IN P.b WHERE x -> e SELECT COUNT",
            "FROM e IN P.a JOIN x IN P.b ON x -> e SELECT COUNT",
        ),
        (
            "FROM e IN P.a, x IN P.b WHERE x -> e AND x.n > 3 SELECT COUNT",
            "FROM e IN P.a JOIN x IN P.b ON x -> e WHERE x.n > 3 SELECT COUNT",
        ),
        (
            "FROM e IN P.a, x IN P.b WHERE e -> x SELECT COUNT",
            "FROM x IN P.b JOIN e IN P.a ON e -> x SELECT COUNT",
        ),
        ("FROM e IN P.a, x IN P.b SELECT COUNT", "FROM e IN P.a JOIN x IN P.b ON x -> e SELECT COUNT"),
        (
            "SELECT a.s, COUNT(*) FROM P.a a, P.b AS b WHERE a.request_id = b.request_id AND a.n = b.id GROUP BY a.s",
            "SELECT a.s, COUNT(*) FROM a IN P.a JOIN b IN P.b ON b -> a WHERE a.n = b.id GROUP BY a.s",
        ),
        (
            "FROM a IN P.a, b IN P.b, c IN page WHERE a -> b AND b -> c SELECT COUNT",
            "FROM c IN page JOIN b IN P.b ON b -> c JOIN a IN P.a ON a -> b SELECT COUNT",
        ),
        (
            "FROM e IN page JOIN x IN First(P.a, P.b) ON x -> e SELECT x.n, x.s",
            "FROM e IN page JOIN x IN First((FROM x IN P.a, P.b SELECT x.n, x.s)) ON x -> e SELECT x.n, x.s",
        ),
    ]);
}

#[test]
fn a_name_that_begins_with_a_keyword_is_quoted() {
    check(&[
        ("FROM w IN Within.hit SELECT COUNT", r#"FROM w IN "Within.hit" SELECT COUNT"#),
        ("FROM Within.hit SELECT COUNT", r#"FROM e IN "Within.hit" SELECT COUNT"#),
        ("SELECT COUNT(*) FROM Within.hit", r#"SELECT COUNT(*) FROM e IN "Within.hit""#),
        (
            "FROM o IN Order.placed@exit WHERE o.n > 3 SELECT COUNT",
            r#"FROM o IN "Order.placed"@exit WHERE o.n > 3 SELECT COUNT"#,
        ),
        (
            "FROM e IN P.a JOIN w IN First(Within.hit) ON w -> e SELECT COUNT",
            r#"FROM e IN P.a JOIN w IN First("Within.hit") ON w -> e SELECT COUNT"#,
        ),
        ("FROM e IN P.a, Within.hit SELECT COUNT", r#"FROM e IN P.a, "Within.hit" SELECT COUNT"#),
        ("FROM order IN P.a SELECT order.n", "FROM o IN P.a SELECT o.n"),
        (
            "FROM e IN P.a JOIN group IN P.b ON group -> e WHERE group.n > 3 SELECT group.s",
            "FROM e IN P.a JOIN g IN P.b ON g -> e WHERE g.n > 3 SELECT g.s",
        ),
        ("FROM Order IN Order.placed@exit SELECT Order.n", r#"FROM o IN "Order.placed"@exit SELECT o.n"#),
    ]);
    hint(
        "FROM w IN Within.other.place WHERE w.n > $x SELECT COUNT",
        r#"double quotes: "Within.other.place""#,
    );
    assert!(diagnostics("FROM w IN Within.* SELECT COUNT").is_empty(), "a pattern needs no quotes");
}

#[test]
fn points_in_time_of_other_languages_are_rewritten() {
    let query = |condition: &str| format!("FROM e IN \"Order.placed\"@exit WHERE {condition} SELECT COUNT");
    for (written, meant) in [
        ("e.at > NOW() - 5", "e.at > NOW() - 5s"),
        ("e.at > now() - '5 minutes'", "e.at > now() - 5m"),
        ("e.at > now - 5m", "e.at > now() - 5m"),
        ("e.at > CURRENT_TIMESTAMP - INTERVAL '1 hour'", "e.at > now() - 1h"),
        ("e.at > getdate()", "e.at > now()"),
        ("e.at > timestamp \"2026-11-30T12:00:00Z\"", "e.at > timestamp '2026-11-30T12:00:00Z'"),
        ("e.at > \"2026-11-30\"", "e.at > timestamp '2026-11-30'"),
        ("e.at > '2026-11-30 12:00'", "e.at > timestamp '2026-11-30 12:00'"),
        ("'2026-11-30' < e.at", "timestamp '2026-11-30' < e.at"),
        ("e.at > TIMESTAMP('2026-11-30')", "e.at > timestamp '2026-11-30'"),
        ("e.at > DATE '2026-11-30'", "e.at > timestamp '2026-11-30'"),
        ("e.at > to_timestamp('2026-11-30', 'YYYY-MM-DD')", "e.at > timestamp '2026-11-30'"),
        ("e.at > 1764500000", "e.at > CAST(1764500000000000000 AS timestamp)"),
        ("e.at > 1764500000000", "e.at > CAST(1764500000000000000 AS timestamp)"),
    ] {
        check(&[(&query(written), &query(meant))]);
    }
}

#[test]
fn parameters_of_other_languages_are_named() {
    for written in ["?", ":limit", "${limit}", "@limit", "$1", "{{limit}}"] {
        let name = if written.contains("limit") {
            "limit"
        } else if written == "?" {
            "value"
        } else {
            "p1"
        };
        hint(
            &format!("FROM e IN P.a WHERE e.n > {written} SELECT COUNT"),
            &format!("a parameter is written ${name}, and its value is given by `--param {name}=..`"),
        );
    }
    hint("FROM e IN P.a WHERE e.n > $limit SELECT COUNT", "--param limit=..");
}

#[test]
fn conditions_of_other_languages_are_rewritten() {
    let query = |condition: &str| format!("FROM e IN P.a WHERE {condition} SELECT COUNT");

    for (written, meant) in [
        ("e.s NOT NULL", "e.s IS NOT NULL"),
        ("e.s ISNULL", "e.s IS NULL"),
        ("e.ok IS TRUE", "e.ok"),
        ("e.ok IS FALSE AND e.n > 3", "NOT e.ok AND e.n > 3"),
        ("e.ok IS NOT TRUE", "NOT coalesce(e.ok, false)"),
        ("e.ok = 1", "e.ok"),
        ("e.ok == 0", "NOT e.ok"),
        ("e.s IS NOT 'a'", "e.s != 'a'"),
        ("e.s contains 'a'", "contains(e.s, 'a')"),
        ("e.s startswith \"a\"", "starts_with(e.s, 'a')"),
        ("e.s ~ /a.*/", "e.s ~ 'a.*'"),
        ("e.s matches /a.*/", "e.s ~ 'a.*'"),
        ("e.s IN ['a', 'b']", "e.s IN ('a', 'b')"),
        ("e.s = get", "e.s = 'get'"),
    ] {
        check(&[(&query(written), &query(meant))]);
    }
}

#[test]
fn clauses_of_other_languages_are_rewritten() {
    check(&[
        (
            "FROM e IN P.a WHERE COUNT(*) > 5 GROUP BY e.s SELECT e.s, COUNT",
            "FROM e IN P.a GROUP BY e.s SELECT e.s, COUNT HAVING COUNT(*) > 5",
        ),
        ("FROM e IN P.a SELECT TOP 3 e.s, COUNT", "FROM e IN P.a GROUP BY e.s SELECT e.s, COUNT LIMIT 3"),
        ("FROM e IN P.a SELECT COUNT()", "FROM e IN P.a SELECT COUNT"),
        (
            "FROM e IN P.a SELECT round(e.n / 3.0, 2)",
            "FROM e IN P.a SELECT round((e.n / 3.0) * 100.0) / 100.0",
        ),
        ("FROM e IN P.a SELECT greatest(e.n, 3)", "FROM e IN P.a SELECT if(e.n > 3, e.n, 3)"),
        ("FROM e IN P.a SELECT COUNT EVERY 1 minute", "FROM e IN P.a SELECT COUNT EVERY 1m"),
        ("FROM e IN P.a SELECT COUNT SAMPLE 10", "FROM e IN P.a SELECT COUNT SAMPLE 10%"),
        ("FROM e IN P.a SELECT e.s, COUNT GROUP BY s", "FROM e IN P.a GROUP BY e.s SELECT e.s, COUNT"),
    ]);
    hint("FROM e IN P.a GROUP BY ROLLUP(e.s) SELECT COUNT", "one list of keys");
}

#[test]
fn queries_inside_expressions_are_joins() {
    hint("FROM e IN P.a WHERE e.s IN (SELECT b.s FROM b IN P.b) SELECT COUNT", "JOIN x IN First(source)");
    hint("FROM e IN P.a WHERE NOT EXISTS (SELECT 1 FROM P.b) SELECT COUNT", "ANTI JOIN x IN source");
    hint("FROM e IN P.a WHERE e.n > (SELECT AVG(n) FROM P.b) SELECT COUNT", "a query is no value");
    hint("SELECT a.s FROM a IN P.a UNION ALL SELECT b.s FROM b IN P.b", "a union is a list of sources");
    hint("FROM e IN P.a SELECT DISTINCT ON (e.s) e.s, e.n", "one row for each key is GROUP BY");
    hint("FROM e IN P.a SELECT row_number() OVER (ORDER BY e.n)", "rows are not numbered");
    hint("FROM e IN P.a SELECT lag(e.n)", "MostRecent(source)");
    hint("FROM e IN P.a SELECT array_agg(e.s)", "TOPK(x, k)");
    hint("FROM e IN P.a SELECT EXTRACT(hour FROM e.time), COUNT", "truncate(t, 'hour')");
}

#[test]
fn joins_of_sql_become_joins_of_events() {
    let query = |join: &str| format!("FROM e IN P.a {join} SELECT COUNT");
    for (written, meant) in [
        ("INNER JOIN b IN P.b ON b -> e", "JOIN b IN P.b ON b -> e"),
        ("LEFT OUTER JOIN b IN P.b ON b -> e", "LEFT JOIN b IN P.b ON b -> e"),
        ("JOIN b IN P.b ON e.n = b.n", "JOIN b IN P.b ON b -> e AND e.n = b.n"),
        ("JOIN b IN P.b ON b.trace_id = e.trace_id", "JOIN b IN P.b ON b -> e"),
        ("JOIN b IN P.b ON b.request = e.request AND b.n > 3", "JOIN b IN P.b ON b -> e AND b.n > 3"),
        ("JOIN b IN P.b USING (n)", "JOIN b IN P.b ON b -> e AND b.n = e.n"),
        ("JOIN b IN P.b", "JOIN b IN P.b ON b -> e"),
        ("JOIN b IN P.b ON z -> e", "JOIN b IN P.b ON b -> e"),
    ] {
        check(&[(&query(written), &query(meant))]);
    }
    check(&[
        (&query("CROSS JOIN b IN P.b"), &query("JOIN b IN P.b ON b -> e")),
        (
            &query("RIGHT OUTER JOIN b IN P.b ON e -> b AND b.n > 3"),
            "FROM b IN P.b LEFT JOIN e IN P.a ON e -> b AND b.n > 3 SELECT COUNT",
        ),
    ]);
    for kind in [
        "NATURAL JOIN P.b b",
        "NATURAL JOIN b IN P.b",
        "NATURAL LEFT JOIN b IN P.b",
        "NATURAL INNER JOIN b IN P.b",
    ] {
        hint(&query(kind), "compares the fields that have one name");
    }
    hint(&query("RIGHT JOIN b IN P.b ON b -> e"), "no b waits for one that may never come");
    hint(&query("RIGHT JOIN b IN P.b ON b.n = e.n"), "no RIGHT JOIN");
    hint(&query("FULL OUTER JOIN b IN P.b ON b -> e"), "no FULL JOIN");

    let asks = diagnostics(&query("JOIN b IN P.b ON e.n = b.n"));
    let hints: Vec<&str> = asks.iter().filter_map(|wrong| wrong.hint.as_deref()).collect();
    assert!(hints[0].contains("if b comes later, exchange FROM and JOIN"), "{hints:?}");
}

#[test]
fn an_arrow_keeps_its_meaning() {
    check(&[
        (
            "FROM s IN Client.operation@enter JOIN e IN Client.operation@exit ON s -> e SELECT COUNT",
            "FROM e IN Client.operation@exit JOIN s IN Client.operation@enter ON s -> e SELECT COUNT",
        ),
        (
            "FROM s IN P.a LEFT JOIN e IN P.b ON s -> e AND s.n = e.n WHERE e.n > 3 SELECT COUNT, MAX(s.n)",
            "FROM e IN P.b LEFT JOIN s IN P.a ON s -> e AND s.n = e.n WHERE e.n > 3 SELECT COUNT, MAX(s.n)",
        ),
        (
            "FROM a IN P.a JOIN b IN P.b ON b -> a JOIN c IN page ON a -> c AND c.bytes > 3 SELECT COUNT",
            "FROM c IN page JOIN a IN P.a ON a -> c AND c.bytes > 3 JOIN b IN P.b ON b -> a SELECT COUNT",
        ),
    ]);
    hint("FROM s IN P.a ANTI JOIN e IN P.b ON s -> e SELECT COUNT", "what comes later cannot be missed");
    hint(
        "FROM a IN P.a JOIN b IN P.b ON a -> b JOIN c IN page ON a -> c SELECT COUNT",
        "after all the others",
    );
}

#[test]
fn a_name_of_select_becomes_a_let() {
    check(&[
        (
            "FROM e IN P.a GROUP BY kind SELECT lower(e.s) AS kind, COUNT",
            "FROM e IN P.a LET kind = lower(e.s) GROUP BY kind SELECT kind, COUNT",
        ),
        (
            "SELECT lower(e.s) AS kind, COUNT FROM e IN P.a WHERE kind != 'x' GROUP BY kind",
            "SELECT kind, COUNT FROM e IN P.a LET kind = lower(e.s) WHERE kind != 'x' GROUP BY kind",
        ),
        (
            r#"FROM e IN P.a GROUP BY "the kind" SELECT lower(e.s) AS "the kind", COUNT"#,
            r#"FROM e IN P.a LET "the kind" = lower(e.s) GROUP BY "the kind" SELECT "the kind", COUNT"#,
        ),
        (
            "FROM e IN P.a WHERE total > 3 GROUP BY e.s SELECT e.s, SUM(e.n) AS total",
            "FROM e IN P.a GROUP BY e.s SELECT e.s, SUM(e.n) AS total HAVING total > 3",
        ),
    ]);
}

#[test]
fn clauses_are_completed_and_moved() {
    check(&[
        ("FROM e IN P.a", "FROM e IN P.a SELECT COUNT"),
        (
            "FROM e IN P.a GROUP BY e.s ORDER BY COUNT",
            "FROM e IN P.a GROUP BY e.s SELECT e.s, COUNT ORDER BY COUNT",
        ),
        ("FROM e IN P.a SELECT e.n WHERE e.n > 3", "FROM e IN P.a WHERE e.n > 3 SELECT e.n"),
        (
            "FROM e IN P.a SELECT e.s, COUNT GROUP BY e.s LIMIT 3",
            "FROM e IN P.a GROUP BY e.s SELECT e.s, COUNT LIMIT 3",
        ),
        (
            "FROM e IN P.a WHERE e.n > 3 JOIN b IN P.b ON b -> e SELECT COUNT",
            "FROM e IN P.a JOIN b IN P.b ON b -> e WHERE e.n > 3 SELECT COUNT",
        ),
        ("FROM e IN P.a SELECT e.n HAVING e.n > 3", "FROM e IN P.a WHERE e.n > 3 SELECT e.n"),
        ("FROM e IN P.a SELECT e.s, COUNT", "FROM e IN P.a GROUP BY e.s SELECT e.s, COUNT"),
        (
            "FROM e IN P.a GROUP BY e.s SELECT e.s, e.n, COUNT",
            "FROM e IN P.a GROUP BY e.s, e.n SELECT e.s, e.n, COUNT",
        ),
        ("FROM e IN P.a GROUP BY 1 SELECT e.s, COUNT", "FROM e IN P.a GROUP BY e.s SELECT e.s, COUNT"),
        (
            "FROM e IN P.a SELECT e.n ORDER BY e.n LIMIT 5, 10",
            "FROM e IN P.a SELECT e.n ORDER BY e.n LIMIT 15",
        ),
        ("FROM e IN P.a SELECT e.n LIMIT 10 OFFSET 5", "FROM e IN P.a SELECT e.n LIMIT 15"),
        ("FROM e IN P.a SELECT e.n, e.s, WHERE e.n > 3", "FROM e IN P.a WHERE e.n > 3 SELECT e.n, e.s"),
        ("FROM e IN P.a SELECT e.n, e.s,", "FROM e IN P.a SELECT e.n, e.s"),
        ("FROM e IN P.a SELECT e.n + 1 more, e.s", "FROM e IN P.a SELECT e.n + 1 AS more, e.s"),
        ("FROM e IN P.a WHERE e.n IN (1, 2,) SELECT COUNT", "FROM e IN P.a WHERE e.n IN (1, 2) SELECT COUNT"),
        ("FROM e IN P.a; SELECT COUNT", "FROM e IN P.a SELECT COUNT"),
        ("FROM e IN P.a # all of it\nSELECT COUNT", "FROM e IN P.a -- all of it\nSELECT COUNT"),
        ("FROM e IN P.a // it's all\nSELECT COUNT", "FROM e IN P.a -- it's all\nSELECT COUNT"),
        ("FROM e IN P.a SELECT COUNT EVERY 10", "FROM e IN P.a SELECT COUNT EVERY 10s"),
        (
            "FROM o IN Client.operation WHERE o.elapsed > 5 SELECT COUNT",
            "FROM o IN Client.operation@exit WHERE o.elapsed > 5ms SELECT COUNT",
        ),
    ]);
    // Two queries are two, however they are written.
    hint("FROM e IN P.a SELECT COUNT; FROM e IN P.b SELECT COUNT", "one statement at a time");
}

#[test]
fn typos_are_corrected_together_with_the_rest() {
    check(&[
        ("FROM e IN P.a WHRE e.s == \"x\" SELECT COUNT", "FROM e IN P.a WHERE e.s = 'x' SELECT COUNT"),
        (
            "FROM e IN P.a GRUOP BY e.s SELECT e.s, cuont(e.n)",
            "FROM e IN P.a GROUP BY e.s SELECT e.s, COUNT(e.n)",
        ),
        ("FROM e IN DataNode.pgae SELECT e.byts", "FROM e IN DataNode.page SELECT e.bytes"),
        ("FROM e IN page SELECT e.byts, e.knd", "FROM e IN page SELECT e.bytes, e.kind"),
    ]);
}

#[test]
fn one_liners_of_other_tools_are_translated() {
    check(&[
        ("P.a { @[host] = count(); }", "FROM e IN P.a GROUP BY e.host SELECT e.host, COUNT"),
        (
            "usdt:P.a /comm == \"ls\" && args->n > 3/ { @bytes[args.s, pid] = sum(args.n); }",
            "FROM e IN P.a WHERE e.process = 'ls' AND e.n > 3 GROUP BY e.s, e.pid SELECT e.s, e.pid, SUM(e.n)",
        ),
        ("P.a { @ = hist(args->n)", "FROM e IN P.a SELECT HIST(e.n)"),
        ("rate(P.a[5m])", "FROM e IN P.a SELECT RATE(COUNT) EVERY 5m"),
        (
            "sum by (host) (rate(page{kind=\"x\"}[1m]))",
            "FROM e IN page WHERE e.kind = 'x' GROUP BY e.host SELECT e.host, RATE(COUNT) EVERY 1m",
        ),
        (
            "histogram_quantile(0.95, sum(rate(Client.operation[5m])) by (le))",
            "FROM e IN Client.operation@exit SELECT P95(e.elapsed) EVERY 5m",
        ),
    ]);
    check(&[
        ("rate(P.a[5m]) > 10", "FROM e IN P.a SELECT RATE(COUNT) HAVING RATE(COUNT) > 10 EVERY 5m"),
        ("absent(P.a)", "FROM e IN P.a SELECT COUNT"),
    ]);
    hint("P.a { printf(\"%s\", str(args->n)); }", "a query is FROM");
    // What stands behind the function is not left out.
    hint("sum(P.a) / sum(P.b)", "a query is FROM");
    hint("max by (s) (P.a)", "say which is meant: FROM e IN P.a GROUP BY e.s SELECT e.s, MAX(e.field)");
    hint("P.a offset 5m", "a query is FROM");
}

#[test]
fn pipelines_are_translated() {
    check(&[
        ("page | count", "FROM e IN page SELECT COUNT"),
        (
            "page kind=get | stats avg(bytes) by host",
            "FROM e IN page WHERE e.kind = 'get' GROUP BY e.host SELECT e.host, AVG(e.bytes)",
        ),
        (
            "index=main sourcetype=DataNode.page bytes>=500 | stats count, p99(bytes) AS p by kind, host | sort -p | head 5",
            "FROM e IN DataNode.page WHERE e.bytes >= 500 GROUP BY e.kind, e.host SELECT e.kind, e.host, COUNT, \
             P99(e.bytes) AS p ORDER BY P99(e.bytes) DESC LIMIT 5",
        ),
        (
            "search page | timechart span=1m count by kind",
            "FROM e IN page GROUP BY e.kind SELECT e.kind, COUNT EVERY 1m",
        ),
        (
            "page | top limit=3 kind",
            "FROM e IN page GROUP BY e.kind SELECT e.kind, COUNT ORDER BY COUNT DESC LIMIT 3",
        ),
        (
            "page | where bytes > 3 | summarize n = count() by kind",
            "FROM e IN page WHERE e.bytes > 3 GROUP BY e.kind SELECT e.kind, COUNT AS n",
        ),
        (
            "page | eval kb=bytes/1024 | table kind, kb",
            "FROM e IN page LET kb = e.bytes/1024 SELECT e.kind, kb",
        ),
        ("page | stats dc(kind)", "FROM e IN page SELECT COUNT(DISTINCT e.kind)"),
    ]);
    hint("page | dedup kind", "a query is FROM");
}

#[test]
fn right_queries_are_left_alone() {
    for text in [
        r#"FROM e IN P.a GROUP BY e.s SELECT e.s AS "a b", COUNT ORDER BY "a b""#,
        "FROM e IN P.a SELECT e.s || '/' || e.n -- all of it",
        "SELECT COUNT(*) FROM e IN P.a GROUP BY e.s HAVING COUNT > 3",
        "FROM e IN P.a SELECT COUNT HAVING COUNT > 3",
    ] {
        assert!(diagnostics(text).is_empty(), "{text}: {:?}", diagnostics(text));
    }
}
