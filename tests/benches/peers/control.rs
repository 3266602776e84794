//! What weaving and draining take, and what an application's threads notice of it.

use crate::woven::{Query, hit, host, weave};
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

const TIMES: usize = 300;

fn quantiles(mut times: Vec<u64>) -> String {
    times.sort_unstable();
    let at = |q: f64| times[((times.len() - 1) as f64 * q) as usize] as f64 / 1000.0;
    format!("median {:.1} µs, p90 {:.1}, p99 {:.1}", at(0.5), at(0.9), at(0.99))
}

fn timed(work: impl FnOnce()) -> u64 {
    let begun = Instant::now();
    work();
    begun.elapsed().as_nanos() as u64
}

/// Calls with so many threads that hit a tracepoint as fast as they can.
fn beside(threads: usize, work: impl FnOnce()) {
    let (stop, ready) = (AtomicBool::new(false), AtomicU64::new(0));

    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                ready.fetch_add(1, Ordering::Relaxed);
                while !stop.load(Ordering::Relaxed) {
                    (0..64).for_each(|i| hit(black_box(i)));
                }
            });
        }
        while ready.load(Ordering::Relaxed) < threads as u64 {
            std::thread::yield_now();
        }
        work();
        stop.store(true, Ordering::Relaxed);
    });
}

/// Weaving returns when every thread runs what is woven now, and no other.
fn weaving() {
    for threads in [0, 1, 2] {
        let mut times = Vec::new();
        beside(threads, || {
            for i in 0..TIMES {
                let query = if i % 2 == 0 { Query::Count } else { Query::Rejects };
                times.push(timed(|| weave(query)));
                std::thread::sleep(Duration::from_micros(200));
            }
        });

        println!("weave, seen by all of {threads} busy threads      {}", quantiles(times));
    }
}

fn draining() {
    weave(Query::Count);
    for keys in [64, 1000] {
        let mut times = Vec::new();
        for _ in 0..TIMES {
            (0..keys).for_each(|i| crate::woven::hit_key(black_box(i)));
            times.push(timed(|| drop(black_box(pivot_agent::drain()))));
        }
        println!("drain of {keys:>4} groups                        {}", quantiles(times));
    }
}

/// Batches of 64 events on one thread, with nobody draining and with somebody who does without a pause.
fn noticed() {
    weave(Query::Count);
    let batches =
        || -> Vec<u64> { (0..20_000).map(|_| timed(|| (0..64).for_each(|i| hit(black_box(i))))).collect() };
    println!("64 events, nobody drains                   {}", quantiles(batches()));
    let stop = AtomicBool::new(false);

    std::thread::scope(|scope| {
        let drains = scope.spawn(|| {
            pivot_agent::exempt_this_thread();
            let mut drains = 0_u64;
            while !stop.load(Ordering::Relaxed) {
                drop(black_box(pivot_agent::drain()));
                drains += 1;
                std::thread::sleep(Duration::from_micros(100));
            }
            drains
        });
        let times = batches();
        stop.store(true, Ordering::Relaxed);
        let drains = drains.join().unwrap_or(0);
        println!("64 events, drained {drains:>6} times meanwhile     {}", quantiles(times));
    });
}

pub(crate) fn run() {
    black_box(host(0));
    weaving();
    draining();
    noticed();
    weave(Query::None);
}
