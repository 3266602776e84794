//! Dear work behind `log_enabled!`, as that of a library which formats each of its statements for the log.
//!
//! A process of each kind makes statements, and a query counts their records where Pivot has one. To make a record takes
//! fifty times as long as the statement. So the query goes beyond its budget, looks at few of the records or rests, and
//! all other statements must cost what they cost without it.
//!
//! `… -- gated 300` on two virtual cores of an EPYC that compiled meanwhile; ratios of processor time, the agent's included,
//! from the twentieth round on:
//!
//! | | a statement | ratio, median | mean | half of the rounds |
//! |---|---|---|---|---|
//! | no Pivot | 24.1 µs | 1 | 1 | |
//! | no Pivot again | 24.1 µs | 0.999 | 0.999 | 0.995 to 1.005 |
//! | idle | 24.2 µs | 1.002 | 1.001 | 0.996 to 1.008 |
//! | the query | 24.2 µs | 1.004 | 1.043 | 0.998 to 1.014 |
//!
//! Wanted is 1.1. The first slice while woven took 387 µs a statement, the second 29: one window ends the dear work. The
//! mean has the one window in eleven seconds in which a query that rests is tried again.

use crate::kind::{KINDS, Kind};
use crate::processes::{Frontend, Running, frontend_of, start_role};
use crate::processor_time::ProcessorTime;
use crate::rounds::{number, quantile};
use std::hint::black_box;
use std::time::Duration;

/// How many statements make a slice.
const STATEMENTS: u64 = 1_000;

/// The turns of a loop that a statement takes, and those of making its record.
const STATEMENT: u64 = 100_000;
const RECORD: u64 = 50 * STATEMENT;

const QUERY: &str = "FROM r IN db::log GROUP BY r.level SELECT r.level, COUNT;";

/// The application's logger, which wants warnings.
struct Warnings;

impl log::Log for Warnings {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.level() <= log::Level::Warn
    }
    fn log(&self, _: &log::Record<'_>) {}
    fn flush(&self) {}
}

/// Makes statements whenever a line is read, and answers with a line when they are done, until standard input closes.
pub(crate) fn run(kind: Kind) -> anyhow::Result<()> {
    log::set_max_level(log::LevelFilter::Warn);
    let _pivot = if kind.has_pivot() {
        let pivot = pivot::builder().process(kind.name()).init()?;
        pivot_subscriber::log::install(Warnings)?;
        Some(pivot)
    } else {
        log::set_logger(Box::leak(Box::new(Warnings)))?;
        None
    };

    println!("ready");
    for line in std::io::stdin().lines() {
        line?;
        (0..STATEMENTS).for_each(|_| make_statement());
        println!("done");
    }
    Ok(())
}

fn make_statement() {
    work(STATEMENT);
    if log::log_enabled!(target: "db", log::Level::Info) {
        log::info!(target: "db", "{}", work(RECORD));
    }
}

fn work(turns: u64) -> &'static str {
    for turn in 0..turns {
        black_box(turn);
    }
    "select 1"
}

/// Processor time of all of a process, the agent's thread included, for each statement of a slice, in nanoseconds.
fn run_slice(process: &mut Running) -> anyhow::Result<f64> {
    let before = ProcessorTime::of(process.child.id())?;
    process.write_line()?;
    process.read_line()?;
    std::thread::sleep(Duration::from_millis(2));
    let after = ProcessorTime::of(process.child.id())?;

    let used = (after.application + after.agent).saturating_sub(before.application + before.agent);
    Ok(used.as_nanos() as f64 / STATEMENTS as f64)
}

/// Compares the kinds of processes, and prints what comes of it.
pub(crate) fn compare(numbers: &[&str]) -> anyhow::Result<()> {
    let (rounds, settling) = (number(numbers, 0, 600)?, number(numbers, 1, 20)?);
    let (idle, woven) = (Frontend::start()?, Frontend::start()?);
    let mut processes = Vec::new();
    for kind in KINDS {
        let mut process = start_role("log", kind, frontend_of(kind, &idle, &woven))?;
        process.read_line()?;
        std::thread::sleep(Duration::from_secs(1));
        // Until this, nobody knows of its records.
        run_slice(&mut process)?;
        processes.push(process);
    }
    let _client = woven.install(&[QUERY])?;

    let mut costs = vec![Vec::new(); KINDS.len()];
    for round in 0..rounds {
        for turn in 0..KINDS.len() {
            let number = (turn + round) % KINDS.len();
            costs[number].push(run_slice(&mut processes[number])?);
        }
    }

    eprintln!("{}", woven.running_queries()?);
    let woven = KINDS.iter().position(|kind| *kind == Kind::Woven).unwrap_or_default();
    let first: Vec<String> =
        costs[woven].iter().take(settling).map(|cost| format!("{:.0}", cost / 1e3)).collect();
    println!("the first slices while woven, µs a statement: {}", first.join(" "));
    print(&costs, settling);
    Ok(())
}

/// Prints what a statement takes after the rounds in which the query is throttled.
fn print(costs: &[Vec<f64>], settling: usize) {
    println!("{:<12} {:>12} {:>8} {:>8} {:>18}", "", "a statement", "ratio", "mean", "half of rounds");
    let bare = &costs[0][settling..];

    for (kind, costs) in KINDS.iter().zip(costs) {
        let costs = &costs[settling..];
        let mut ratios: Vec<f64> = costs.iter().zip(bare).map(|(cost, bare)| cost / bare).collect();
        let mean = costs.iter().sum::<f64>() / bare.iter().sum::<f64>();
        let [low, middle, high] = [0.25, 0.5, 0.75].map(|part| quantile(&mut ratios, part));
        println!(
            "{:<12} {:>9.2} µs {middle:>8.3} {mean:>8.3} {:>18}",
            kind.name(),
            quantile(&mut costs.to_vec(), 0.5) / 1e3,
            format!("{low:.3} to {high:.3}"),
        );
    }
}
