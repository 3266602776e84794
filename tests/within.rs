//! `WITHIN`, from the text of a query to its effect in a process: a real agent, frontend and client.
#![allow(missing_docs, clippy::unwrap_used)]

use pivot_advice::QueryBudget;
use pivot_protocol::{from_wire, wire};
use pivot_tests::{PATIENCE, TestFrontend};
use std::time::{Duration, Instant};

const KEYS: u64 = 50;

fn hit_every_key() {
    (0..KEYS).for_each(|key| pivot::tracepoint!("Limited.hit", key: u64 = key));
}

/// What the client is told of a query: what it asks for, and what its only agent grants.
async fn listed(frontend: &mut TestFrontend, query: u32) -> (Option<QueryBudget>, Option<QueryBudget>) {
    let listed = frontend.client.list_queries(wire::ListQueriesRequest {}).await.unwrap().into_inner();
    let found = listed.queries.into_iter().find(|listed| listed.number == query).unwrap();
    let status = found.agents.first().and_then(|agent| agent.status.clone());
    let granted = status.and_then(|status| status.granted);
    (found.asked.as_ref().map(from_wire::query_budget), granted.as_ref().map(from_wire::query_budget))
}

/// Waits until the agent has said how the query stands.
async fn woven(frontend: &mut TestFrontend, query: u32) -> (Option<QueryBudget>, Option<QueryBudget>) {
    let until = Instant::now() + PATIENCE;
    loop {
        let told = listed(frontend, query).await;
        if told.1.is_some() {
            return told;
        }
        assert!(Instant::now() < until, "woven within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_gets_what_it_asks_for_up_to_the_ceiling_and_the_rest_is_shown_as_other() {
    let budget = |text: &str| text.parse::<QueryBudget>().unwrap();
    let mut frontend = TestFrontend::start().await;
    let agent = pivot::builder().process("limited").frontend(frontend.url()).within_max(budget("groups 30"));
    let agent = agent.init().unwrap();

    for (within, asked, granted, groups) in [
        ("", None, Some(""), KEYS),
        ("WITHIN groups 10", Some("groups 10"), Some("groups 10"), 10),
        ("WITHIN groups 10, cpu 0.1%", Some("groups 10, cpu 0.1%"), Some("groups 10, cpu 0.1%"), 10),
        ("WITHIN groups 40", Some("groups 40"), Some("groups 30"), 30),
        ("WITHIN bytes 100KiB", Some("bytes 100KiB"), Some("bytes 1KiB"), KEYS),
    ] {
        let text = format!("FROM h IN Limited.hit GROUP BY h.key SELECT h.key, COUNT {within}");
        let query = frontend.install(&text).await;
        let told = woven(&mut frontend, query).await;
        assert_eq!(told, (asked.map(budget), granted.map(budget)), "{within}");

        hit_every_key();
        let total = frontend.finish(query).await;
        assert_eq!(total.cumulative.len() as u64, groups, "{within}");
        let completeness = total.cumulative_completeness.unwrap();
        assert_eq!(completeness.other, KEYS - groups, "{within}");
        assert_eq!(completeness.partial, groups < KEYS, "{within}");
    }

    drop(agent);
    frontend.stop().await;
}
