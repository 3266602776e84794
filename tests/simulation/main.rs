//! A whole Pivot in one thread: a frontend, agents, clients, the network, the disk and all clocks are simulated, and a seed
//! decides about faults. Whatever happens, a result equals what was done, or says that it is partial.
//!
//! The frontend, the uplinks and `tonic` are those of production. What they run on is not: see `Machine` of both crates.
//!
//! `PIVOT_SCHEDULES=2000` runs more schedules than the test does by itself, from the seed `PIVOT_SEED` on.
#![allow(missing_docs, clippy::unwrap_used)]

mod agent_host;
mod client_host;
mod frontend_host;
mod run;
mod schedule;
mod simulated_agent;
mod simulated_clocks;
mod simulated_disk;
mod simulated_network;
mod verdict;
mod world;

use pivot_tests::number_setting;
use std::time::Instant;

/// The lines of a log that two runs are compared by if their hashes differ.
const COMPARED_LINES: usize = 100_000;

/// Runs what a seed decides, on a thread of its own: a panic names the seed.
fn run_seed(seed: u64) -> run::Outcome {
    let thread = std::thread::spawn(move || run::run(seed, COMPARED_LINES));
    thread.join().unwrap_or_else(|_| panic!("seed {seed} failed"))
}

#[test]
fn results_equal_what_was_done_or_are_partial_whatever_happens() {
    let schedules = number_setting("PIVOT_SCHEDULES").unwrap_or(30);
    let first = number_setting("PIVOT_SEED").unwrap_or(1);
    for seed in first..first + schedules {
        let began = Instant::now();
        let outcome = run_seed(seed);
        println!("seed {seed}: {:?}, {:?}", began.elapsed(), outcome.faults);

        if std::env::var_os("PIVOT_LOG").is_some() {
            println!("{}", outcome.world.trace().1.join("\n"));
        }
        verdict::judge(&outcome);
    }
}

#[test]
fn a_seed_decides_everything() {
    let seed = number_setting("PIVOT_SEED").unwrap_or(7);
    let (first, second) = (run_seed(seed).world.trace(), run_seed(seed).world.trace());

    let mut lines = first.1.iter().zip(&second.1);
    if let Some((one, other)) = lines.find(|(one, other)| one != other) {
        panic!("seed {seed}: once {one}\nand then {other}");
    }
    assert_eq!(first.0, second.0, "seed {seed}");
}
