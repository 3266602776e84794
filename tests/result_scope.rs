//! What a result covers: the processes that a query has something to do in, and the time in which it was woven. A real
//! agent, frontend and client.
#![allow(missing_docs, clippy::unwrap_used)]

use pivot_protocol::wire;
use pivot_protocol::wire::query_status::State;
use pivot_tests::{PATIENCE, TestFrontend};
use std::time::{Duration, Instant};

/// The length of a window that a test can see both ends of.
const WINDOW_NS: i64 = 4_000_000_000;

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
