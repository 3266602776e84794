//! A frontend that stops answering for longer than the lease of its queries, and comes back: as processes.
#![allow(missing_docs, clippy::unwrap_used)]

use pivot_tests::{PATIENCE, SECOND_NS, now_ns, pivot_binary};
use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// A process whose standard output is read; ended when dropped.
struct Process {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Process {
    fn pivot(arguments: &[&str]) -> Process {
        let mut command = Command::new(pivot_binary());
        let command = command.args(arguments).env_remove("PIVOT_FRONTEND");
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Process { child, output }
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        (self.output.read_line(&mut line).unwrap() > 0).then_some(line)
    }

    fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Hits the tracepoint until something has happened.
fn hit_until(what: &str, come: impl Fn() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !come() {
        assert!(Instant::now() < until, "{what} within {PATIENCE:?}");
        pivot::tracepoint!("Lease.hit");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn hit_for(ns: i64) {
    let until = now_ns() + ns;
    hit_until("time passes", || now_ns() >= until);
}

/// What is said of a window at last.
#[derive(Debug)]
struct Told {
    start: String,
    rows: bool,
    partial: bool,
    away_ns: i64,
}

/// The newest revision of each window, and what is said of all together.
fn told(output: &mut Process) -> (Vec<Told>, Told) {
    let mut windows: Vec<Told> = Vec::new();
    while let Some(line) = output.line() {
        let frame: serde_json::Value = serde_json::from_str(&line).unwrap();
        let found = &frame["completeness"];
        let told = Told {
            start: frame["window"]["start"].as_str().unwrap().to_owned(),
            rows: !frame["rows"].as_array().unwrap().is_empty(),
            partial: found["partial"].as_bool().unwrap(),
            away_ns: found["away_ns"].as_i64().unwrap(),
        };
        if frame["final"] == true {
            return (windows, told);
        }
        windows.retain(|window| window.start != told.start);
        windows.push(told);
    }

    panic!("the output ended before the final result");
}

#[test]
fn windows_in_which_a_lease_had_lapsed_are_partial_when_the_frontend_is_back() {
    let mut server = Process::pivot(&["server", "--data", "none", "--listen", "127.0.0.1:0"]);
    let line = server.line().unwrap();
    let url = line.split_whitespace().find(|word| word.starts_with("http://")).unwrap();
    let url = url.trim_end_matches(',');
    let agent = pivot::builder().process("leased").frontend(url).lease(Duration::from_millis(1_200));
    let _agent = agent.init().unwrap();
    let query = [
        "--frontend",
        url,
        "-c",
        "FROM h IN Lease.hit GROUP BY h.process SELECT h.process, COUNT",
        "--format",
    ];
    let mut windows = Process::pivot(&[&query[..], &["json"]].concat());
    let mut tables = Process::pivot(&[&query[..], &["table"]].concat());
    let active = |status: &pivot_agent::QueryStatus| status.state == pivot_agent::QueryState::Active;
    let woven = || pivot_agent::statuses().iter().filter(|status| active(status)).count() == 2;
    hit_until("both queries are woven", woven);
    hit_for(SECOND_NS);

    server.signal("-STOP");
    hit_until("the lease lapses", || pivot_agent::suspended_queries().len() == 2);
    let unwoven = now_ns();
    hit_for(2 * SECOND_NS);
    let back = now_ns();
    server.signal("-CONT");
    hit_until("both queries are woven again", woven);
    hit_for(2 * SECOND_NS);
    windows.signal("-INT");
    tables.signal("-INT");

    let (windows, total) = told(&mut windows);
    assert!(windows.first().is_some_and(|first| first.rows), "{windows:?}");
    assert!(windows.last().is_some_and(|last| last.rows && !last.partial), "{windows:?}");
    let away: Vec<&Told> = windows.iter().filter(|window| window.away_ns > 0).collect();
    assert!(away.iter().all(|window| window.partial), "{windows:?}");
    assert!(away.iter().any(|window| !window.rows), "a window that it covers all of: {windows:?}");
    // None of them is left out.
    assert!(away.iter().map(|window| window.away_ns).sum::<i64>() >= back - unwoven, "{windows:?}");
    assert!(total.partial && total.away_ns >= back - unwoven, "{total:?}");
    let mut shown = Vec::new();
    while let Some(line) = tables.line() {
        shown.push(line);
    }
    let is_said = |line: &&String| line.contains("  partial: not run for ");
    assert!(shown.iter().filter(is_said).count() > away.len(), "each window and the total: {shown:?}");
}
