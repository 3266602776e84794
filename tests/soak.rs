//! Queries come and go at a frontend, under load: nothing grows, nothing breaks, nothing is counted wrong. It
//! takes 20 seconds, or `PIVOT_SOAK_SECONDS`; what it saw is printed with `--nocapture`.
#![allow(missing_docs, clippy::unwrap_used)]

use pivot::CpuBudget;
use pivot_protocol::wire::frontend_client::FrontendClient;
use pivot_protocol::{from_wire, wire};
use pivot_tests::random::Random;
use pivot_tests::soak::{Load, Memory, any, quiet_about, seconds};
use std::time::{Duration, Instant};
use tonic::transport::Channel;

/// Far beyond what anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Every event is counted by these, from before the first to after the last.
const CONTROLS: [&str; 2] = [
    "FROM e IN Soak.work GROUP BY e.kind SELECT e.kind, COUNT, SUM(e.n)",
    "FROM e IN Soak.end JOIN w IN Soak.work ON w -> e SELECT COUNT, SUM(w.n)",
];

/// The most queries at once, controls aside.
const MOST: usize = 8;

struct Frontend {
    client: FrontendClient<Channel>,
    installed: u64,
    refused: u64,
}

impl Frontend {
    async fn install(&mut self, text: &str) -> Option<u32> {
        let request = wire::InstallRequest { text: text.into(), ..Default::default() };
        let answer = self.client.install(request).await.unwrap().into_inner();
        self.installed += u64::from(answer.query.is_some());
        self.refused += u64::from(answer.query.is_none());
        answer.query
    }

    /// One whose time was over may be gone by now.
    async fn uninstall(&mut self, query: u32) -> bool {
        self.client.uninstall(wire::UninstallRequest { query }).await.is_ok()
    }

    /// Uninstalls a query and gives its last frame.
    async fn finish(&mut self, query: u32) -> wire::Frame {
        assert!(self.uninstall(query).await);
        let request = wire::ResultsRequest { query, after_sequence: 0, ..Default::default() };
        let mut frames = self.client.results(request).await.unwrap().into_inner();

        let last = async {
            let mut last = None;
            while let Some(frame) = frames.message().await.unwrap() {
                last = Some(frame);
            }
            last.unwrap()
        };

        tokio::time::timeout(PATIENCE, last).await.expect("the last frame of a query")
    }

    async fn woven(&mut self, query: u32) {
        loop {
            let list = self.client.list_queries(wire::ListQueriesRequest {}).await.unwrap().into_inner();
            let found = list.queries.into_iter().find(|found| found.number == query).unwrap();
            if found.agents_woven > 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// The numbers of a row, its text aside.
fn numbers(row: &wire::Row) -> Vec<i128> {
    let values = row.values.iter().map(|value| from_wire::value(value.clone()).unwrap());
    values.filter_map(|value| value.as_integer()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn queries_come_and_go_and_nothing_grows_or_is_counted_wrong() {
    let listen = "127.0.0.1:0".parse().unwrap();
    // What is kept of queries that are gone is bounded too, but not within a minute.
    let keep_finished = Duration::from_secs(2);
    let options = pivot_frontend::FrontendOptions { listen, keep_finished, ..Default::default() };
    let running = pivot_frontend::start(options).await.unwrap();
    let url = format!("http://{}", running.address());
    quiet_about("attempt to divide by zero");
    // Nothing is to be sampled: the control has to be exact.
    let budget = CpuBudget { query: 1e3, all: 1e3 };
    let agent = pivot::builder().process("soak").frontend(&url).cpu_budget(budget).init().unwrap();
    let client = FrontendClient::connect(url).await.unwrap();
    let mut frontend = Frontend { client, installed: 0, refused: 0 };
    let mut controls = Vec::new();
    for text in CONTROLS {
        let query = frontend.install(text).await.unwrap();
        frontend.woven(query).await;
        controls.push(query);
    }
    let load = Load::start(2);
    let memory = come_and_go(&mut frontend, seconds(20)).await;
    let done = load.stop();
    let (by_kind, joined) = (frontend.finish(controls[0]).await, frontend.finish(controls[1]).await);
    println!(
        "{} queries installed, {} refused; {} requests with {} events; {memory}",
        frontend.installed,
        frontend.refused,
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
    assert!(frontend.installed > 20, "{} queries", frontend.installed);
    memory.check(64);
    drop(agent);
    running.stop().await;
}

/// Installs and uninstalls random queries; gives the memory of every second.
async fn come_and_go(frontend: &mut Frontend, time: Duration) -> Memory {
    let mut random = Random::new(std::process::id().into());
    let (begun, mut memory, mut installed) = (Instant::now(), Memory::default(), Vec::new());

    let mut noted = begun;
    while begun.elapsed() < time {
        for _ in 0..=random.below(3) {
            installed.extend(frontend.install(&any(&mut random)).await);
        }
        tokio::time::sleep(Duration::from_millis(random.below(60) as u64)).await;
        while installed.len() > MOST || (!installed.is_empty() && random.below(3) == 0) {
            let one = installed.swap_remove(random.below(installed.len()));
            // Now and then one is waited for: a busy machine gets fewer queries, not a queue of them.
            if frontend.uninstall(one).await && random.percent(20) {
                frontend.finish(one).await;
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
