//! A frontend that is killed at random and started again, over one data directory: as processes.
//!
//! `PIVOT_KILLS=100` kills it more often than the test does by itself; `PIVOT_SEED` sets when.
#![allow(missing_docs, clippy::unwrap_used)]

use pivot_protocol::wire::{self, frontend_client::FrontendClient};
use pivot_tests::random::Random;
use pivot_tests::{PATIENCE, ServerProcess, number_setting, pivot_binary};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tonic::transport::Channel;

/// There is one agent in a process, so the tests take turns.
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

const QUERY: &str = "FROM h IN Durable.hit GROUP BY h.process SELECT h.process, COUNT, SUM(h.n)";

/// Hits the tracepoint on a thread of its own, and counts how often.
struct Hits {
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<u64>,
}

impl Hits {
    fn start() -> Hits {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            let mut hits = 0;
            while !stopped.load(Ordering::Relaxed) {
                pivot::tracepoint!("Durable.hit", n = 2_u64);
                hits += 1;
                std::thread::sleep(Duration::from_micros(500));
            }
            hits
        });
        Hits { stop, thread }
    }

    fn stop(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

async fn install(client: &mut FrontendClient<Channel>, text: &str) -> u32 {
    let request = wire::InstallRequest { text: text.into(), name: "counted".into(), ..Default::default() };
    client.install(request).await.unwrap().into_inner().query.unwrap()
}

/// Reads a query's frames until the last, after a sequence.
async fn frames_after(server: &ServerProcess, query: u32, after_sequence: u64) -> Vec<wire::Frame> {
    let request = wire::ResultsRequest { query, after_sequence, ..Default::default() };
    let mut stream = server.client().await.results(request).await.unwrap().into_inner();
    let mut frames = Vec::new();
    while let Some(frame) = stream.message().await.unwrap() {
        frames.push(frame);
    }
    frames
}

fn number(row: &wire::Row, column: usize) -> u64 {
    match row.values[column].kind {
        Some(wire::value::Kind::U64(number)) => number,
        Some(wire::value::Kind::I64(number)) => number.try_into().unwrap(),
        ref other => panic!("a number, and not {other:?}"),
    }
}

async fn wait_until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !holds().await {
        assert!(Instant::now() < until, "{what}, within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn is_woven() -> bool {
    pivot_agent::statuses().iter().any(|status| status.state == pivot_agent::QueryState::Active)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frontend_that_is_killed_loses_nothing_and_counts_nothing_twice() {
    let _turn = TURN.lock().await;
    let kills = number_setting("PIVOT_KILLS").unwrap_or(4);
    let seed = number_setting("PIVOT_SEED").unwrap_or_else(|| std::process::id().into());
    println!("seed {seed}");
    let mut random = Random::new(seed);

    let mut server = ServerProcess::start().await;
    let agent = pivot::builder().process("durable").frontend(server.url()).init().unwrap();
    let query = install(&mut server.client().await, QUERY).await;
    wait_until("the query is woven", async || is_woven()).await;

    let hits = Hits::start();
    let mut last_read = 0;
    for _ in 0..kills {
        tokio::time::sleep(Duration::from_millis(100 + random.below(1_500) as u64)).await;
        server.kill();
        tokio::time::sleep(Duration::from_millis(random.below(600) as u64)).await;
        server.restart().await;

        // The query is there under its number, and the sequences of its frames go on.
        let mut client = server.client().await;
        let queries = client.list_queries(wire::ListQueriesRequest {}).await.unwrap().into_inner().queries;
        assert_eq!(
            queries.iter().map(|found| (found.number, found.name.as_str())).collect::<Vec<_>>(),
            [(query, "counted")]
        );
        let newest = wire::ResultsRequest { query, after_sequence: last_read, ..Default::default() };
        let mut stream = client.results(newest).await.unwrap().into_inner();
        let frame = tokio::time::timeout(PATIENCE, stream.message()).await.unwrap().unwrap().unwrap();
        assert!(frame.sequence > last_read, "{} after {last_read}", frame.sequence);
        last_read = frame.sequence;
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let truth = hits.stop();
    assert!(agent.flush(PATIENCE), "everything is acknowledged");

    let mut client = server.client().await;
    client.uninstall(wire::UninstallRequest { query }).await.unwrap();
    let frames = frames_after(&server, query, 0).await;
    let last = frames.last().unwrap();
    let counted: Vec<(u64, u64)> =
        last.cumulative.iter().map(|row| (number(row, 1), number(row, 2))).collect();
    assert_eq!((counted, last.last), (vec![(truth, 2 * truth)], true));
    let lacks = last.cumulative_completeness.unwrap();
    assert!(!lacks.partial, "nothing is missing: {lacks:?}");

    // A client that comes after another restart gets the same last frame.
    server.restart().await;
    let again = frames_after(&server, query, last.sequence - 1).await;
    assert_eq!(
        again.iter().map(|frame| (frame.sequence, frame.last)).collect::<Vec<_>>(),
        [(last.sequence, true)]
    );
    assert_eq!(again[0].cumulative, last.cumulative);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_reads_results_goes_on_over_a_restart_and_says_that_it_waited() {
    let _turn = TURN.lock().await;
    let mut server = ServerProcess::start().await;
    let agent = pivot::builder().process("read").frontend(server.url()).init().unwrap();
    let mut command = Command::new(pivot_binary());
    command.args(["--frontend", &server.url(), "-c", QUERY, "--for", "8s", "--format", "json"]);
    let client = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_until("the query is woven", async || is_woven()).await;

    let hits = Hits::start();
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    server.kill();
    tokio::time::sleep(Duration::from_millis(300)).await;
    server.restart().await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let truth = hits.stop();

    let output = client.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    assert!(stderr.contains("waiting for it") && stderr.contains("is back"), "{stderr}");
    let stdout = String::from_utf8_lossy(&output.stdout);
    let total: serde_json::Value = serde_json::from_str(stdout.lines().last().unwrap()).unwrap();
    assert_eq!((&total["final"], &total["rows"][0]["COUNT"]), (&true.into(), &truth.into()), "{stderr}");
    assert_eq!(total["completeness"]["partial"], false);
    drop(agent);
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_that_begin_requests_are_named_over_a_restart() {
    let mut server = ServerProcess::start().await;
    run_at_prompt(&server, r"\carriers app::*::handle");

    server.restart().await;
    let listed = run_at_prompt(&server, r"\carriers");
    assert!(listed.contains("app::*::handle"), "{listed}");
}

/// Runs a command of the prompt, and returns its output.
fn run_at_prompt(server: &ServerProcess, command: &str) -> String {
    let mut pivot = Command::new(pivot_binary());
    let output = pivot.args(["--frontend", &server.url(), "-c", command]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
