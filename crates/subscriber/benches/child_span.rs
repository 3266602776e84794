//! The cost of spans of a request, with the bridge and without.
//!
//! `cargo bench -p pivot-subscriber --bench child_span` prints nanoseconds per turn, interleaved in one run; the ratio is what counts.
//! With `--count NAME N` one stack runs one function N times and nothing else: `.ci/instructions` counts its
//! instructions.
//!
//! | function | a turn |
//! |---|---|
//! | `child` | inside a request: a span is made, entered, left and closed |
//! | `entered` | inside a request: a span that is open already is entered and left, as at each poll of an instrumented future |
//! | `request` | a request's span is made, entered and left four times, and closed |
//!
//! | stack | |
//! |---|---|
//! | `bare` | the application's subscriber alone |
//! | `bridge` | with the bridge around it, and nothing woven |
//! | `counting` | a query that counts is woven at another tracepoint |
//! | `packing` | a query that packs has packed in the request, so that it has to be followed wherever its spans may go |
#![allow(missing_docs)]

use pivot_advice::{Advice, BagKey, EmitMode, Instruction, QueryId, TemporalFilter};
use pivot_agent::SourceLocation;
use pivot_subscriber::SubscriberBridge;
use std::hint::black_box;
use std::time::Instant;
use tracing::Span;
use tracing_core::{Dispatch, Event, LevelFilter, Subscriber, dispatcher};
use tracing_subscriber::Registry;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

const ROUNDS: usize = 101;
const TURNS: u64 = 10_000;

/// The application's layer, which does almost nothing.
struct Nothing;

impl<S: Subscriber> Layer<S> for Nothing {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        black_box(event.metadata());
    }
}

/// Returns the span of a request, as `tower-http` makes it: the application's subscriber does not want it.
fn request_span() -> Span {
    tracing::debug_span!(target: "tower_http::trace::make_span", "request")
}

fn child_span() -> Span {
    tracing::info_span!("child", delta = 1)
}

/// Makes, enters, leaves and closes a span in each turn.
#[inline(never)]
fn counted_child(turns: u64) {
    for _ in 0..black_box(turns) {
        child_span().in_scope(|| black_box(()));
    }
}

/// Enters and leaves an open span in each turn.
#[inline(never)]
fn counted_entered(turns: u64) {
    let span = child_span();
    for _ in 0..black_box(turns) {
        span.in_scope(|| black_box(()));
    }
}

/// Makes the span of a request in each turn, enters and leaves it four times, and closes it.
#[inline(never)]
fn counted_request(turns: u64) {
    for _ in 0..black_box(turns) {
        let span = request_span();
        for _ in 0..4 {
            span.in_scope(|| black_box(()));
        }
    }
}

/// Runs a counted function. Children are those of a request.
fn run(function: &str, turns: u64) {
    match function {
        "request" => counted_request(turns),
        function => request_span().in_scope(|| {
            pack();
            if function == "child" { counted_child(turns) } else { counted_entered(turns) }
        }),
    }
}

/// Passes a tracepoint at which a query may pack.
fn pack() {
    pivot_agent::tracepoint!("Bench.packed", n: u64 = 1);
}

fn subscriber() -> impl Subscriber + Send + Sync {
    Registry::default().with(Nothing).with(LevelFilter::INFO)
}

fn bridge() -> Dispatch {
    Dispatch::new(SubscriberBridge::new(subscriber()))
}

/// A subscriber by its name, and what is woven while it is the default.
type Stack = (&'static str, fn() -> Dispatch, fn() -> Vec<Advice>);

const STACKS: [Stack; 4] = [
    ("bare", || Dispatch::new(subscriber()), Vec::new),
    ("bridge", bridge, Vec::new),
    ("counting", bridge, || vec![advice("Bench.elsewhere", counts())]),
    ("packing", bridge, || vec![advice("Bench.packed", packs())]),
];

const FUNCTIONS: [&str; 3] = ["child", "entered", "request"];

fn advice(tracepoint: &str, instructions: Vec<Instruction>) -> Advice {
    Advice { query: QueryId::new(1, 1), stage: 0, tracepoint: tracepoint.into(), instructions }
}

fn counts() -> Vec<Instruction> {
    vec![Instruction::Emit { keys: vec![], folds: vec![], form: EmitMode::Groups }]
}

fn packs() -> Vec<Instruction> {
    let bag = BagKey { query: QueryId::new(1, 1), stage: 0 };
    let pack = Instruction::Pack { bag, keep: TemporalFilter::All, keys: vec![0], folds: vec![] };
    vec![Instruction::Observe { field: "n".into() }, pack]
}

/// Weaves exactly this.
fn weave(advice: &[Advice]) {
    let location = SourceLocation { module: "", file: "", line: 0 };
    pivot_agent::Tracepoint::register("Bench.elsewhere", &[], location);
    assert!(pivot_agent::weave(advice).is_empty(), "it can be woven");
    let packs = |advice: &Advice| matches!(advice.instructions.last(), Some(Instruction::Pack { .. }));
    pivot_baggage::set_carrying(advice.iter().any(packs));
}

/// Runs the function that `name` ends with under the stack that it begins with.
fn count(name: &str, turns: u64) {
    let (stack, function) = name.rsplit_once('_').expect("a stack and a function");
    let (_, make, woven) = STACKS.iter().find(|(known, ..)| *known == stack).expect("a stack of that name");
    dispatcher::set_global_default(make()).expect("no subscriber before");
    weave(&woven());

    // Callsites become known before anything is counted.
    run(function, 1);
    run(function, turns);
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if let [flag, name, turns] = &arguments[..]
        && flag == "--count"
    {
        return count(name, turns.parse().expect("a number of turns"));
    }

    // The least of many rounds: whatever disturbs one only makes it longer.
    let mut least = [[f64::INFINITY; FUNCTIONS.len()]; STACKS.len()];
    for _ in 0..ROUNDS {
        for ((_, make, woven), least) in STACKS.iter().zip(&mut least) {
            dispatcher::with_default(&make(), || {
                weave(&woven());
                for (function, least) in FUNCTIONS.iter().zip(least) {
                    run(function, 1);
                    let start = Instant::now();
                    run(function, TURNS);
                    *least = least.min(start.elapsed().as_nanos() as f64 / TURNS as f64);
                }
            });
        }
    }

    for ((name, ..), [child, entered, request]) in STACKS.iter().zip(least) {
        println!("{name:<10} child {child:>7.1} ns  entered {entered:>7.1} ns  request {request:>7.1} ns");
    }
}
