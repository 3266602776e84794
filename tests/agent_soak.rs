//! Thousands of queries are woven and unwoven under load by an agent with its uplink: nothing grows, nothing
//! breaks, nothing is counted wrong. It takes 40 seconds, or `PIVOT_SOAK_SECONDS`; what it saw is printed with
//! `--nocapture`.
#![cfg(target_os = "linux")]
#![allow(missing_docs, clippy::unwrap_used)]

use pivot::CpuBudget;
use pivot_advice::{EvalErrors, FinalFunction, Groups};
use pivot_tests::PATIENCE;
use pivot_tests::soak::{MemorySamples, PlayedFrontend, RequestLoad, quiet_about, seconds};

/// What each group says: how many rows, and the sum.
fn numbers(groups: &Groups) -> Vec<Vec<i128>> {
    let row = |group: &pivot_advice::Group| {
        let sum = group.states[0].finish(FinalFunction::Plain, &mut EvalErrors::default());
        vec![i128::from(group.n), sum.as_integer().unwrap()]
    };
    let mut rows: Vec<Vec<i128>> = groups.iter().map(row).collect();
    rows.sort();
    rows
}

#[test]
fn queries_come_and_go_and_nothing_grows_or_is_counted_wrong() {
    quiet_about("attempt to divide by zero");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (url, played) = PlayedFrontend::start(&runtime);
    // Nothing is to be sampled: the control has to be exact.
    let budget = CpuBudget { query: 1e3, all: 1e3 };
    let agent = pivot::builder().process("soak").frontend(url).cpu_budget(budget).init().unwrap();
    assert!(agent.wait_until_woven(PATIENCE));

    let load = RequestLoad::start(2);
    played.come_and_go(true);
    let memory = MemorySamples::watch(seconds(40));
    played.come_and_go(false);
    let done = load.stop();
    assert!(agent.flush(PATIENCE), "reports were not acknowledged");

    let seen = played.seen();
    println!(
        "{} queries in {} changes, {} with problems, {} events of theirs; {} requests with {} events; {memory}",
        seen.queries,
        seen.changes,
        seen.problems,
        seen.rows,
        done.requests(),
        done.events()
    );
    let mut expected = done.by_kind();
    expected.sort();
    assert_eq!(numbers(&seen.counted[0]), expected);
    assert_eq!(numbers(&seen.counted[1]), [done.joined()]);
    assert!(seen.loss.is_zero(), "{:?}", seen.loss);
    assert!(seen.queries > 1_000 && seen.rows > 1_000, "{} queries", seen.queries);
    memory.check(16);
    drop(agent);
}
