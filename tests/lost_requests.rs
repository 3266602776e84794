//! Results of a join whose events lost their request say how many did, and where they ran: a real agent and frontend,
//! and the `pivot` command as a process.
#![allow(missing_docs, clippy::unwrap_used)]

use pivot_tests::{PATIENCE, TestFrontend, pivot_binary};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};
use tracing::info_span;
use tracing_subscriber::Registry;

fn write(n: u64) {
    pivot::tracepoint!("Lost.write", n: u64 = n);
}

fn append() {
    pivot::tracepoint!("Lost.append");
}

/// Hands jobs to a thread that does each in a span, as a library does with a queue of its own.
fn queue() -> (mpsc::Sender<()>, thread::JoinHandle<()>) {
    let (jobs, received) = mpsc::channel();
    let core = move || received.iter().for_each(|()| info_span!("append").in_scope(append));
    (jobs, thread::Builder::new().name("raft-core".to_owned()).spawn(core).unwrap())
}

/// Runs a query of the command for a while, and returns what it prints. Meanwhile `work` runs again and again.
fn pivot(url: &str, format: &str, query: &str, work: impl Fn()) -> String {
    let arguments = ["--frontend", url, "--for", "3s", "--format", format, "-c", query];
    let mut command = Command::new(pivot_binary());
    let mut child = command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    while child.try_wait().unwrap().is_none() {
        work();
        thread::sleep(Duration::from_millis(10));
    }
    String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_result_names_the_span_and_the_thread_where_a_request_was_lost() {
    let subscriber = pivot_subscriber::SubscriberBridge::new(Registry::default());
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let mut frontend = TestFrontend::start().await;
    let agent = pivot::builder().process("raft").frontend(frontend.url()).init().unwrap();
    let (jobs, core) = queue();
    let url = frontend.url();

    // Each request writes, and its job is done by a thread that knows nothing of it.
    let request = || {
        let _request = pivot_baggage::enter_request(None);
        write(1);
        jobs.send(()).unwrap();
    };
    let join = "FROM a IN Lost.append JOIN w IN Lost.write ON w -> a SELECT COUNT";
    let named = "rows had no request: Lost.append in span `append`, thread `raft-core`";
    let table = pivot(&url, "table", join, request);
    assert!(table.lines().any(|line| line.ends_with(named)), "{table}");
    assert!(!table.contains("partial"), "{table}");

    let json = pivot(&url, "ndjson", join, request);
    let last: serde_json::Value = serde_json::from_str(json.lines().last().unwrap()).unwrap();
    let (lost, place) = (&last["completeness"]["without_request"], &last["completeness"]["outside"][0]);
    assert!(lost.as_u64().unwrap() > 0 && *lost == place["events"], "{last}");
    let names = [&place["side"], &place["tracepoint"], &place["span"], &place["thread"]];
    assert_eq!(names, ["unpacks", "Lost.append", "append", "raft-core"]);

    // The first side has no request either: it cannot match, and both say where.
    let outside = || {
        write(1);
        jobs.send(()).unwrap();
    };
    let table = pivot(&url, "table", join, outside);
    assert!(table.lines().any(|line| line.ends_with(named)), "{table}");
    let packed = "tuples packed outside any request: Lost.write in thread `";
    assert!(table.contains(packed) && table.contains("partial"), "{table}");

    // Nobody asks for a request here.
    let table = pivot(&url, "table", "FROM a IN Lost.append SELECT COUNT", outside);
    assert!(!table.contains("request"), "{table}");

    // What is listed of a query says it too, and that such a join cannot match.
    let query = frontend.install(join).await;
    let until = Instant::now() + PATIENCE;
    let mut listed = String::new();
    while !(listed.contains(named) && listed.contains("the join cannot match")) {
        assert!(Instant::now() < until, "{listed}");
        listed = pivot(&url, "table", &format!("\\dq {query}"), outside);
    }
    frontend.finish(query).await;

    drop((jobs, agent));
    core.join().unwrap();
    frontend.stop().await;
}
