//! Windows of an agent whose clocks do what clocks do, against the frontend's time.

use crate::frontend_clock::{ClockExchange, FrontendClock, PlacingChange};
use pivot_advice::QueryId;
use pivot_agent::{QueryReport, QueryReports, Report, Reporter};
use std::collections::BTreeMap;

const MS: i64 = 1_000_000;
const SECOND: i64 = 1_000 * MS;
const MINUTE: i64 = 60 * SECOND;
/// The frontend's time when the agent starts.
const EPOCH: i64 = 1_000_000 * SECOND;
const QUERY: QueryId = QueryId { frontend: 1, number: 1 };
/// How long an agent runs.
const LENGTH_MS: i64 = 120_000;

/// The clocks of a machine, by the milliseconds since the agent started.
#[derive(Clone, Copy)]
struct Clocks {
    /// The steady clock of the agent.
    steady_ns: fn(i64) -> i64,
    /// The time of day of the agent's machine.
    wall_ns: fn(i64) -> i64,
    /// The frontend's time.
    frontend_ns: fn(i64) -> i64,
    /// How long a message takes to the frontend and back.
    there_ms: i64,
    back_ms: i64,
}

const RIGHT: Clocks = Clocks {
    steady_ns: |ms| ms * MS,
    wall_ns: |ms| EPOCH + ms * MS,
    frontend_ns: |ms| EPOCH + ms * MS,
    there_ms: 1,
    back_ms: 1,
};

/// The rows of each window as they should be, and as they were reported, and what was reported.
struct Outcome {
    truth: BTreeMap<i64, u64>,
    reported: BTreeMap<i64, u64>,
    reports: Vec<Report>,
}

impl Outcome {
    /// Returns the number of rows that are in another window than they should be.
    fn misplaced(&self) -> u64 {
        let starts = self.truth.keys().chain(self.reported.keys());
        let surplus = starts.map(|start| {
            let (truth, reported) = (self.truth.get(start), self.reported.get(start));
            reported.unwrap_or(&0).saturating_sub(*truth.unwrap_or(&0))
        });
        surplus.sum::<u64>() / 2
    }
}

/// Runs an agent with a row each millisecond, and windows of a second.
fn run(clocks: Clocks) -> Outcome {
    let mut clock = FrontendClock::new((clocks.steady_ns)(0), (clocks.wall_ns)(0));
    let mut reporter = Reporter::new(SECOND, clock.now_ns((clocks.steady_ns)(0)));
    let (mut answers, mut rows): (BTreeMap<i64, ClockExchange>, u64) = (BTreeMap::new(), 0);
    let mut truth = BTreeMap::new();

    for ms in 0..LENGTH_MS {
        let steady_ns = (clocks.steady_ns)(ms);
        if let Some(exchange) = answers.remove(&ms) {
            let exchange = ClockExchange { heard_ns: steady_ns, ..exchange };
            if clock.measure(exchange) == PlacingChange::Begun {
                reporter.place_unseen(clock.now_ns(steady_ns));
            }
        }

        let is_end = clock.now_ns(steady_ns) >= reporter.boundary_ns();
        if is_end {
            cut(&mut reporter, clock.now_ns(steady_ns), &mut rows);
        }
        if ms == 0 || (is_end && clock.asks(steady_ns, (clocks.wall_ns)(ms))) {
            let received_ns = (clocks.frontend_ns)(ms + clocks.there_ms);
            let heard_at = ms + clocks.there_ms + clocks.back_ms;
            let asked = ClockExchange { asked_ns: steady_ns, heard_ns: 0, received_ns, sent_ns: received_ns };
            answers.insert(heard_at, asked);
        }
        // Nothing is woven before the frontend has answered.
        if clock.is_known() {
            rows += 1;
            let now_ns = (clocks.frontend_ns)(ms);
            *truth.entry(now_ns - now_ns.rem_euclid(SECOND)).or_default() += 1;
        }
    }
    cut(&mut reporter, clock.now_ns((clocks.steady_ns)(LENGTH_MS)), &mut rows);

    let reports: Vec<Report> = reports(&mut reporter);
    let mut reported = BTreeMap::new();
    for report in &reports {
        let rows: u64 = report.parts.values().map(|part| part.emitted).sum();
        *reported.entry(report.window_start_ns).or_default() += rows;
    }
    Outcome { truth, reported, reports }
}

fn cut(reporter: &mut Reporter, now_ns: i64, rows: &mut u64) {
    let mut part = QueryReport::empty();
    part.emitted = std::mem::take(rows);
    reporter.cut(now_ns, QueryReports::from([(QUERY, part)]));
}

fn reports(reporter: &mut Reporter) -> Vec<Report> {
    let mut reports = Vec::new();
    loop {
        let sent: Vec<Report> = reporter.unsent().cloned().collect();
        let Some(last) = sent.last() else { return reports };
        reporter.acknowledge(last.sequence);
        reports.extend(sent);
    }
}

/// Checks that all rows are reported, that windows follow each other, and that at most so many rows are in a wrong one.
fn check(what: &str, clocks: Clocks, most_misplaced: u64) {
    let outcome = run(clocks);
    let total: u64 = outcome.truth.values().sum();
    assert!(total > 110_000, "{what}");
    assert_eq!(outcome.reported.values().sum::<u64>(), total, "{what}: the sum is exact");
    assert!(outcome.misplaced() <= most_misplaced, "{what}: {} are misplaced", outcome.misplaced());

    let mut promised_ns = i64::MIN;
    for report in &outcome.reports {
        assert_eq!(report.window_end_ns - report.window_start_ns, SECOND, "{what}");
        assert!(report.watermark_ns >= promised_ns, "{what}: a watermark never falls");
        assert!(
            report.window_end_ns > promised_ns,
            "{what}: no row of a window that was promised to be over"
        );
        promised_ns = report.watermark_ns;
    }
}

#[test]
fn a_clock_that_is_wrong_or_jumps_moves_no_row() {
    check("right", RIGHT, 200);
    check("an hour ahead", Clocks { wall_ns: |ms| EPOCH + ms * MS + 60 * MINUTE, ..RIGHT }, 200);
    check("an hour behind", Clocks { wall_ns: |ms| EPOCH + ms * MS - 60 * MINUTE, ..RIGHT }, 200);
    let back = |ms| EPOCH + ms * MS - if ms > 30_000 { 10 * MINUTE } else { 0 };
    check("set back", Clocks { wall_ns: back, ..RIGHT }, 200);
    let forward = |ms| EPOCH + ms * MS + if ms > 30_000 { 10 * MINUTE } else { 0 };
    check("set forward", Clocks { wall_ns: forward, ..RIGHT }, 200);
}

#[test]
fn drift_and_delays_are_made_up_for() {
    let fast = |ms| ms * MS + ms * MS / 5_000;
    let slow = |ms| ms * MS - ms * MS / 5_000;
    // Four milliseconds in sixteen seconds, at both ends of each window.
    check("200 millionths fast", Clocks { steady_ns: fast, ..RIGHT }, 1_000);
    check("200 millionths slow", Clocks { steady_ns: slow, ..RIGHT }, 1_000);
    // Half the difference is not to be seen.
    check("one way slower", Clocks { there_ms: 60, back_ms: 10, ..RIGHT }, 120 * 26);
    check("both ways slow", Clocks { there_ms: 400, back_ms: 400, ..RIGHT }, 200);
}

#[test]
fn a_frontend_that_slews_is_followed() {
    let slewing = |ms| EPOCH + ms * MS + ms * MS / 2_000;
    check("forward", Clocks { frontend_ns: slewing, ..RIGHT }, 2_000);
    let slewing = |ms| EPOCH + ms * MS - ms * MS / 2_000;
    check("back", Clocks { frontend_ns: slewing, ..RIGHT }, 2_000);
}

#[test]
fn a_frontend_whose_time_jumps_loses_no_row() {
    // As after a pause of its virtual machine: rows stay in windows that follow each other.
    let paused = |ms| EPOCH + ms * MS - if ms > 30_000 { MINUTE } else { 0 };
    check("back", Clocks { frontend_ns: paused, ..RIGHT }, u64::MAX);
    // As after a pause of the agent's, until the next question is answered.
    let ahead = |ms| EPOCH + ms * MS + if ms > 30_000 { MINUTE } else { 0 };
    check("forward", Clocks { frontend_ns: ahead, ..RIGHT }, 17_000);
}

#[test]
fn windows_that_nobody_has_seen_begin_anew_with_the_first_answer() {
    // Reports were cut by a clock that is an hour ahead, and for windows that are over by then.
    let mut reporter = Reporter::new(SECOND, EPOCH + 60 * MINUTE);
    for second in 1..=5 {
        cut(&mut reporter, EPOCH + 60 * MINUTE + second * SECOND, &mut 2);
    }
    reporter.place_unseen(EPOCH + 5 * SECOND + 1);
    cut(&mut reporter, EPOCH + 6 * SECOND, &mut 1);

    let reports = reports(&mut reporter);
    let seen: Vec<(u64, i64, i64, u64)> = reports
        .iter()
        .map(|report| {
            let rows = report.parts.values().map(|part| part.emitted).sum();
            let ns = |ns| (ns - EPOCH) / SECOND;
            (report.sequence, ns(report.window_start_ns), ns(report.watermark_ns), rows)
        })
        .collect();
    assert_eq!(seen, [(1, 5, 5, 10), (2, 5, 6, 1)]);
}
