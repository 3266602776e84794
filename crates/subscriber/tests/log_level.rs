//! Which records of `log` are made at all, as one application sees it: one test, since the level is one for the process.
#![allow(missing_docs, clippy::unwrap_used)]

mod harness;

use harness::{emit, rows};
use log::{LevelFilter, Log};
use pivot_advice::{Advice, BinaryOperator, Expr, Instruction, Value};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// A logger that leaves the level to `log`, as some do.
struct Own;

impl Log for Own {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }
    fn log(&self, record: &log::Record<'_>) {
        LINES.lock().unwrap().push(record.args().to_string());
    }
    fn flush(&self) {}
}

fn lines() -> Vec<String> {
    std::mem::take(&mut LINES.lock().unwrap())
}

/// Returns how many of 20,000 records beyond the application's level are made.
fn made() -> u32 {
    let mut made = 0;
    let mut text = || {
        made += 1;
        made
    };
    for _ in 0..20_000 {
        log::debug!(target: "flood", "{}", text());
    }
    made
}

/// Returns how many of 2,000 records of the most verbose level are made.
fn traced() -> u32 {
    let mut made = 0;
    for _ in 0..2_000 {
        log::trace!(target: "flood", "{}", {
            made += 1;
            made
        });
    }
    made
}

/// Returns advice that emits the level of records that have this one.
fn emit_of_level(tracepoint: &str, level: &str) -> Advice {
    let mut advice = emit(tracepoint, &["level"]);
    let condition = Expr::binary(BinaryOperator::Equal, Expr::Column(0), Expr::Literal(Value::str(level)));
    advice.instructions.insert(1, Instruction::Filter { expr: condition });
    advice
}

/// Ends a burst.
fn end_burst() {
    made();
    std::thread::sleep(Duration::from_millis(10));
    made();
    assert_eq!(made(), 0);
}

fn known(tracepoint: &str) -> bool {
    pivot_agent::catalogue().iter().any(|exports| exports.tracepoint == tracepoint)
}

#[test]
fn records_beyond_the_applications_level_are_made_while_somebody_wants_them() {
    log::set_max_level(LevelFilter::Info);
    pivot_subscriber::log::install(Own).unwrap();
    log::info!(target: "shown", "line");
    log::debug!(target: "found", "beyond");
    assert!(known("shown::log") && known("found::log") && lines() == ["line"]);

    // A burst is short, and begins again each second while there is an agent.
    assert!(made() <= 1_001);
    end_burst();
    assert_eq!(log::max_level(), LevelFilter::Info);
    log::debug!(target: "late", "beyond");
    assert!(!known("late::log"));
    pivot_agent::govern(&BTreeMap::new(), 1);
    log::debug!(target: "late", "beyond");
    assert!(known("late::log"));
    end_burst();

    // Woven, everything gets here, and the application's logger what it wants.
    pivot_agent::weave(&[emit("late::log", &["message"])]);
    assert_eq!(made(), 20_000);
    (0..3).for_each(|n| log::trace!(target: "late", "{n}"));
    assert_eq!((rows(), lines().len()), (["0", "1", "2"].map(String::from).to_vec(), 0));
    pivot_agent::weave(&[]);
    end_burst();

    // A query that wants one level has no others made, whatever their targets.
    for (wanted, level) in [("WARN", LevelFilter::Info), ("DEBUG", LevelFilter::Debug)] {
        pivot_agent::weave(&[emit_of_level("late::log", wanted)]);
        traced();
        std::thread::sleep(Duration::from_millis(10));
        traced();
        assert_eq!((log::max_level(), traced()), (level, 0), "{wanted}");
        log::warn!(target: "late", "line");
        log::debug!(target: "late", "beyond");
        assert_eq!((rows(), lines()), (vec![wanted.to_owned()], vec!["line".to_owned()]));
    }
    pivot_agent::weave(&[]);
    end_burst();

    // A level that the application sets later is its own from then on.
    log::set_max_level(LevelFilter::Debug);
    pivot_agent::govern(&BTreeMap::new(), 1);
    log::debug!(target: "late", "shown now");
    log::trace!(target: "late", "beyond");
    assert_eq!(lines(), ["shown now"]);
    pivot_agent::stop_governing();
}
