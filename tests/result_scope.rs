//! What a result covers: the processes that a query has something to do in, and the time in which it was woven. A real
//! agent, frontend and client.
#![allow(missing_docs, clippy::unwrap_used)]

use pivot_protocol::wire;
use pivot_protocol::wire::query_status::State;
use pivot_tests::{PATIENCE, TestFrontend};
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// The length of a window that a test can see both ends of.
const WINDOW_NS: i64 = 4_000_000_000;

/// A process has one agent, so one test at a time has it.
static SERIAL: Mutex<()> = Mutex::const_new(());

fn hit() {
    pivot::tracepoint!("Scope.hit", n: u64 = 1);
}

/// Waits until the agent has said how the query stands, and returns that.
async fn woven(frontend: &mut TestFrontend, query: u32) -> wire::QueryStatus {
    let until = Instant::now() + PATIENCE;
    loop {
        let listed = frontend.client.list_queries(wire::ListQueriesRequest {}).await.unwrap().into_inner();
        let found = listed.queries.into_iter().find(|listed| listed.number == query).unwrap();
        if let Some(status) = found.agents.first().and_then(|agent| agent.status.clone()) {
            return status;
        }
        assert!(Instant::now() < until, "woven within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn value(row: &wire::Row) -> wire::value::Kind {
    row.values[0].kind.clone().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_runs_where_its_constants_hold_and_rates_are_of_the_time_that_it_ran() {
    let _serial = SERIAL.lock().await;
    let mut frontend = TestFrontend::start().await;
    let agent = pivot::builder().process("api").frontend(frontend.url()).init().unwrap();

    // Nothing happens elsewhere, which is an answer.
    let text = "FROM h IN Scope.hit WHERE h.process = 'nobody' AND h.n > 0 GROUP BY h.process SELECT COUNT";
    let query = frontend.install(text).await;
    let status = woven(&mut frontend, query).await;
    assert_eq!(status.state(), State::RuledOut);
    assert_eq!(
        (status.ruled_out[0].condition.as_str(), status.ruled_out[0].values[0].as_str()),
        ("process = 'nobody'", "api")
    );
    hit();
    let total = frontend.finish(query).await.cumulative_completeness.unwrap();
    assert_eq!((total.emitted, total.partial, total.agents_expected), (0, false, total.agents_reporting));

    // A window of which the query sees a part.
    let every = format!("EVERY {}ms", WINDOW_NS / 1_000_000);
    let text = format!("FROM h IN Scope.hit WHERE h.process LIKE 'a%' SELECT RATE(COUNT) {every}");
    let query = frontend.install(&text).await;
    assert_eq!(woven(&mut frontend, query).await.state(), State::Active);
    (0..100).for_each(|_| hit());
    tokio::time::sleep(Duration::from_millis(200)).await;
    let total = frontend.finish(query).await;

    let scope = total.cumulative_completeness.unwrap();
    assert!((200_000_000..scope.length_ns).contains(&scope.covered_ns), "{scope:?}");
    assert!(!scope.partial && scope.length_ns % WINDOW_NS == 0, "{scope:?}");
    let wire::value::Kind::F64(rate) = value(&total.cumulative[0]) else { panic!("{total:?}") };
    let expected = 100.0 / (scope.covered_ns as f64 / 1e9);
    assert!((rate - expected).abs() < 1e-6 * expected, "{rate} {expected}");

    drop(agent);
    frontend.stop().await;
}

/// Returns the status of a query in its one agent once that has reported so many events of late.
async fn charged(frontend: &mut TestFrontend, query: u32, events: u64) -> wire::AgentStatus {
    let until = Instant::now() + PATIENCE;
    loop {
        let listed = frontend.client.list_queries(wire::ListQueriesRequest {}).await.unwrap().into_inner();
        let found = listed.queries.into_iter().find(|listed| listed.number == query).unwrap();
        match found.agents.into_iter().next() {
            Some(status) if status.recent.unwrap_or_default().events == events => return status,
            _ => assert!(Instant::now() < until, "reported within {PATIENCE:?}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn costs_a_second_are_of_the_time_in_which_a_process_had_the_query() {
    let _serial = SERIAL.lock().await;
    let mut frontend = TestFrontend::start().await;
    let text = "FROM h IN Scope.hit WHERE h.n > 0 SELECT COUNT";
    let query = frontend.install(text).await;

    // A measurement begins, and the process comes later: neither it nor the query above was woven before.
    let request = wire::ExplainRequest { text: text.into(), analyze_ns: 3_000_000_000, ..Default::default() };
    let mut client = frontend.client.clone();
    let explained = tokio::spawn(async move { client.explain(request).await.unwrap().into_inner() });
    tokio::time::sleep(Duration::from_millis(1_500)).await;

    let begun = Instant::now();
    let agent = pivot::builder().process("late").frontend(frontend.url()).init().unwrap();
    assert!(agent.wait_until_woven(PATIENCE));
    (0..100).for_each(|_| hit());
    let status = charged(&mut frontend, query, 100).await;
    let since = begun.elapsed();
    assert!((1..=since.as_nanos()).contains(&status.recent_ns.unsigned_abs().into()), "{status:?} {since:?}");

    let explanation = explained.await.unwrap().explanation;
    let since = begun.elapsed();
    let measured = explanation.split("measured in ").nth(1).unwrap();
    let seconds: f64 = measured.split(' ').next().unwrap().parse().unwrap();
    // The text has one digit behind the point.
    assert!(seconds > 0.0 && seconds <= since.as_secs_f64() + 0.05, "{explanation} {since:?}");

    frontend.finish(query).await;
    drop(agent);
    frontend.stop().await;
}
