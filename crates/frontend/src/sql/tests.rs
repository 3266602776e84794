//! Statements of SQL from text to answer, and what bounds them.
#![allow(clippy::unwrap_used)]

use super::{SqlEngine, SqlLimits, answer};
use crate::FrontendOptions;
use crate::server_clock::ServerClock;
use crate::shared_state::SharedState;
use crate::state::FrontendState;
use crate::store::Store;
use futures::StreamExt;
use pivot_advice::Value;
use pivot_protocol::{from_wire, wire};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tonic::{Code, Status};

/// A frontend that answers SQL.
pub(super) struct Asked {
    pub(super) shared: Arc<SharedState>,
    pub(super) engine: Arc<SqlEngine>,
}

/// An answer as a whole.
#[derive(Debug, Default)]
pub(super) struct WholeAnswer {
    pub(super) columns: Vec<wire::SqlColumn>,
    pub(super) rows: Vec<Vec<Value>>,
    pub(super) diagnostics: Vec<wire::Diagnostic>,
    pub(super) end: Option<wire::SqlEnd>,
    pub(super) arrow: Vec<u8>,
}

impl Asked {
    pub(super) fn new(limits: SqlLimits) -> Asked {
        let state = FrontendState::new(&FrontendOptions::default(), 1);
        let shared = Arc::new(SharedState::new(
            state,
            Arc::new(Store::none()),
            None,
            ServerClock::start(FrontendOptions::default().machine, None),
        ));
        Asked { shared, engine: Arc::new(SqlEngine::start(limits).unwrap()) }
    }

    pub(super) async fn request(&self, request: wire::SqlRequest) -> Result<WholeAnswer, Status> {
        let mut parts = answer(&self.engine, &self.shared, request);
        let mut whole = WholeAnswer::default();
        while let Some(part) = parts.next().await {
            let part = part?;
            whole.columns.extend(part.columns);
            for row in part.rows {
                whole
                    .rows
                    .push(row.values.into_iter().map(|value| from_wire::value(value).unwrap()).collect());
            }
            whole.diagnostics.extend(part.diagnostics);
            whole.arrow.extend(part.arrow);
            whole.end = part.end.or(whole.end);
        }
        Ok(whole)
    }

    pub(super) async fn ask(&self, text: &str) -> Result<WholeAnswer, Status> {
        self.request(wire::SqlRequest { text: text.to_owned(), ..Default::default() }).await
    }

    /// Returns the rows as texts; of a statement that is wrong or fails, why.
    pub(super) async fn rows(&self, text: &str) -> Vec<String> {
        match self.ask(text).await {
            Err(status) => vec![format!("{:?}: {}", status.code(), status.message())],
            Ok(answer) if !answer.diagnostics.is_empty() => {
                answer.diagnostics.into_iter().map(|found| found.message).collect()
            }
            Ok(answer) => {
                let shown =
                    |row: &Vec<Value>| row.iter().map(Value::to_string).collect::<Vec<_>>().join(" | ");
                answer.rows.iter().map(shown).collect()
            }
        }
    }
}

fn small() -> Asked {
    Asked::new(SqlLimits { time: Duration::from_secs(20), memory: 32 << 20, rows: 1_000 })
}

#[tokio::test]
async fn a_statement_is_answered_with_its_columns_rows_and_end() {
    let asked = small();
    let answer = asked.ask("SELECT 1 AS a, 'x' || 'y' AS b, null AS c").await.unwrap();
    let columns: Vec<_> =
        answer.columns.iter().map(|column| (column.name.as_str(), column.sql_type.as_str())).collect();
    assert_eq!(columns, [("a", "Int64"), ("b", "Utf8"), ("c", "Null")]);
    assert_eq!(answer.rows, [[Value::I64(1), Value::str("xy"), Value::Null]]);
    assert_eq!(answer.end, Some(wire::SqlEnd { rows: 1, cut: false, notice: String::new() }));
    assert_eq!(asked.rows("SELECT 'a' || null || 'b', 'a' || 1, [1] || [2]").await, ["null | a1 | [1, 2]"]);
}

#[tokio::test]
async fn what_is_known_of_the_frontend_are_tables() {
    let asked = small();
    let tables = asked
        .rows("SELECT table_name FROM information_schema.tables WHERE table_schema = 'pivot' ORDER BY 1")
        .await;
    assert!(
        ["agents", "queries", "tracepoints"].iter().all(|name| tables.contains(&(*name).to_owned())),
        "{tables:?}"
    );
    for table in &tables {
        assert_eq!(asked.rows(&format!("SELECT count(*) FROM pivot.{table}")).await, ["0"], "{table}");
        assert!(!asked.rows(&format!("DESCRIBE pivot.{table}")).await.is_empty(), "{table}");
    }
    assert!(asked.rows("SHOW TABLES").await.len() >= 3);
}

#[tokio::test]
async fn nothing_can_be_changed_or_read_from_files() {
    let asked = small();
    for (text, why) in [
        ("SELECT * INTO t FROM pivot.queries", "DDL not supported"),
        ("SELECT * FROM '/etc/passwd'", "there is no table"),
        ("SELECT * FROM read_csv('/etc/passwd')", "read_csv"),
        ("SELECT * FROM \"file:///etc/passwd\"", "there is no table"),
        ("SELECT * FROM parquet_metadata('/x')", "parquet_metadata"),
        ("WITH t AS (DELETE FROM pivot.queries) SELECT 1", "not implemented"),
    ] {
        let found = asked.rows(text).await;
        assert!(found[0].contains(why), "{text}: {found:?}");
    }
}

#[tokio::test]
async fn an_answer_is_cut_at_the_limit_of_rows_and_says_so() {
    let asked = small();
    let answer = asked.ask("SELECT * FROM generate_series(1, 100000000000)").await.unwrap();
    assert_eq!(answer.rows.len(), 1_000);
    let end = answer.end.unwrap();
    assert!(end.cut && end.rows == 1_000 && end.notice.contains("--sql-rows"), "{end:?}");

    let whole = asked.ask("SELECT * FROM generate_series(1, 1000)").await.unwrap();
    assert_eq!((whole.rows.len(), whole.end.map(|end| end.cut)), (1_000, Some(false)));
    let request = wire::SqlRequest {
        text: "SELECT * FROM generate_series(1, 7)".into(),
        rows: 5,
        ..Default::default()
    };
    let few = asked.request(request).await.unwrap();
    assert_eq!((few.rows.len(), few.end.map(|end| end.cut)), (5, Some(true)));
}

#[tokio::test]
async fn a_statement_that_takes_too_long_ends_at_the_limit() {
    let asked = Asked::new(SqlLimits { time: Duration::from_secs(1), ..SqlLimits::default() });
    for text in [
        "SELECT count(*) FROM generate_series(1, 100000000000) AS a",
        "SELECT sum(a.value * b.value) FROM generate_series(1, 10000000) AS a, generate_series(1, 1000000) AS b",
        "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r) SELECT max(n) FROM r",
        "SELECT count(*) FROM generate_series(1, 100000000000) AS a WHERE repeat('ab', 100) LIKE '%x%b%a%' || a.value",
    ] {
        let begun = Instant::now();
        let status = asked.ask(text).await.unwrap_err();
        assert_eq!(status.code(), Code::DeadlineExceeded, "{text}: {status}");
        assert!(status.message().contains("--sql-time"), "{status}");
        assert!(begun.elapsed() < Duration::from_secs(15), "{text}: {:?}", begun.elapsed());
    }
    // None of them holds a slot for long.
    let until = Instant::now() + Duration::from_secs(30);
    while asked.engine.slots.available_permits() < 4 {
        assert!(Instant::now() < until, "statements that have ended give their slots back");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_statement_that_takes_too_much_memory_fails_alone() {
    let asked = small();
    for text in [
        "SELECT a.value FROM generate_series(1, 10000000) AS a ORDER BY a.value % 7, a.value OFFSET 9000000",
        "SELECT max(n) FROM (SELECT count(*) AS n FROM generate_series(1, 10000000) AS a GROUP BY (a.value * 7919) % 9999991)",
        "SELECT array_agg(a.value) FROM generate_series(1, 10000000) AS a",
        "SELECT max(n) FROM (SELECT a.value, count(*) OVER () AS n FROM generate_series(1, 10000000) AS a)",
        "SELECT a.value, lead(a.value) OVER (ORDER BY a.value % 3) FROM generate_series(1, 10000000) AS a LIMIT 1",
        "SELECT count(*) FROM generate_series(1, 10000000) AS a JOIN generate_series(1, 10000000) AS b ON a.value = b.value",
        "SELECT string_agg(repeat('x', 60000), ',') FROM generate_series(1, 100000)",
        "SELECT count(DISTINCT repeat('x', 1000) || a.value) FROM generate_series(1, 1000000) AS a",
    ] {
        let status = asked.ask(text).await.map(|answer| format!("{answer:?}")).unwrap_err();
        assert!(matches!(status.code(), Code::ResourceExhausted | Code::InvalidArgument), "{text}: {status}");
        let is_told = status.message().contains("--sql-memory") || status.message().contains("may make");
        assert!(is_told, "{text}: {status}");
    }
    assert_eq!(asked.rows("SELECT count(*) FROM generate_series(1, 1000)").await, ["1000"]);
}

#[tokio::test]
async fn no_function_makes_more_than_fits() {
    let asked = small();
    let doubled =
        (0..40).fold("'x'".to_owned(), |text, _| format!("(SELECT a || a AS a FROM (SELECT {text} AS a))"));
    let chain: String = (1..60).map(|i| format!(", t{i} AS (SELECT a || a AS a FROM t{})", i - 1)).collect();
    for text in [
        "SELECT repeat('x', 2000000000)",
        "SELECT sum(length(repeat('x', a.value))) FROM generate_series(1, 1000000) AS a",
        "SELECT sum(length(repeat(a.value || 'x', 8000))) FROM generate_series(1, 100000) AS a",
        "SELECT lpad('x', 2000000000), rpad('x', 1)",
        "SELECT rpad('x', 100000000, 'yz')",
        "SELECT replace(repeat('x', 60000), 'x', repeat('y', 60000))",
        "SELECT generate_series(1, 1000000000000)",
        "SELECT range(0, 9223372036854775807)",
        "SELECT generate_series(timestamp '1970-01-01', timestamp '2070-01-01', interval '1 nanosecond')",
        "SELECT unnest(generate_series(date '0001-01-01', date '9999-01-01', interval '1 second'))",
        "SELECT array_repeat('x', 1000000000)",
        "SELECT array_resize([1], 1000000000)",
        "SELECT array_to_string(range(0, 10000), repeat('x', 60000))",
        "SELECT levenshtein(repeat('a', 60000), repeat('b', 60000))",
        &format!("SELECT length({doubled})"),
        &format!("WITH t0 AS (SELECT 'x' AS a) {chain} SELECT length(a) FROM t59"),
        &format!(
            "SELECT length({}'x'{})",
            "concat(".repeat(30),
            ", 'x')".repeat(30).replace("'x'", "repeat('x', 60000)")
        ),
    ] {
        let found = asked.rows(text).await;
        let is_bounded =
            found[0].contains("may make") || found[0].contains("too long") || found[0].contains("compare");
        assert!(is_bounded || found[0].contains("nested too deeply"), "{text}: {found:?}");
    }
    assert_eq!(
        asked.rows("SELECT repeat('ab', 3), lpad('7', 3, '0'), range(0, 3)").await,
        ["ababab | 007 | [0, 1, 2]"]
    );
}

#[tokio::test]
async fn deep_statements_are_answered_or_refused_and_break_nothing() {
    let asked = small();
    let sum = format!("SELECT 1{}", " + 1".repeat(900));
    assert_eq!(asked.rows(&sum).await, ["901"]);
    let cases = "CASE WHEN 1 = 2 THEN 0 ELSE ".repeat(40) + "7" + &" END".repeat(40);
    assert_eq!(asked.rows(&format!("SELECT {cases}")).await, ["7"]);
    let columns = format!("SELECT max(x{}) FROM (SELECT 1 AS x)", " + x".repeat(500));
    assert_eq!(asked.rows(&columns).await, ["501"]);
    let union = format!("SELECT count(*) FROM (SELECT 1{})", " UNION ALL SELECT 1".repeat(500));
    assert_eq!(asked.rows(&union).await, ["501"]);
    let ands = format!(
        "SELECT count(*) FROM generate_series(1, 3) AS a WHERE a.value = 1{}",
        " OR a.value = 2".repeat(400)
    );
    assert_eq!(asked.rows(&ands).await, ["2"]);

    // Each of them is twice as large as the one before.
    let with: String =
        (1..40).map(|i| format!(", t{i} AS (SELECT a.x FROM t{0} a, t{0} b)", i - 1)).collect();
    let found = asked.rows(&format!("WITH t0 AS (SELECT 1 AS x) {with} SELECT count(*) FROM t39")).await;
    assert!(found[0].contains("1000 tables"), "{found:?}");
}

#[tokio::test]
async fn a_mistake_is_an_answer_that_says_where_and_what_there_is() {
    let asked = small();
    let answer = asked.ask("SELECT *\nFROM pivot.querys").await.unwrap();
    let found = &answer.diagnostics[0];
    assert_eq!(found.message, "there is no table `pivot.querys`");
    assert_eq!((found.start, found.end), (14, 26));
    assert_eq!(found.hint, "did you mean pivot.queries?");
    assert!(found.detail.contains("pivot.agents"), "{found:?}");

    let answer = asked.ask("SELECT nmae FROM pivot.queries").await.unwrap();
    let found = &answer.diagnostics[0];
    assert_eq!(found.message, "there is no column `nmae`");
    assert_eq!((found.start, found.end), (7, 11));
    assert_eq!(found.hint, "did you mean name?");
    let unknown = asked.rows("SELECT frobnicate(1)").await;
    assert!(unknown[0].to_lowercase().contains("frobnicate"), "{unknown:?}");
    assert_eq!(asked.rows("SELECT 1 / 0").await.len(), 1);
}

#[tokio::test]
async fn rows_come_as_a_stream_of_arrow_if_asked_for() {
    use datafusion::arrow::ipc::reader::StreamReader;
    let form = wire::sql_request::Form::Arrow.into();
    let text = "SELECT value, value || 'x' AS text FROM generate_series(1, 900)".to_owned();
    let answer = small().request(wire::SqlRequest { text, form, rows: 0 }).await.unwrap();
    assert!(answer.rows.is_empty() && answer.columns.len() == 2 && answer.end.is_some());
    let batches: Vec<_> =
        StreamReader::try_new(&answer.arrow[..], None).unwrap().map(Result::unwrap).collect();
    assert_eq!(batches.iter().map(|batch| batch.num_rows()).sum::<usize>(), 900);
}

#[tokio::test]
async fn a_statement_ends_when_its_client_goes() {
    let asked = small();
    let request = wire::SqlRequest {
        text: "SELECT count(*) FROM generate_series(1, 100000000000)".into(),
        ..Default::default()
    };
    let mut parts = answer(&asked.engine, &asked.shared, request);
    let first = tokio::time::timeout(Duration::from_millis(200), parts.next()).await;
    drop(parts);

    let until = Instant::now() + Duration::from_secs(15);
    while asked.engine.slots.available_permits() < 4 {
        assert!(Instant::now() < until, "the statement goes on: {first:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
