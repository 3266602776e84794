//! No process and no file outlives the supervisor, however it ends.
#![allow(clippy::unwrap_used, missing_docs, unreachable_pub, dead_code)]

mod harness;

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use harness::{NO_FRONTEND, is_running, plan, start, wait_until};
use pivot_store::{ClusterProcess, ProcessRole};

/// Starts a supervisor in a process of its own. Returns it, the ids of its children, and its folder.
fn supervisor() -> (Child, Vec<u32>, PathBuf) {
    let small = ["--block-bytes=65536", "--get-bytes=65536", "--scan-bytes=1048576", "--sort-bytes=65536"];
    let mut child = Command::new(env!("CARGO_BIN_EXE_store"))
        .args(["cluster", "--frontend", NO_FRONTEND])
        .args(small)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();

    let mut pids = Vec::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap) {
        if let Some(folder) = line.strip_prefix("ready ") {
            return (child, pids, folder.into());
        }
        pids.push(line.split(' ').nth(3).unwrap().parse().unwrap());
    }
    panic!("the supervisor ended before it was ready: {:?}", child.wait());
}

/// Ends a supervisor with a signal, and checks that all its children and files go.
fn check_signal(signal: &str) {
    let (mut child, pids, folder) = supervisor();
    assert_eq!(pids.len(), 9);
    assert!(pids.iter().all(|pid| is_running(*pid)));

    let id = child.id().to_string();
    assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    child.wait().unwrap();

    wait_until(|| !pids.iter().any(|pid| is_running(*pid)));
    wait_until(|| !folder.exists());
}

#[test]
fn nothing_outlives_a_supervisor_killed_without_mercy() {
    check_signal("-KILL");
}

#[test]
fn nothing_outlives_a_supervisor_interrupted_at_the_terminal() {
    check_signal("-INT");
}

#[test]
fn nothing_outlives_a_dropped_cluster() {
    let cluster = start(plan(&[ProcessRole::Get, ProcessRole::Stress]));
    let pids: Vec<u32> = cluster.members().iter().map(ClusterProcess::pid).collect();
    let folder = cluster.folder().to_owned();
    assert!(pids.iter().all(|pid| is_running(*pid)));
    drop(cluster);
    assert!(!pids.iter().any(|pid| is_running(*pid)));
    assert!(!folder.exists());
}

#[test]
fn nothing_outlives_a_panic_in_the_supervisor() {
    let (sender, receiver) = std::sync::mpsc::channel();
    let panicked = std::thread::spawn(move || {
        let cluster = start(plan(&[ProcessRole::Get]));
        sender.send(cluster.members().iter().map(ClusterProcess::pid).collect::<Vec<_>>()).unwrap();
        panic!("on purpose");
    })
    .join();
    assert!(panicked.is_err());
    assert!(!receiver.recv().unwrap().iter().any(|pid| is_running(*pid)));
}

#[test]
fn an_orphan_does_not_wait_for_an_answer() {
    // A name node that takes connections and never answers: the first operation of the client never ends.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let folder = std::env::temp_dir().join(format!("pivot-store-orphan-{}", std::process::id()));
    let mut child = Command::new(env!("CARGO_BIN_EXE_store"))
        .args(["get", "--name", "app-1", "--supervised", "--frontend", NO_FRONTEND])
        .args(["--name-node", &silent.local_addr().unwrap().to_string(), "--data-dir"])
        .arg(&folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();

    let ready = BufReader::new(child.stdout.take().unwrap()).lines().next();
    assert_eq!(ready.unwrap().unwrap(), "ready");

    // The operation is under way when its connection has come.
    silent.accept().unwrap();
    drop(child.stdin.take());

    let begun = Instant::now();
    child.wait().unwrap();
    // A single call is waited for ten seconds, an operation is several.
    assert!(begun.elapsed() < Duration::from_secs(10), "it waited for {:?}", begun.elapsed());
    assert!(!folder.exists());
}

#[test]
fn a_folder_with_files_in_it_is_not_taken() {
    let folder = std::env::temp_dir().join(format!("pivot-store-taken-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("precious"), b"kept").unwrap();

    let plan = pivot_store::ClusterPlan { data_dir: Some(folder.clone()), ..plan(&[]) };
    assert!(pivot_store::Cluster::start(plan, |_, _| Command::new("false")).is_err());

    assert!(folder.join("precious").exists());
    std::fs::remove_dir_all(folder).unwrap();
}
