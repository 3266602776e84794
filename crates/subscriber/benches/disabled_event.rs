//! The cost of an event that the application's subscriber does not want, with the bridge and without.
//!
//! `cargo bench -p pivot-subscriber` prints nanoseconds per call site, interleaved in one run; the ratio is what
//! counts. With `--count NAME N` one stack runs N times and nothing else: `.ci/instructions` counts its
//! instructions.
//!
//! The cost of one site is the difference of sixteen and eight sites in a loop, divided by eight: so the loop
//! itself does not count.
#![allow(missing_docs)]

use pivot_subscriber::{SubscriberBridge, layer};
use std::hint::black_box;
use std::time::Instant;
use tracing_core::subscriber::NoSubscriber;
use tracing_core::{Dispatch, Event, LevelFilter, Subscriber, dispatcher};
use tracing_subscriber::Registry;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

const ROUNDS: usize = 101;
const CALLS: u64 = 100_000;
const SITES: f64 = 8.0;

/// The application's layer, which does almost nothing.
struct Nothing;

impl<S: Subscriber> Layer<S> for Nothing {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        black_box(event.metadata());
    }
}

/// Repeats code eight times, each a callsite of its own.
macro_rules! eight {
    ($($body:tt)*) => {{ $($body)* $($body)* $($body)* $($body)* $($body)* $($body)* $($body)* $($body)* }};
}

/// Runs code in a loop that the compiler cannot shorten.
macro_rules! times {
    ($count:expr, |$i:ident| $body:expr) => {{
        let count: u64 = black_box($count);
        let mut $i = 0_u64;
        while $i < count {
            $body;
            $i += 1;
        }
        black_box($i);
    }};
}

/// Passes eight disabled events in each turn.
#[inline(never)]
fn counted_event(n: u64) {
    times!(n, |i| eight!(tracing::debug!(delta = i, text = "x");));
}

/// Passes sixteen disabled events in each turn.
#[inline(never)]
fn counted_event_twice(n: u64) {
    times!(n, |i| {
        eight!(tracing::debug!(delta = i, text = "x"););
        eight!(tracing::debug!(delta = i, text = "x"););
    });
}

/// Passes an event that the application's subscriber wants in each turn.
#[inline(never)]
fn counted_wanted(n: u64) {
    times!(n, |i| {
        tracing::info!(delta = i, text = "x");
    });
}

/// Returns a subscriber with one level for all layers.
fn at_info() -> impl Subscriber + Send + Sync {
    Registry::default().with(Nothing).with(LevelFilter::INFO)
}

/// Returns a subscriber whose layer has a filter of its own.
fn filtered() -> impl Subscriber + Send + Sync {
    Registry::default().with(Nothing.with_filter(LevelFilter::INFO))
}

/// A subscriber by its name.
type Stack = (&'static str, fn() -> Dispatch);

const STACKS: [Stack; 5] = [
    ("nobody", || Dispatch::new(NoSubscriber::default())),
    ("level", || Dispatch::new(at_info())),
    ("level_bridge", || Dispatch::new(SubscriberBridge::new(at_info()))),
    ("filter", || Dispatch::new(filtered())),
    ("filter_layer", || {
        Dispatch::new(Registry::default().with(Nothing.with_filter(LevelFilter::INFO)).with(layer()))
    }),
];

/// Runs the counted function that `name` ends with under the stack that it begins with.
fn count(name: &str, n: u64) {
    let (stack, function): (&str, fn(u64)) = match name.rsplit_once('_') {
        Some((stack, "twice")) => (stack, counted_event_twice),
        Some((stack, "wanted")) => (stack, counted_wanted),
        _ => (name, counted_event),
    };
    let (_, make) = STACKS.iter().find(|(known, _)| *known == stack).expect("a stack of that name");
    dispatcher::set_global_default(make()).expect("no subscriber before");

    // Callsites become known before anything is counted.
    function(n);
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if let [flag, name, n] = &arguments[..]
        && flag == "--count"
    {
        return count(name, n.parse().expect("a number of turns"));
    }

    // The least of many rounds: whatever disturbs one only makes it longer.
    let mut least = [[f64::INFINITY; 2]; STACKS.len()];
    for _ in 0..ROUNDS {
        for ((_, make), least) in STACKS.iter().zip(&mut least) {
            dispatcher::with_default(&make(), || {
                for (function, least) in [counted_event, counted_event_twice].iter().zip(least) {
                    function(1);
                    let start = Instant::now();
                    function(CALLS);
                    *least = least.min(start.elapsed().as_nanos() as f64 / CALLS as f64);
                }
            });
        }
    }

    for ((name, _), [eight, sixteen]) in STACKS.iter().zip(least) {
        println!("{name:<16} {:>8.3} ns a site", (sixteen - eight).max(0.0) / SITES);
    }
}
