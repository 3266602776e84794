//! What does a tracepoint cost while nothing is woven, next to a disabled `tracing` event?
//!
//! `cargo bench -p pivot-agent` prints nanoseconds per call site for idle tracepoints and events of `tracing` without
//! a subscriber, interleaved in one run; the ratio is what counts.
//! With `--count NAME N` one of them runs N times and nothing else: `.ci/instructions` counts its instructions.
#![allow(missing_docs)]

use pivot_advice::{Advice, BinaryOperator, EmitMode, Expr, Instruction, QueryId, Value};
use std::hint::black_box;
use std::time::Instant;

const ROUNDS: usize = 101;
const CALLS: u64 = 200_000;
const SITES: f64 = 8.0;

macro_rules! eight {
    ($($body:tt)*) => {{ $($body)* $($body)* $($body)* $($body)* $($body)* $($body)* $($body)* $($body)* }};
}

/// Runs a body so often, with a number that the compiler cannot foresee but may keep in a register.
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

/// The same site eight and sixteen times in a loop: the difference is what eight cost, exactly.
macro_rules! counted {
    ($($(#[$doc:meta])* $eight:ident $sixteen:ident |$i:ident| { $($body:tt)* })*) => {$(
        $(#[$doc])*
        #[inline(never)]
        fn $eight(n: u64) {
            times!(n, |$i| eight!($($body)*));
        }

        #[inline(never)]
        fn $sixteen(n: u64) {
            times!(n, |$i| {
                eight!($($body)*);
                eight!($($body)*);
            });
        }
    )*};
}

counted! {
    counted_tracepoint counted_tracepoint_twice |i| {
        pivot_agent::tracepoint!("Bench.idle", delta: u64 = i, text = "x");
    }
    /// Fields that are expressions over variables, which the closure of the cold block has to borrow.
    counted_expressions counted_expressions_twice |i| {
        pivot_agent::tracepoint!("Bench.expressions", delta: u64 = i + 1, twice: u64 = i * 2);
    }
    /// Wanted by a query with a condition that the name of this process rules out.
    counted_ruled_out counted_ruled_out_twice |i| {
        pivot_agent::tracepoint!("Bench.ruledOut", delta: u64 = i, text = "x");
    }
    counted_tracing counted_tracing_twice |i| {
        tracing::info!(delta = i, text = "x");
    }
}

/// `FROM e IN Bench.ruledOut WHERE e.process = 'nobody' SELECT COUNT`
fn ruled_out_query() -> Advice {
    let nobody = Expr::Literal(Value::str("nobody"));
    let instructions = vec![
        Instruction::Observe { field: "process".into() },
        Instruction::Filter { expr: Expr::binary(BinaryOperator::Equal, Expr::Column(0), nobody) },
        Instruction::Emit { keys: vec![], folds: vec![], form: EmitMode::Groups },
    ];
    Advice { query: QueryId::new(1, 1), stage: 0, tracepoint: "Bench.ruledOut".into(), instructions }
}

type Bench = (&'static str, fn(u64));

const BENCHES: [Bench; 8] = [
    ("tracepoint", counted_tracepoint),
    ("tracepoint_twice", counted_tracepoint_twice),
    ("expressions", counted_expressions),
    ("expressions_twice", counted_expressions_twice),
    ("ruled_out", counted_ruled_out),
    ("ruled_out_twice", counted_ruled_out_twice),
    ("tracing", counted_tracing),
    ("tracing_twice", counted_tracing_twice),
];

/// The least nanoseconds per turn over all rounds, for each, in turn.
fn measure() -> [f64; BENCHES.len()] {
    let mut least = [f64::INFINITY; BENCHES.len()];
    for _ in 0..ROUNDS {
        for ((_, function), least) in BENCHES.iter().zip(&mut least) {
            let start = Instant::now();
            function(CALLS);
            *least = least.min(start.elapsed().as_nanos() as f64 / CALLS as f64);
        }
    }
    least
}

fn main() {
    pivot_agent::weave(&[ruled_out_query()]);
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if let [count, name, n] = &arguments[..]
        && count == "--count"
    {
        let (_, function) = BENCHES.iter().find(|(known, _)| known == name).expect("a bench of that name");
        return function(n.parse().expect("a number of turns"));
    }
    let least = measure();
    for (bench, turn) in BENCHES.chunks(2).zip(least.chunks(2)) {
        if let ([(name, _), _], [eight, sixteen]) = (bench, turn) {
            println!("{name:<12} {:>8.3} ns a site", (sixteen - eight).max(0.0) / SITES);
        }
    }
}
