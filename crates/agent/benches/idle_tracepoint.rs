//! What does a tracepoint cost while nothing is woven, next to a disabled `tracing` event?
//!
//! `cargo bench -p pivot-agent` prints nanoseconds per call site for an empty loop, eight idle tracepoints and
//! eight events of `tracing` without a subscriber, interleaved in one run; the ratio is what counts.
#![allow(missing_docs)]

use std::hint::black_box;
use std::time::Instant;

const ROUNDS: usize = 101;
const CALLS: u64 = 200_000;

macro_rules! eight {
    ($($body:tt)*) => {{ $($body)* $($body)* $($body)* $($body)* $($body)* $($body)* $($body)* $($body)* }};
}

fn empty(i: u64) {
    black_box(i);
}

fn tracepoints(i: u64) {
    let i = black_box(i);
    eight!(pivot_agent::tracepoint!("Bench.idle", delta: u64 = i, twice: u64 = i * 2););
}

fn events(i: u64) {
    let i = black_box(i);
    eight!(tracing::info!(delta = i, twice = i * 2););
}

/// The least nanoseconds per call over all rounds, for each function, in turn.
fn measure<const N: usize>(functions: [fn(u64); N]) -> [f64; N] {
    let mut least = [f64::INFINITY; N];
    for _ in 0..ROUNDS {
        for (function, least) in functions.iter().zip(&mut least) {
            let start = Instant::now();
            (0..CALLS).for_each(function);
            *least = least.min(start.elapsed().as_nanos() as f64 / CALLS as f64);
        }
    }
    least
}

fn main() {
    let [nothing, idle, disabled] = measure([empty, tracepoints, events]);
    let (idle, disabled) = ((idle - nothing) / 8.0, (disabled - nothing) / 8.0);
    println!("empty call                {nothing:>8.3} ns");
    println!("idle tracepoint           {idle:>8.3} ns a site");
    println!("disabled tracing event    {disabled:>8.3} ns a site");
    println!("ratio                     {:>8.3}", idle / disabled);
}
