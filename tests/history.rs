//! The windows of a frontend that is killed at random, as processes: none is missing from its history, and none is there
//! twice, whether it is in the store or in files that were put and merged meanwhile.
//!
//! `PIVOT_KILLS=100` kills it more often than the test does by itself; `PIVOT_SEED` sets when.
#![allow(missing_docs, clippy::unwrap_used)]

use pivot_protocol::wire::{self, frontend_client::FrontendClient};
use pivot_tests::random::Random;
use pivot_tests::{PATIENCE, ServerProcess, number_setting, pivot_binary};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tonic::transport::Channel;

const QUERY: &str = "FROM h IN History.hit GROUP BY h.k SELECT h.k, COUNT, SUM(h.n), P99(h.n) AS p HAVING COUNT > 0 EVERY 100ms";

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
                pivot::tracepoint!("History.hit", n = 2_u64, k = hits % 3);
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

/// The sum of a column over all rows of frames.
fn total(frames: &[wire::Frame], column: usize) -> u64 {
    let rows = frames.iter().flat_map(|frame| &frame.rows);
    rows.map(|row| match row.values[column].kind {
        Some(wire::value::Kind::U64(number)) => number,
        Some(wire::value::Kind::I64(number)) => number.try_into().unwrap(),
        ref other => panic!("a number, and not {other:?}"),
    })
    .sum()
}

async fn read(client: &mut FrontendClient<Channel>, request: wire::ReadHistoryRequest) -> Vec<wire::Frame> {
    let mut stream = client.read_history(request).await.unwrap().into_inner();
    let mut frames = Vec::new();
    while let Some(frame) = stream.message().await.unwrap() {
        frames.push(frame);
    }
    frames
}

async fn kept(client: &mut FrontendClient<Channel>) -> Vec<wire::KeptQuery> {
    client.list_history(wire::ListHistoryRequest {}).await.unwrap().into_inner().queries
}

async fn wait_until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !holds().await {
        assert!(Instant::now() < until, "{what}, within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Runs a command of the prompt, and returns what it prints.
fn command(server: &ServerProcess, text: &str) -> String {
    let output =
        Command::new(pivot_binary()).args(["--frontend", &server.url(), "-c", text]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_window_is_kept_once_however_often_the_frontend_is_killed() {
    let kills = number_setting("PIVOT_KILLS").unwrap_or(6);
    let seed = number_setting("PIVOT_SEED").unwrap_or_else(|| std::process::id().into());
    println!("seed {seed}");
    let mut random = Random::new(seed);

    // Files are put, and merged, as fast as can be.
    let mut server = ServerProcess::start_with(&["--history-file-after", "200ms"]).await;
    let agent = pivot::builder().process("history").frontend(server.url()).init().unwrap();
    let mut client = server.client().await;
    let install = wire::InstallRequest { text: QUERY.into(), name: "hits".into(), ..Default::default() };
    let query = client.install(install).await.unwrap().into_inner().query.unwrap();
    let is_woven =
        || pivot_agent::statuses().iter().any(|status| status.state == pivot_agent::QueryState::Active);
    wait_until("the query is woven", async || is_woven()).await;

    let hits = Hits::start();
    for _ in 0..kills {
        tokio::time::sleep(Duration::from_millis(300 + random.below(2_500) as u64)).await;
        server.kill();
        tokio::time::sleep(Duration::from_millis(random.below(300) as u64)).await;
        server.restart().await;
    }
    let truth = hits.stop();
    assert!(agent.flush(PATIENCE), "everything is acknowledged");
    let mut client = server.client().await;
    client.uninstall(wire::UninstallRequest { query }).await.unwrap();
    let mut frames =
        client.results(wire::ResultsRequest { query, ..Default::default() }).await.unwrap().into_inner();
    while frames.message().await.unwrap().is_some() {}

    // As one result, by steps, and window by window.
    let all = wire::ReadHistoryRequest { query, from_ns: i64::MIN, ..Default::default() };
    let whole = read(&mut client, all).await;
    assert_eq!((whole.len(), total(&whole, 1), total(&whole, 2)), (1, truth, 2 * truth));
    let lacks = whole[0].completeness.as_ref().unwrap();
    assert!(!lacks.partial, "nothing is missing: {lacks:?}");
    for step_ns in [100_000_000, 1_000_000_000] {
        let steps = read(&mut client, wire::ReadHistoryRequest { step_ns, ..all }).await;
        assert!(steps.is_sorted_by_key(|frame| frame.window_start_ns) && steps.len() > 1);
        assert_eq!((total(&steps, 1), total(&steps, 2)), (truth, 2 * truth));
    }

    // Windows go into files, and stay what they are, also when the query is forgotten.
    wait_until("all windows are in files", async || {
        let kept = kept(&mut client).await;
        kept.len() == 1 && kept[0].files > 0 && !kept[0].installed
    })
    .await;
    server.restart().await;
    let mut client = server.client().await;
    assert_eq!(total(&read(&mut client, all).await, 1), truth);
    let listed = command(&server, "\\history");
    assert!(listed.contains("hits") && listed.contains("ended"), "{listed}");
    let printed = command(&server, "\\history hits 1h");
    assert!(printed.contains("hits, ") && printed.contains("SUM(h.n)"), "{printed}");
    assert!(command(&server, "\\history drop hits").contains("forgotten"));
    assert!(kept(&mut client).await.is_empty());
}
