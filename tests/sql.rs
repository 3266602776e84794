//! SQL over what a frontend knows and over the windows of its queries, as `pivot sql` asks it: real agent, frontend and
//! command.
#![allow(missing_docs, clippy::unwrap_used)]

use pivot_frontend::{FrontendOptions, SqlLimits};
use pivot_protocol::wire;
use pivot_tests::{CountedAgent, PATIENCE, ServerProcess, TestFrontend, pivot_binary};
use std::process::{Command, Output};
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// A process has one agent, so one test at a time has it.
static SERIAL: Mutex<()> = Mutex::const_new(());

fn hit(host: &str, bytes: u64) {
    pivot::tracepoint!("Sql.hit", host = host, bytes: u64 = bytes);
}

/// What `pivot` says, asked of a frontend.
async fn pivot(url: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(pivot_binary());
    command.args(arguments).env("PIVOT_FRONTEND", url);
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

/// What `pivot` prints.
async fn printed(url: &str, arguments: &[&str]) -> String {
    let output = pivot(url, arguments).await;
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The rows that `pivot sql` prints of a statement as CSV, without the header.
async fn rows(url: &str, text: &str) -> Vec<String> {
    let csv = printed(url, &["sql", text, "--format", "csv"]).await;
    csv.lines().skip(1).map(str::to_owned).collect()
}

/// What is on standard error of a statement that is wrong.
async fn mistake(url: &str, arguments: &[&str]) -> String {
    let output = pivot(url, arguments).await;
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stderr).unwrap()
}

/// Installs a query under a name, and waits until the agent has woven it.
async fn install(frontend: &mut TestFrontend, name: &str, text: &str) -> u32 {
    let request = wire::InstallRequest { text: text.into(), name: name.into(), ..Default::default() };
    let answer = frontend.client.install(request).await.unwrap().into_inner();
    let query = answer.query.unwrap_or_else(|| panic!("{:?}", answer.diagnostics));

    let until = Instant::now() + PATIENCE;
    loop {
        let listed = frontend.client.list_queries(wire::ListQueriesRequest {}).await.unwrap().into_inner();
        let found = listed.queries.iter().find(|listed| listed.number == query).unwrap();
        if found.agents.iter().any(|agent| agent.status.is_some()) {
            return query;
        }
        assert!(Instant::now() < until, "woven within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_windows_of_a_query_are_a_table_in_every_format() {
    let _serial = SERIAL.lock().await;
    let mut frontend = TestFrontend::start().await;
    let url = frontend.url();
    let agent = pivot::builder().process("api").frontend(&url).init().unwrap();

    // HAVING, ORDER BY and LIMIT are about what is shown, and not about what is kept.
    let text = "FROM h IN Sql.hit GROUP BY h.host SELECT h.host AS host, COUNT AS n, SUM(h.bytes) AS bytes \
                HAVING n > 1000000 ORDER BY bytes DESC LIMIT 1 EVERY 100ms";
    let query = install(&mut frontend, "hosts", text).await;
    for round in 0..5 {
        (0..10).for_each(|_| hit("web-1", 100));
        hit("web-2", round);
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
    frontend.finish(query).await;

    let by_host = "SELECT host, sum(n) AS n, sum(bytes) AS bytes FROM hosts GROUP BY host ORDER BY host";
    assert_eq!(rows(&url, by_host).await, ["web-1,50,5000", "web-2,5,10"]);
    assert_eq!(
        printed(&url, &["sql", by_host, "--format", "ndjson"]).await,
        "{\"host\":\"web-1\",\"n\":50,\"bytes\":5000}\n{\"host\":\"web-2\",\"n\":5,\"bytes\":10}\n"
    );
    let json: serde_json::Value =
        serde_json::from_str(&printed(&url, &["sql", by_host, "--format", "json"]).await).unwrap();
    assert_eq!(json["columns"][0], serde_json::json!({ "name": "host", "type": "string" }));
    assert_eq!((json["rows"].as_array().unwrap().len(), &json["cut"]), (2, &serde_json::json!(false)));
    let table = printed(&url, &["sql", by_host]).await;
    assert!(table.contains("web-1  50  5,000") && table.ends_with("(2 rows)\n"), "{table}");
    let markdown = printed(&url, &["sql", by_host, "--format", "md"]).await;
    assert!(markdown.starts_with("| host | n | bytes |\n| --- | ---: | ---: |\n| web-1 |"), "{markdown}");

    // The table is there by its number too, and by small letters.
    for name in [format!("q{query}"), format!("\"hosts@{query}\""), "HOSTS".into(), "public.hosts".into()] {
        assert_eq!(rows(&url, &format!("SELECT sum(n) FROM {name}")).await, ["55"], "{name}");
    }
    let windows = rows(&url, "SELECT count(DISTINCT window_start) FROM hosts").await;
    assert!(windows[0].parse::<u64>().unwrap() >= 2, "{windows:?}");
    let lengths = "SELECT DISTINCT window_end - window_start, revision, partial FROM hosts WHERE window_start > now() - interval '1 hour'";
    assert_eq!(rows(&url, lengths).await, ["100000000,0,false"]);
    assert_eq!(rows(&url, "SELECT * FROM hosts WHERE window_start > now()").await, [""; 0]);
    assert_eq!(rows(&url, "SELECT count(*) FROM \"hosts$revisions\" WHERE revision = 0").await.len(), 1);

    drop(agent);
    frontend.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_among_queries_is_sql_if_no_from_of_it_has_an_alias() {
    let _serial = SERIAL.lock().await;
    let frontend = TestFrontend::start().await;
    let url = frontend.url();

    assert!(printed(&url, &["-c", "SELECT 1 + 1 AS two"]).await.contains("two"));
    assert_eq!(
        printed(&url, &["-c", "SELECT 1 AS a; SELECT 2 AS a", "--format", "ndjson"]).await,
        "{\"a\":1}\n{\"a\":2}\n"
    );
    assert!(printed(&url, &["-c", "EXPLAIN SELECT 1"]).await.contains("logical_plan"));
    assert!(printed(&url, &["-c", "EXPLAIN SELECT COUNT FROM e IN T"]).await.contains("EMIT"));
    assert!(printed(&url, &["sql", "SHOW TABLES"]).await.contains("tracepoints"));

    let wrong = mistake(&url, &["-c", "SELECT COUNT FROM T"]).await;
    assert!(wrong.contains("there is no table `T`") && wrong.contains("taken for SQL"), "{wrong}");
    let wrong = mistake(&url, &["-c", "SELECT COUNT( FROM e IN T"]).await;
    assert!(wrong.contains("taken for a query of tracepoints, since its FROM says"), "{wrong}");
    let wrong = mistake(&url, &["-c", "TABLE pivot.queries"]).await;
    assert!(wrong.contains("SQL begins with SELECT"), "{wrong}");
    let wrong = mistake(&url, &["sql", "SELECT name,\n  nmae FROM pivot.queries"]).await;
    assert!(wrong.contains("sql:2:3") && wrong.contains("did you mean name?"), "{wrong}");
    let wrong = mistake(&url, &["sql", "DROP TABLE hosts"]).await;
    assert!(wrong.contains("DROP cannot be answered"), "{wrong}");
    frontend.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_statement_of_the_readme_and_of_the_help_is_answered() {
    let _serial = SERIAL.lock().await;
    let mut frontend = TestFrontend::start().await;
    let url = frontend.url();
    let agent = pivot::builder().process("api").frontend(&url).init().unwrap();
    let text = "FROM r IN Sql.hit GROUP BY r.host SELECT r.host AS host, COUNT AS n, SUM(r.bytes) AS bytes, \
                P99(r.bytes) AS p99 EVERY 100ms";
    let query = install(&mut frontend, "reads", text).await;
    (0..10).for_each(|i| hit("web-1", i));
    tokio::time::sleep(Duration::from_millis(300)).await;
    frontend.finish(query).await;

    let readme = include_str!("../README.md");
    let shown = readme.split_once("```sql\n").unwrap().1.split_once("```").unwrap().0;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), shown).unwrap();
    let answers = printed(&url, &["sql", "-f", file.path().to_str().unwrap()]).await;
    assert_eq!(answers.matches(" row").count(), shown.matches(';').count(), "{answers}");
    assert!(answers.contains("web-1") && answers.contains("reads$states"), "{answers}");

    let help = printed(&url, &["-c", "\\h sql"]).await;
    let example = help.split_once("for example:").unwrap().1.replace('\n', " ");
    assert!(printed(&url, &["sql", example.trim()]).await.contains("reads"), "{example}");

    let help = printed(&url, &["sql", "--help"]).await;
    let examples: Vec<&str> =
        help.lines().filter_map(|line| line.trim().strip_prefix("pivot sql '")).collect();
    assert!(examples.len() >= 3, "{help}");
    for example in examples {
        let statement = example.rsplit_once('\'').unwrap().0;
        assert!(!printed(&url, &["sql", statement]).await.is_empty(), "{statement}");
    }

    drop(agent);
    frontend.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_range_of_short_windows_is_what_one_long_window_shows() {
    let _serial = SERIAL.lock().await;
    let mut frontend = TestFrontend::start().await;
    let url = frontend.url();
    let agent = pivot::builder().process("api").frontend(&url).init().unwrap();
    let text = "FROM h IN Sql.hit GROUP BY h.host SELECT h.host AS host, COUNT AS n, SUM(h.bytes) AS s, AVG(h.bytes) AS a, \
                MIN(h.bytes) AS least, P99(h.bytes) AS p, COUNT(DISTINCT h.bytes) AS d, STDDEV(h.bytes) AS dev, \
                HIST(h.bytes) AS buckets HAVING n > 3 ORDER BY n DESC LIMIT 5";
    let short = install(&mut frontend, "short", &format!("{text} EVERY 100ms")).await;
    let long = install(&mut frontend, "long", &format!("{text} EVERY 24h")).await;

    for round in 0..600 {
        hit(&format!("web-{}", round % 7), round * round % 1_000);
        if round % 100 == 0 {
            tokio::time::sleep(Duration::from_millis(120)).await;
        }
    }
    frontend.finish(short).await;
    frontend.finish(long).await;

    // Sums of doubles depend on their order in the last digit.
    let columns = "host, n, s, CAST(a * 1000 AS BIGINT), least, p, d, CAST(dev * 1000 AS BIGINT), buckets";
    let of_short =
        rows(&url, &format!("SELECT {columns} FROM range('short', null, null) ORDER BY host")).await;
    let of_long = rows(&url, &format!("SELECT {columns} FROM range('long', null, null) ORDER BY host")).await;
    assert_eq!((of_short.len(), &of_short), (5, &of_long));
    assert_eq!(rows(&url, "SELECT count(*) FROM long").await, ["7"]);
    let windows = rows(&url, "SELECT count(DISTINCT window_start) FROM short").await;
    assert!(windows[0].parse::<u64>().unwrap() >= 3, "{windows:?}");

    drop(agent);
    frontend.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statements_that_keep_all_threads_of_sql_busy_hold_up_no_report() {
    let _serial = SERIAL.lock().await;
    let limits = SqlLimits { time: Duration::from_secs(600), ..SqlLimits::default() };
    let options = FrontendOptions { sql: limits, ..FrontendOptions::default() };
    let mut frontend = TestFrontend::start_with(options).await;
    let agent = pivot::builder().process("api").frontend(frontend.url()).init().unwrap();

    let text = "SELECT sum(a.value * b.value) FROM generate_series(1, 10000000) AS a, generate_series(1, 1000000) AS b";
    let mut busy = Vec::new();
    for _ in 0..8 {
        let request = wire::SqlRequest { text: text.into(), ..Default::default() };
        busy.push(frontend.client.sql(request).await.unwrap().into_inner());
    }
    let query = install(&mut frontend, "", "FROM h IN Sql.hit SELECT COUNT EVERY 100ms").await;
    for _ in 0..50 {
        hit("web-1", 1);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let last = frontend.finish(query).await;
    let completeness = last.cumulative_completeness.unwrap();
    assert!(completeness.emitted == 50 && !completeness.partial, "{completeness:?}");

    // They run all the while, and end with their client.
    for stream in &mut busy {
        let first = tokio::time::timeout(Duration::from_millis(1), async {
            let heading = stream.message().await.unwrap();
            (heading, stream.message().await)
        });
        assert!(first.await.is_err(), "it goes on");
    }
    drop((busy, agent));
    frontend.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn past_and_live_windows_are_one_table_over_a_kill_and_without_the_query() {
    let mut server = ServerProcess::start_with(&["--keep-finished", "1s"]).await;
    let url = server.url();
    let mut agent = CountedAgent::start(env!("CARGO_BIN_EXE_counted_agent"), &url, "counted", &[]);
    let text = "FROM c IN Counted.hit SELECT COUNT AS hits, SUM(c.n) AS twice EVERY 200ms";
    let request = wire::InstallRequest { text: text.into(), name: "counted".into(), ..Default::default() };
    server.client().await.install(request).await.unwrap();
    wait_for(&url, "SELECT count(*) FROM pivot.agents WHERE converged", "1").await;

    agent.go();
    tokio::time::sleep(Duration::from_millis(700)).await;
    server.kill();
    tokio::time::sleep(Duration::from_millis(300)).await;
    server.restart().await;
    tokio::time::sleep(Duration::from_millis(700)).await;
    agent.pause();

    let hits = agent.hits();
    let sums = "SELECT sum(hits), sum(twice) FROM counted";
    wait_for(&url, sums, &format!("{hits},{}", 2 * hits)).await;
    let range = "SELECT hits, twice FROM range('counted', null, null)";
    assert_eq!(rows(&url, range).await, [format!("{hits},{}", 2 * hits)]);
    let halves = "SELECT (SELECT hits FROM range('counted', null, to_timestamp({half}))) \
                  + (SELECT hits FROM range('counted', to_timestamp({half}), null))";
    let starts =
        rows(&url, "SELECT CAST(extract(epoch FROM max(window_start)) AS BIGINT) FROM counted").await;
    assert_eq!(rows(&url, &halves.replace("{half}", &starts[0])).await, [hits.to_string()]);

    // The query goes, and what it has found stays.
    agent.leave();
    server.client().await.uninstall(wire::UninstallRequest { query: 1 }).await.unwrap();
    wait_for(&url, "SELECT count(*) FROM pivot.queries", "0").await;
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(rows(&url, sums).await, [format!("{hits},{}", 2 * hits)]);
    let named = rows(&url, "SELECT DISTINCT query, name FROM pivot.windows").await;
    assert_eq!(named, ["1,counted"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn columns_of_no_known_type_have_that_of_their_values_in_history_too() {
    let _serial = SERIAL.lock().await;
    let mut server = ServerProcess::start().await;
    let url = server.url();
    let agent = pivot::builder().process("api").frontend(&url).init().unwrap();
    let text = "FROM h IN Sql.hit GROUP BY h.host SELECT h.host AS host, COUNT AS n EVERY 100ms".to_owned();
    let request = wire::InstallRequest { text, name: "hosts".into(), ..Default::default() };
    server.client().await.install(request).await.unwrap();
    wait_for(&url, "SELECT count(*) FROM pivot.agents WHERE converged", "1").await;

    (0..10).for_each(|_| hit("web-1", 1));
    let types = "SELECT DISTINCT arrow_typeof(host), sum(n) OVER () FROM hosts";
    wait_for(&url, types, "Utf8,10").await;
    hit("web-2", 1);
    wait_for(&url, "SELECT host, n FROM hosts WHERE host = 'web-2'", "web-2,1").await;
    server.restart().await;
    let by_host = "SELECT host, sum(n) FROM hosts GROUP BY host ORDER BY host";
    assert_eq!(rows(&url, by_host).await, ["web-1,10", "web-2,1"]);
    drop(agent);
}

/// Waits until a statement has this one row.
async fn wait_for(url: &str, text: &str, expected: &str) {
    let until = Instant::now() + PATIENCE;
    loop {
        let found = rows(url, text).await;
        if found == [expected] {
            return;
        }
        assert!(Instant::now() < until, "{text}: {found:?} instead of {expected}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
