//! Queries come and go at a frontend, under load: nothing grows, nothing breaks, nothing is counted wrong. It
//! takes 20 seconds, or `PIVOT_SOAK_SECONDS`; what it saw is printed with `--nocapture`.
#![allow(missing_docs, clippy::unwrap_used)]

use pivot::CpuBudget;
use pivot_frontend::FrontendOptions;
use pivot_protocol::{from_wire, wire};
use pivot_tests::random::Random;
use pivot_tests::soak::{MemorySamples, RequestLoad, any, quiet_about, seconds};
use pivot_tests::{PATIENCE, TestFrontend};
use std::time::{Duration, Instant};

/// Every event is counted by these, from before the first to after the last.
const CONTROLS: [&str; 2] = [
    "FROM e IN Soak.work GROUP BY e.kind SELECT e.kind, COUNT, SUM(e.n)",
    "FROM e IN Soak.end JOIN w IN Soak.work ON w -> e SELECT COUNT, SUM(w.n)",
];

/// The most queries at once, controls aside.
const MOST: usize = 8;

/// How many of the random queries were taken.
#[derive(Default)]
struct InstallCounts {
    installed: u64,
    refused: u64,
}

impl InstallCounts {
    /// Installs a query that need not compile.
    async fn install(&mut self, frontend: &mut TestFrontend, text: &str) -> Option<u32> {
        let query = frontend.try_install(text).await.query;
        self.installed += u64::from(query.is_some());
        self.refused += u64::from(query.is_none());
        query
    }
}

/// Uninstalls a query and returns its last frame, unless that takes too long.
async fn finish(frontend: &mut TestFrontend, query: u32) -> wire::Frame {
    tokio::time::timeout(PATIENCE, frontend.finish(query)).await.expect("the last frame of a query")
}

/// Waits until an agent has woven a query.
async fn woven(frontend: &mut TestFrontend, query: u32) {
    loop {
        let list = frontend.client.list_queries(wire::ListQueriesRequest {}).await.unwrap().into_inner();
        let found = list.queries.into_iter().find(|found| found.number == query).unwrap();
        if found.agents_woven > 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The numbers of a row, its text aside.
fn numbers(row: &wire::Row) -> Vec<i128> {
    let values = row.values.iter().map(|value| from_wire::value(value.clone()).unwrap());
    values.filter_map(|value| value.as_integer()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn queries_come_and_go_and_nothing_grows_or_is_counted_wrong() {
    quiet_about("attempt to divide by zero");
    // What is kept of queries that are gone is bounded too, but not within a minute.
    let keep_finished = Duration::from_secs(2);
    let options = FrontendOptions { keep_finished, ..Default::default() };
    let mut frontend = TestFrontend::start_with(options).await;

    // Nothing is to be sampled: the control has to be exact.
    let budget = CpuBudget { query: 1e3, all: 1e3 };
    let agent = pivot::builder().process("soak").frontend(frontend.url()).cpu_budget(budget).init().unwrap();
    let mut counts = InstallCounts::default();
    let mut controls = Vec::new();
    for text in CONTROLS {
        let query = counts.install(&mut frontend, text).await.unwrap();
        woven(&mut frontend, query).await;
        controls.push(query);
    }

    let load = RequestLoad::start(2);
    let memory = come_and_go(&mut frontend, &mut counts, seconds(20)).await;
    let done = load.stop();
    let by_kind = finish(&mut frontend, controls[0]).await;
    let joined = finish(&mut frontend, controls[1]).await;
    println!(
        "{} queries installed, {} refused; {} requests with {} events; {memory}",
        counts.installed,
        counts.refused,
        done.requests(),
        done.events()
    );

    let mut counted: Vec<Vec<i128>> = by_kind.cumulative.iter().map(numbers).collect();
    counted.sort();
    let mut expected = done.by_kind();
    expected.sort();
    assert_eq!(counted, expected, "{:?}", by_kind.cumulative_completeness);
    assert_eq!(numbers(&joined.cumulative[0]), done.joined(), "{:?}", joined.cumulative_completeness);
    for frame in [by_kind, joined] {
        let found = frame.cumulative_completeness.unwrap();
        assert!(!found.partial && found.agents_reporting == 1, "{found:?}");
    }
    assert!(counts.installed > 20, "{} queries", counts.installed);
    memory.check(64);
    drop(agent);
    frontend.stop().await;
}

/// Installs and uninstalls random queries for a time; returns the memory of every second.
async fn come_and_go(
    frontend: &mut TestFrontend,
    counts: &mut InstallCounts,
    time: Duration,
) -> MemorySamples {
    let mut random = Random::new(std::process::id().into());
    let (begun, mut memory, mut installed) = (Instant::now(), MemorySamples::default(), Vec::new());

    let mut noted = begun;
    while begun.elapsed() < time {
        for _ in 0..=random.below(3) {
            installed.extend(counts.install(frontend, &any(&mut random)).await);
        }
        tokio::time::sleep(Duration::from_millis(random.below(60) as u64)).await;
        while installed.len() > MOST || (!installed.is_empty() && random.below(3) == 0) {
            let one = installed.swap_remove(random.below(installed.len()));
            // Now and then one is waited for: a busy machine gets fewer queries, not a queue of them.
            if frontend.uninstall(one).await && random.percent(20) {
                finish(frontend, one).await;
            }
        }
        if noted.elapsed() >= Duration::from_secs(1) {
            noted = Instant::now();
            memory.note();
        }
    }

    for query in installed {
        frontend.uninstall(query).await;
    }

    memory
}
