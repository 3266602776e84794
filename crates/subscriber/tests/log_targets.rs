//! Targets of `log` that are made as the program runs.
#![allow(missing_docs, clippy::unwrap_used)]

mod harness;

use harness::{emit, rows};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

static WARNINGS: Mutex<Vec<String>> = Mutex::new(Vec::new());
static LINES: AtomicU64 = AtomicU64::new(0);

struct Own;

impl log::Log for Own {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.level() <= log::Level::Info
    }
    fn log(&self, record: &log::Record<'_>) {
        LINES.fetch_add(1, SeqCst);
        if record.target() == "pivot_subscriber" {
            WARNINGS.lock().unwrap().push(record.args().to_string());
        }
    }
    fn flush(&self) {}
}

/// Returns how much memory the process has, in KiB.
fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

mod inner {
    pub(crate) fn say() {
        log::debug!("with the module's path as target");
    }
}

#[test]
fn targets_made_at_run_time_share_a_tracepoint_beyond_a_limit() {
    pivot_subscriber::log::install(Own).unwrap();
    let say = |connection: u64| log::debug!(target: &format!("connection-{connection}"), "read");
    let tracepoints = || pivot_agent::catalogue().len();

    (0..2_000).for_each(say);
    let (before, known) = (memory(), tracepoints());
    (2_000..100_000).for_each(say);
    (2_000..100_000).for_each(|n| assert!(!ask_for(n) || n < 2_003));
    assert_eq!(tracepoints(), known, "no tracepoint for each of them");
    assert!(known <= 1_002, "{known}");
    assert!(memory() - before < 4_096, "{} KiB more", memory() - before);
    assert_eq!(WARNINGS.lock().unwrap().len(), 1, "said once");

    // Each record beyond the limit is an event, with its own target; those of modules have their own tracepoints.
    let queries = [("log::other", 1), ("connection-3::log", 2), ("log_targets::inner::log", 3)];
    inner::say();
    let advice = queries.map(|(tracepoint, number)| {
        let mut advice = emit(tracepoint, &["target"]);
        advice.query.number = number;
        advice
    });
    assert_eq!(pivot_agent::weave(&advice), []);
    say(99_999);
    say(3);
    inner::say();
    assert_eq!(rows(), ["connection-3", "connection-99999", "log_targets::inner"]);
    assert_eq!(LINES.load(SeqCst), 1, "the application's logger gets what it wants");
}

/// A check alone makes no target known either.
fn ask_for(connection: u64) -> bool {
    log::log_enabled!(target: &format!("connection-{connection}"), log::Level::Debug)
}
