//! The oracle: random requests and random queries, evaluated in band and by a naive evaluator.
//!
//! ```text
//! seed ─▶ tracepoints, query, steps ─┬─ print ─ compile ─ advice over real baggage ─▶ rows ─┬─ equal?
//!                                    └─ record ─ DAG ─ enumerate all tuples ────────▶ rows ─┘
//! ```
//!
//! `PIVOT_ORACLE_CASES` sets the number of cases, `PIVOT_ORACLE_SEED` the first seed. A case that is wrong
//! is shrunk and printed as the upper part of a golden file; it belongs into `tests/golden/found`.
#![allow(missing_docs)]

use pivot_tests::number_setting;
use pivot_tests::oracle::{Case, CaseOutcome, Coverage, shrunk};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// How many cases are run when nobody asks for more.
const CASES: u64 = 10_000;

#[test]
fn every_plan_gives_the_rows_that_the_language_defines() {
    let first = number_setting("PIVOT_ORACLE_SEED").unwrap_or(0);
    let last = first + number_setting("PIVOT_ORACLE_CASES").unwrap_or(CASES);
    let next = AtomicU64::new(first);
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let counts = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(|| work(&next, last))).collect();
        workers.into_iter().map(|worker| worker.join().expect("a worker ends")).collect::<Vec<_>>()
    });
    let mut counts = counts.into_iter().fold(Counts::default(), Counts::plus);
    println!(
        "{}{} agree, {} of them with rows; {} too large",
        counts.coverage, counts.agree, counts.with_rows, counts.too_large
    );

    if let Some(seed) = counts.wrong.iter().min().copied() {
        report(seed);
    }

    counts.wrong.clear();
    let all = last - first;
    assert!(counts.too_large * 20 <= all, "{} of {all} cases are too large", counts.too_large);
    assert!(counts.with_rows * 3 >= all, "only {} of {all} cases have rows", counts.with_rows);
    let unused = counts.coverage.unused();
    assert!(all < CASES || unused.is_empty(), "no case with rows uses {}", unused.join(", "));
}

#[derive(Debug, Default)]
struct Counts {
    agree: u64,
    with_rows: u64,
    too_large: u64,
    wrong: Vec<u64>,
    coverage: Coverage,
}

impl Counts {
    fn plus(mut self, other: Counts) -> Counts {
        self.agree += other.agree;
        self.with_rows += other.with_rows;
        self.too_large += other.too_large;
        self.wrong.extend(other.wrong);
        self.coverage.merge(other.coverage);
        self
    }
}

/// Takes seeds until there are no more, or one is wrong.
fn work(next: &AtomicU64, last: u64) -> Counts {
    let mut counts = Counts::default();

    loop {
        let seed = next.fetch_add(1, Relaxed);
        if seed >= last {
            return counts;
        }
        let case = Case::random(seed);
        match case.check() {
            CaseOutcome::Agree(agreement) => {
                counts.agree += 1;
                counts.with_rows += u64::from(agreement.rows > 0);
                counts.coverage.add(&case, &agreement);
            }
            CaseOutcome::TooLarge => counts.too_large += 1,
            CaseOutcome::Wrong(_) => {
                counts.wrong.push(seed);
                next.store(last, Relaxed);
                return counts;
            }
        }
    }
}

#[test]
#[ignore = "shows the cases of PIVOT_ORACLE_SEED and following"]
fn show_cases() {
    let first = number_setting("PIVOT_ORACLE_SEED").unwrap_or(0);
    for seed in first..first + number_setting("PIVOT_ORACLE_CASES").unwrap_or(1) {
        let case = Case::random(seed);
        println!("seed {seed}\n{case}\n{:?}\n", case.check());
    }
}

/// Shrinks the case of a seed and fails with it.
fn report(seed: u64) {
    let case = Case::random(seed);
    let CaseOutcome::Wrong(wrong) = case.check() else {
        panic!("seed {seed} was wrong once, as the clock would have it\n{case}");
    };
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let (case, wrong) = shrunk(&case, &wrong);
    std::panic::set_hook(hook);
    panic!("seed {seed} is wrong: {}\n{}\n\n{case}", wrong.kind, wrong.detail);
}
