//! Whether the results of a run say what has happened.

use crate::client_host::{count, process, sum};
use crate::run::Outcome;
use crate::schedule::Fault;
use crate::simulated_agent::N;
use crate::simulated_clocks::EPOCH_NS;
use pivot_protocol::wire;
use std::collections::BTreeMap;

/// Nanoseconds in a second.
const SECOND_NS: i64 = 1_000_000_000;

/// Fails unless the results of a run equal what has happened, or say that something is missing.
pub(crate) fn judge(outcome: &Outcome) {
    for query in outcome.world.queries() {
        for process in &outcome.processes {
            judge_total(outcome, query, process);
        }
        judge_windows(outcome, query);
        judge_marks(outcome, query);
    }
}

/// Returns what a failure begins with.
fn what(outcome: &Outcome, query: u32) -> String {
    format!("seed {}, query {query} after {:?}", outcome.seed, outcome.faults)
}

fn rows_by_process(rows: &[wire::Row]) -> BTreeMap<String, u64> {
    rows.iter().map(|row| (process(row), count(row))).collect()
}

/// Compares the result since install of one process.
fn judge_total(outcome: &Outcome, query: u32, process: &str) {
    let what = what(outcome, query);
    let results = outcome.world.results(query);
    let hits = outcome.world.hits(query, process);
    let truth: u64 = hits.values().sum();
    // An agent that is told late that a query has ended goes on, and is waited for no longer than the grace.
    let least: u64 = hits.range(..results.uninstalled_ms).map(|(_, hits)| hits).sum();
    let last = results.last.as_ref().unwrap_or_else(|| panic!("{what}: there is a last result"));
    let lacks = last.cumulative_completeness.as_ref().expect("it says what it lacks");
    last.cumulative.iter().for_each(|row| assert_eq!(sum(row), N * count(row), "{what}"));

    let rows = rows_by_process(&last.cumulative).get(process).copied().unwrap_or(0);
    let what = format!("{what}: {rows} rows of {truth} of {process}, {lacks:?}");
    assert!(rows <= truth, "nothing is counted twice: {what}");
    let shown = results.shown.get(process).copied().unwrap_or(0);
    assert!(shown <= rows, "what was shown stays, and {shown} rows were: {what}");
    assert!(rows >= least || lacks.partial, "what is missing is said: {least} {what}");
    if !outcome.world.is_dead(process) && !results.ended_early {
        assert_eq!(rows, truth, "nothing is missing of a process that lives: {what}");
    }

    let windows = results.windows.values().map(|frame| rows_by_process(&frame.rows));
    let in_windows: u64 = windows.map(|rows| rows.get(process).copied().unwrap_or(0)).sum();
    assert_eq!(in_windows, rows, "windows add up to the result since install: {what}");
}

/// Compares the windows that are said to lack nothing.
fn judge_windows(outcome: &Outcome, query: u32) {
    if !goes_by_true_time(outcome) {
        return;
    }
    let what = what(outcome, query);
    let results = outcome.world.results(query);

    for (start_ns, frame) in &results.windows {
        let rows = rows_by_process(&frame.rows);
        let seconds = (start_ns - EPOCH_NS) / SECOND_NS..(frame.window_end_ns - EPOCH_NS) / SECOND_NS;
        for process in outcome.processes.iter().filter(|process| !outcome.world.is_misplaced(process)) {
            let hits = outcome.world.hits(query, process);
            let milliseconds = seconds.start * 1_000..seconds.end * 1_000;
            let truth: u64 = hits.range(milliseconds).map(|(_, hits)| hits).sum();
            let rows = rows.get(process).copied().unwrap_or(0);
            let lacks = frame.completeness.as_ref().expect("it says what it lacks");
            let what = format!("{what}: {rows} rows of {truth} of {process} in {seconds:?}, {lacks:?}");
            assert!(rows == truth || lacks.partial && rows < truth, "a window has its rows: {what}");
        }
    }
}

/// Whether windows are where true time says: after a failure of the power, they are where the time of day is.
fn goes_by_true_time(outcome: &Outcome) -> bool {
    let steps = outcome.faults.iter().any(|planned| matches!(planned.fault, Fault::StepFrontend { .. }));
    let fails = outcome.faults.iter().any(|planned| matches!(planned.fault, Fault::PowerFailure { .. }));
    !(steps && fails)
}

/// Without a reason nothing is marked.
fn judge_marks(outcome: &Outcome, query: u32) {
    // A query that ends while faults happen is not waited for.
    let results = outcome.world.results(query);
    if !outcome.world.nobody_died() || outcome.world.lapses() > 0 || results.ended_early {
        return;
    }
    let what = what(outcome, query);
    let last = results.last.as_ref().expect("there is a last result");
    let lacks = last.cumulative_completeness.as_ref().expect("it says what it lacks");
    assert!(!lacks.partial || lacks.agents_late > 0, "nothing is partial for nothing: {what}: {lacks:?}");
}
