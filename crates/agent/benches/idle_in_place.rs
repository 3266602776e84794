//! What do idle tracepoints cost where they stand: in a loop that does something with what they export, and a
//! thousand of them one after the other?
//!
//! `--count NAME N` runs one of them N times and nothing else: `.ci/instructions` counts the instructions that a hit
//! adds to the loop, for a tracepoint and for an event of `tracing` without a subscriber, and how often the 1,024
//! call sites miss the first cache.
#![allow(missing_docs)]

use std::collections::HashMap;
use std::hint::black_box;

type Prices = HashMap<&'static str, u64, foldhash::fast::FixedState>;

/// Eight pairs.
const ORDER: &str = "apple=12;bread=345;cheese=6;dates=78901;eggs=2;flour=77;grapes=8;honey=12345";

/// Adds up what an order costs. The event stands in its loop and exports three of its variables.
macro_rules! totals {
    ($($counted:ident |$what:ident, $n:ident, $total:ident| $event:expr;)*) => {$(
        #[inline(never)]
        fn $counted(prices: &Prices, order: &str) -> u64 {
            let mut $total = 0_u64;
            for pair in order.split(';') {
                let Some(($what, n)) = pair.split_once('=') else { continue };
                let $n = n.bytes().fold(0, |n: u64, digit| n * 10 + u64::from(digit - b'0'));
                $total += prices.get($what).map_or(0, |price| price * $n);
                $event;
            }
            $total
        }
    )*};
}

totals! {
    counted_bare |_what, n, total| black_box(());
    counted_tracepoint |what, n, total| {
        pivot_agent::tracepoint!("Bench.total", what: &str = what, n: u64 = n, total: u64 = total)
    };
    counted_tracing |what, n, total| tracing::debug!(what, n, total);
}

macro_rules! four {
    ($($body:tt)*) => { $($body)* $($body)* $($body)* $($body)* };
}

/// Hits 1,024 call sites.
#[inline(never)]
fn counted_many(n: u64) -> u64 {
    four! { four! { four! { four! { four! {
        pivot_agent::tracepoint!("Bench.many", n: u64 = n);
    }}}}}
    n
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let [count, name, n] = &arguments[..] else { return println!("--count NAME N") };
    assert_eq!(count, "--count");
    let words = ["apple", "bread", "cheese", "eggs", "honey"];
    let prices: Prices = words.iter().enumerate().map(|(i, word)| (*word, i as u64 + 1)).collect();
    for i in 0..n.parse().expect("a number of turns") {
        black_box(match name.as_str() {
            "bare" => counted_bare(&prices, black_box(ORDER)),
            "tracepoint" => counted_tracepoint(&prices, black_box(ORDER)),
            "tracing" => counted_tracing(&prices, black_box(ORDER)),
            _ => counted_many(i),
        });
    }
}
