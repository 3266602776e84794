//! The cost of a record of `log` that nobody wants, with our logger around the application's.
//!
//! `cargo bench -p pivot-subscriber --bench log_record` prints nanoseconds per record, on one thread and on two at once: what
//! threads share would make the second larger. With `--count NAME N` one function runs N times and nothing else:
//! `.ci/instructions` counts its instructions. The cost of one record is the difference of sixteen and eight in a
//! loop, divided by eight.
#![allow(missing_docs)]

use log::{LevelFilter, Log, Metadata, Record};
use std::hint::black_box;
use std::time::{Duration, Instant};

const CALLS: u64 = 1_000_000;

/// The application's logger, which wants nothing beyond Info.
struct Own;

impl Log for Own {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::Level::Info
    }
    fn log(&self, record: &Record<'_>) {
        black_box(record.args());
    }
    fn flush(&self) {}
}

/// Repeats code eight times, each a record of its own.
macro_rules! eight {
    ($($body:tt)*) => {{ $($body)* $($body)* $($body)* $($body)* $($body)* $($body)* $($body)* $($body)* }};
}

/// Makes eight records that nobody wants in each turn.
#[inline(never)]
fn counted_record(n: u64) {
    let (count, mut i) = (black_box(n), 0_u64);
    while i < count {
        eight!(log::debug!(target: "unwanted", "turn {i}"););
        i += 1;
    }
    black_box(i);
}

/// Makes sixteen records that nobody wants in each turn.
#[inline(never)]
fn counted_record_twice(n: u64) {
    let (count, mut i) = (black_box(n), 0_u64);
    while i < count {
        eight!(log::debug!(target: "unwanted", "turn {i}"););
        eight!(log::debug!(target: "unwanted", "turn {i}"););
        i += 1;
    }
    black_box(i);
}

/// Returns how long one record takes, in nanoseconds.
fn timed() -> f64 {
    let start = Instant::now();
    counted_record(CALLS);
    let eight = start.elapsed();
    counted_record_twice(CALLS);
    let both = start.elapsed();
    (both - eight).saturating_sub(eight).as_nanos() as f64 / CALLS as f64 / 8.0
}

fn main() {
    log::set_max_level(LevelFilter::Info);
    pivot_subscriber::log::install(Own).expect("no logger before");

    // The target becomes known, and the burst in which it does ends.
    counted_record(1);
    std::thread::sleep(Duration::from_millis(10));
    counted_record(1);

    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    match &arguments[..] {
        [flag, name, n] if flag == "--count" => {
            let n = n.parse().expect("a number of turns");
            if name.ends_with("twice") { counted_record_twice(n) } else { counted_record(n) }
        }
        _ => {
            println!("one thread  {:.2} ns a record", timed());
            let two = std::thread::scope(|threads| {
                let other = threads.spawn(timed);
                timed().max(other.join().expect("no panic"))
            });
            println!("two threads {two:.2} ns a record");
        }
    }
}
