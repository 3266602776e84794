//! The help of `\h`: clauses, sources, aggregates and functions, each with an example.
//!
//! Every example is a query on the tracepoints of the demo, or a part of one.

use pivot_query::functions;

/// One thing that `\h` explains.
#[derive(Debug)]
pub(super) struct HelpTopic {
    /// The word, and other spellings of it.
    pub(super) names: &'static [&'static str],
    /// How it is written; `None` for functions, of which the language knows.
    syntax: Option<&'static str>,
    /// A sentence on what it does.
    pub(super) about: &'static str,
    /// A complete query that uses it.
    pub(super) example: &'static str,
}

const fn topic(
    names: &'static [&'static str],
    syntax: &'static str,
    about: &'static str,
    example: &'static str,
) -> HelpTopic {
    HelpTopic { names, syntax: Some(syntax), about, example }
}

const fn functions_topic(
    names: &'static [&'static str],
    about: &'static str,
    example: &'static str,
) -> HelpTopic {
    HelpTopic { names, syntax: None, about, example }
}

impl HelpTopic {
    /// Returns how it is written.
    pub(super) fn syntax(&self) -> String {
        if let Some(syntax) = self.syntax {
            return syntax.to_owned();
        }
        let function_of = |name: &str| functions().find(|function| function.name.eq_ignore_ascii_case(name));
        let usages: Vec<&str> =
            self.names.iter().filter_map(|name| function_of(name)).map(|function| function.usage).collect();
        usages.join(", ")
    }
}

/// A query that works on the demo, for people who open the REPL for the first time.
pub(crate) const EXAMPLE_QUERY: &str = "  FROM incr IN DataNodeMetrics.incrBytesRead
  JOIN cl IN First(ClientProtocols) ON cl -> incr
  GROUP BY cl.process
  SELECT cl.process, SUM(incr.delta);";

const COUNT: &str = "FROM d IN DN.DataTransferProtocol GROUP BY d.host SELECT d.host, COUNT";
const LATENCY: &str = "FROM o IN NameNode.open@exit SELECT COUNT, AVERAGE(o.elapsed), P99(o.elapsed)";

/// In the order of a query, then aggregates, then functions.
pub(super) const TOPICS: &[HelpTopic] = &[
    topic(&["FROM"], "FROM alias IN source", "Each event of the source is a row.", COUNT),
    topic(
        &["UNION", ","],
        "FROM alias IN source, source; JOIN a IN source, source ON a -> b",
        "Events of any of the sources; a field that one of them lacks is null there. In a JOIN each may choose or aggregate on its own.",
        "FROM b IN DataNodeMetrics.incrBytesRead, DataNodeMetrics.incrBytesWritten GROUP BY b.host SELECT b.host, SUM(b.delta)",
    ),
    topic(
        &["JOIN", "ON", "->"],
        "JOIN a IN source, ... ON a -> b [AND condition]",
        "Extends each row by every tuple that happened before b in the same request; rows without one go.",
        "FROM b IN DataNodeMetrics.incrBytesRead JOIN c IN ClientProtocols ON c -> b GROUP BY c.process SELECT c.process, SUM(b.delta)",
    ),
    topic(
        &["LEFT", "LEFT JOIN"],
        "LEFT JOIN a IN source ON a -> b",
        "Like JOIN, and keeps rows without a match, with nulls.",
        "FROM r IN DN.DataTransferProtocol LEFT JOIN s IN StressTest.DoNextOp ON s -> r GROUP BY s.host SELECT s.host, COUNT",
    ),
    topic(
        &["ANTI", "ANTI JOIN"],
        "ANTI JOIN a IN source ON a -> b [AND condition]",
        "Keeps only rows without a match.",
        "FROM r IN DN.DataTransferProtocol ANTI JOIN s IN StressTest.DoNextOp ON s -> r GROUP BY r.host SELECT r.host, COUNT",
    ),
    topic(
        &["FIRST", "FIRSTN"],
        "First(source [WHERE condition]), First n (source [WHERE condition])",
        "The earliest tuple, or n, that happened before. Names in the condition are fields of the source, without an alias.",
        "FROM b IN DataNodeMetrics.incrBytesRead JOIN c IN First(ClientProtocols) ON c -> b GROUP BY c.process SELECT c.process, SUM(b.delta)",
    ),
    topic(
        &["MOSTRECENT", "MOSTRECENTN"],
        "MostRecent(source [WHERE condition]), MostRecent n (source [WHERE condition])",
        "The latest tuple, or n, that happened before. Names in the condition are fields of the source, without an alias.",
        "FROM s IN SendResponse JOIN r IN MostRecent(ReceiveRequest) ON r -> s GROUP BY s.op SELECT s.op, AVERAGE(s.time - r.time)",
    ),
    topic(
        &["UNNEST"],
        "UNNEST(source, field)",
        "One tuple for each element of a field that is a list.",
        "FROM g IN UNNEST(NN.GetBlockLocations, replicas) GROUP BY g.replicas SELECT g.replicas, COUNT",
    ),
    topic(
        &["PATTERN", "*", "**"],
        "name with * or **, or /regex/",
        "All tracepoints of such a name, also those that come later. Without @ it matches at every location (enter, exit, error); with @exit each call is one row.",
        "FROM f IN NameNode.*@exit GROUP BY f.tracepoint SELECT f.tracepoint, COUNT, AVERAGE(f.elapsed)",
    ),
    topic(
        &["WITH"],
        "WITH name AS (query) FROM ...",
        "A query that others join with, by its name.",
        "WITH waits AS (FROM s IN SendResponse JOIN r IN MostRecent(ReceiveRequest) ON r -> s SELECT s.time - r.time AS t) FROM j IN JobComplete JOIN w IN waits ON w -> j GROUP BY j.id SELECT j.id, SUM(w.t)",
    ),
    topic(
        &["LET"],
        "LET name = expression",
        "A column with a name, for the clauses that follow.",
        "FROM d IN DN.DataTransferProtocol LET kib = d.size / 1024 GROUP BY d.op SELECT d.op, AVERAGE(kib)",
    ),
    topic(
        &["WHERE", "AND", "OR", "NOT"],
        "WHERE condition",
        "Keeps rows for which the condition is true; null is not.",
        "FROM d IN DN.DataTransferProtocol WHERE d.op = 'READ_BLOCK' AND d.size < 64KiB GROUP BY d.host SELECT d.host, COUNT",
    ),
    topic(
        &["IN", "BETWEEN", "LIKE", "~", "IS NULL"],
        "x IN (a, b), x BETWEEN a AND b, x LIKE 'a%', x ~ 'regex', x IS [NOT] NULL",
        "Conditions on one value.",
        "FROM g IN NN.GetBlockLocations WHERE g.src LIKE '/get/%' GROUP BY g.src SELECT g.src, COUNT",
    ),
    topic(
        &["GROUP BY", "GROUPBY", "GROUP"],
        "GROUP BY expression, ...",
        "One result row for each combination of values. Without it an aggregating query has exactly one row, also where nothing matched: COUNT is 0, SUM is null.",
        COUNT,
    ),
    topic(
        &["SELECT", "DISTINCT", "AS"],
        "SELECT [DISTINCT] expression [AS name], ...",
        "The columns of the result; without aggregates, the rows themselves: at most 1,000 different ones of a process in a window (see WITHIN groups) and 10,000 in one result; further ones are counted and named as missing.",
        "FROM d IN DN.DataTransferProtocol GROUP BY d.host SELECT d.host, SUM(d.size) / COUNT AS mean",
    ),
    topic(
        &["HAVING"],
        "HAVING condition",
        "Keeps groups of the merged window for which the condition is true.",
        "FROM d IN DN.DataTransferProtocol GROUP BY d.host SELECT d.host, COUNT HAVING COUNT > 10",
    ),
    topic(
        &["ORDER BY", "ORDERBY", "LIMIT"],
        "ORDER BY expression [ASC|DESC] [NULLS FIRST|LAST], ... LIMIT n",
        "The first n rows of the merged window. As in PostgreSQL null counts as the largest value (last, or first with DESC) unless NULLS FIRST or LAST says where it goes, and NaN is above infinity.",
        "FROM g IN NN.GetBlockLocations GROUP BY g.src SELECT g.src, COUNT AS n ORDER BY n DESC LIMIT 3",
    ),
    topic(
        &["EVERY"],
        "EVERY duration",
        "The length of a result window; one second if not given.",
        "FROM d IN DN.DataTransferProtocol GROUP BY d.host SELECT d.host, COUNT EVERY 5s",
    ),
    topic(
        &["FOR"],
        "FOR duration",
        "The query uninstalls itself after so long.",
        "FROM d IN DN.DataTransferProtocol GROUP BY d.host SELECT d.host, COUNT FOR 1m",
    ),
    topic(
        &["INTO", "PROMETHEUS"],
        "INTO prometheus [(name = 'text', series = n)]",
        "Shows the results to Prometheus, at /metrics/queries of the frontend, besides to clients. Keys are labels. COUNT and SUM are counters since install (name_count_total); HIST and LHIST are histograms since install; everything else is a gauge of the newest window. Durations are in seconds. A query has at most 1,000 series unless it says another number; further ones are counted in pivot_query_series_left_out.",
        "FROM d IN DN.DataTransferProtocol GROUP BY d.host SELECT d.host, COUNT, SUM(d.size) AS bytes INTO prometheus(name = 'store')",
    ),
    topic(
        &["EXPLAIN", "ANALYZE"],
        "EXPLAIN [ANALYZE] query",
        "The plan, the rules that fired and the advice, instead of running it. With ANALYZE it is run for a few seconds, its rows are discarded, and what each stage cost is shown.",
        COUNT,
    ),
    functions_topic(&["COUNT"], "How many rows; how many with x; how many different x.", COUNT),
    functions_topic(
        &["SUM", "MIN", "MAX"],
        "Over all rows of the group.",
        "FROM d IN DN.DataTransferProtocol GROUP BY d.op SELECT d.op, SUM(d.size), MIN(d.size), MAX(d.size)",
    ),
    topic(&["AVERAGE", "AVG"], "AVERAGE(x)", "The mean; also of durations.", LATENCY),
    functions_topic(
        &["STDDEV", "VARIANCE", "STDDEV_SAMP", "VAR_SAMP", "STDDEV_POP", "VAR_POP"],
        "How far values are from their mean.",
        "FROM d IN DN.DataTransferProtocol GROUP BY d.op SELECT d.op, STDDEV(d.size)",
    ),
    functions_topic(
        &["QUANTILE", "P50", "P90", "P95", "P99", "P999"],
        "The value that a share q of all values does not exceed.",
        LATENCY,
    ),
    functions_topic(
        &["HIST", "LHIST"],
        "How values are distributed, in exponential or equal steps.",
        "FROM d IN DN.DataTransferProtocol SELECT LHIST(d.size, 0, 8MiB, 1MiB)",
    ),
    functions_topic(
        &["TOPK"],
        "The k most frequent values, with their counts.",
        "FROM g IN NN.GetBlockLocations SELECT TOPK(g.src, 3)",
    ),
    functions_topic(
        &["RATE"],
        "An aggregate per second of the window.",
        "FROM b IN DataNodeMetrics.incrBytesRead GROUP BY b.host SELECT b.host, RATE(SUM(b.delta))",
    ),
    functions_topic(
        &["ANY"],
        "Some value of the group.",
        "FROM d IN DN.DataTransferProtocol GROUP BY d.host SELECT d.host, ANY(d.pid)",
    ),
    topic(
        &["CASE", "IF", "COALESCE"],
        "CASE WHEN c THEN x ELSE y END, if(c, x, y), coalesce(x, y)",
        "One value or another.",
        "FROM d IN DN.DataTransferProtocol GROUP BY if(d.size < 64KiB, 'small', 'large') SELECT if(d.size < 64KiB, 'small', 'large') AS size, COUNT",
    ),
    functions_topic(
        &["CAST"],
        "The value as bool, i64, u64, f64, string, timestamp or duration.",
        "FROM d IN DN.DataTransferProtocol SELECT SUM(CAST(d.size AS f64))",
    ),
    functions_topic(
        &[
            "LOWER",
            "UPPER",
            "LENGTH",
            "SUBSTR",
            "SPLIT_PART",
            "STARTS_WITH",
            "CONTAINS",
            "REGEXP_EXTRACT",
            "||",
        ],
        "Functions of text; || joins two.",
        "FROM j IN JobComplete GROUP BY split_part(j.id, '-', 1) SELECT split_part(j.id, '-', 1) AS kind, COUNT",
    ),
    functions_topic(
        &["ABS", "FLOOR", "CEIL", "ROUND", "LN", "LOG2", "POW"],
        "Functions of numbers.",
        "FROM d IN DN.DataTransferProtocol GROUP BY floor(log2(d.size)) SELECT floor(log2(d.size)) AS power, COUNT",
    ),
    topic(
        &["TIMESTAMP", "NOW"],
        "timestamp '2026-11-30T12:00:00Z', now()",
        "A point in time: with an offset or in UTC, a date alone, or a space for the T. now() is when the query was installed, the same instant in all processes.",
        "FROM d IN DN.DataTransferProtocol WHERE d.time < now() + 1m AND d.time > timestamp '2026-11-30' SELECT COUNT",
    ),
    topic(
        &["CARRIERS"],
        "\\carriers glob, ...; \\carriers off",
        "A join finds what happened before in the same request. Spans of `tracing` that match one of these globs over target::name begin a request, in all processes and without a restart, beside those that a process names itself (PIVOT_CARRIERS). A glob without `::` is matched with the name alone; `*` stays within a part of the path, `**` does not.",
        "FROM q IN sqlx::query JOIN r IN app::web::http_request@enter ON r -> q GROUP BY r.path SELECT r.path, COUNT",
    ),
    topic(
        &["KEEP", "DETACH"],
        "KEEP duration; \\keep [n | name]; pivot -c 'query' --detach",
        "The clause KEEP says how long the windows of the query are kept in history after they have closed; otherwise as long as the frontend keeps those of all queries (pivot server --keep, a day if not given), and single rows, of a query without aggregates, not at all. The command \\keep and --detach are about the query itself: a query belongs to the client that installs it and is uninstalled when that has been gone for a minute (pivot server --client-grace), however it ended. One that is kept, or installed with --detach, stays until \\drop. \\dq shows the owner of each query, and until when it stays.",
        "FROM c IN Client.requestComplete GROUP BY c.host SELECT c.host, COUNT KEEP 7d",
    ),
    topic(
        &["SQL"],
        "SELECT column, ... FROM table ...; SHOW TABLES; DESCRIBE table; EXPLAIN SELECT ...",
        "A SELECT, WITH, VALUES, SHOW, DESCRIBE or EXPLAIN of one is SQL if none of its FROMs says `alias IN`. Each query is a table with a row for each window and group: by its name, or as q7; `name@3` is an earlier query of that name. Behind the columns window_start, window_end, revision and partial come those of its SELECT as they are written there, such as e.host and COUNT. The table q7$revisions has what late rows changed; q7$states the states of aggregates, of which quantile(state, 0.99), count_distinct(state), topk(state, 10) and hist(state) make values, of each row or of each group of GROUP BY, and merge(state) makes one state. FROM range('q7', from, to) gives what one query over that time would have shown. pivot.queries, pivot.windows, pivot.agents and pivot.tracepoints are what the frontend knows. \\watch asks the last statement again every two seconds.",
        "SELECT name, window_start, emitted FROM pivot.windows WHERE window_start > now() - INTERVAL '10 minutes' ORDER BY window_start",
    ),
    functions_topic(
        &["BUCKET", "TRUNCATE"],
        "The lower end of the step of that width that x is in.",
        "FROM d IN DN.DataTransferProtocol GROUP BY bucket(d.size, 1MiB) SELECT bucket(d.size, 1MiB) AS size, COUNT",
    ),
];

/// Returns the topic of a word in any spelling, or `None` if there is none.
pub(super) fn find(word: &str) -> Option<&'static HelpTopic> {
    let word = word.split_whitespace().collect::<Vec<_>>().join(" ");
    TOPICS.iter().find(|topic| topic.names.iter().any(|name| name.eq_ignore_ascii_case(&word)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statement_kind::is_sql;

    #[test]
    fn every_example_is_a_query() {
        let catalog = pivot_query::Catalog::default();
        for topic in TOPICS {
            // What the frontend says to it, a test of both tells.
            if is_sql(topic.example) {
                continue;
            }
            if let Err(wrong) = pivot_query::compile(topic.example, &catalog) {
                panic!("{}: {wrong}", topic.example);
            }
        }
    }

    #[test]
    fn functions_are_written_as_the_language_says() {
        let syntax = |word| find(word).map(HelpTopic::syntax);
        assert_eq!(syntax("min").as_deref(), Some("SUM(x), MIN(x), MAX(x)"));
        assert_eq!(syntax("truncate").as_deref(), Some("bucket(x, width), truncate(time, unit)"));
        assert!(TOPICS.iter().all(|topic| !topic.syntax().is_empty()));
    }

    #[test]
    fn each_word_has_one_topic() {
        let names: Vec<&str> = TOPICS.iter().flat_map(|topic| topic.names).copied().collect();
        for name in &names {
            assert_eq!(names.iter().filter(|other| *other == name).count(), 1, "{name}");
            assert!(find(&name.to_lowercase()).is_some());
        }
        assert_eq!(find(" group  by ").map(|topic| topic.names[0]), Some("GROUP BY"));
    }
}
