//! What does an event cost that the application's subscriber does not want, with us and without?
//!
//! `cargo bench -p pivot-subscriber` prints nanoseconds per call site, interleaved in one run; the ratio is what
//! counts. With `--count NAME N` one of them runs N times and nothing else: `.ci/instructions` counts its
//! instructions.
#![allow(missing_docs)]

use pivot_subscriber::{Bridge, layer};
use std::hint::black_box;
use std::time::Instant;
use tracing_core::subscriber::NoSubscriber;
use tracing_core::{Dispatch, Event, LevelFilter, Subscriber, dispatcher};
use tracing_subscriber::Registry;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

const ROUNDS: usize = 101;
const CALLS: u64 = 100_000;
const SITES: f64 = 8.0;

/// A layer that looks at nothing.
struct Nothing;

impl<S: Subscriber> Layer<S> for Nothing {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        black_box(event.metadata());
    }
}

macro_rules! eight {
    ($($body:tt)*) => {{ $($body)* $($body)* $($body)* $($body)* $($body)* $($body)* $($body)* $($body)* }};
}

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

#[inline(never)]
fn counted_event(n: u64) {
    times!(n, |i| eight!(tracing::debug!(delta = i, text = "x");));
}

#[inline(never)]
fn counted_event_twice(n: u64) {
    times!(n, |i| {
        eight!(tracing::debug!(delta = i, text = "x"););
        eight!(tracing::debug!(delta = i, text = "x"););
    });
}

/// An event that the application's subscriber wants, and a span.
#[inline(never)]
fn counted_wanted(n: u64) {
    times!(n, |i| {
        tracing::info!(delta = i, text = "x");
    });
}

fn at_info() -> impl Subscriber + Send + Sync {
    Registry::default().with(Nothing).with(LevelFilter::INFO)
}

fn filtered() -> impl Subscriber + Send + Sync {
    Registry::default().with(Nothing.with_filter(LevelFilter::INFO))
}

type Stack = (&'static str, fn() -> Dispatch);

const STACKS: [Stack; 5] = [
    ("nobody", || Dispatch::new(NoSubscriber::default())),
    ("level", || Dispatch::new(at_info())),
    ("level_bridge", || Dispatch::new(Bridge::new(at_info()))),
    ("filter", || Dispatch::new(filtered())),
    ("filter_layer", || {
        Dispatch::new(Registry::default().with(Nothing.with_filter(LevelFilter::INFO)).with(layer()))
    }),
];

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
