//! What does an event cost while a query is woven?
//!
//! `cargo bench -p pivot-agent --bench woven_tracepoint` prints nanoseconds per event for common queries over a
//! tracepoint of four fields, next to the same update written by hand, with one thread and with two, all of them in
//! turn in every round. With
//! `--count NAME N` one of them runs N times and nothing else: `.ci/instructions` counts its instructions.
#![allow(missing_docs)]

use pivot_advice::{
    Advice, AggregateCall, AggregateKind, BagKey, BinaryOperator, CallArgument, EmitMode, Expr, Groups,
    Instruction, JoinKind, QueryId, TemporalFilter, UnpackedForm, Value,
};
use pivot_baggage::Baggage;
use std::collections::HashMap;
use std::hint::black_box;
use std::time::Instant;

const ROUNDS: usize = 41;
const EVENTS: u64 = 50_000;
const KEYS: usize = 64;

fn observe(field: &str) -> Instruction {
    Instruction::Observe { field: field.into() }
}

/// `delta > limit`
fn filter(limit: i64) -> Instruction {
    let limit = Expr::Literal(Value::I64(limit));
    Instruction::Filter { expr: Expr::binary(BinaryOperator::Greater, Expr::Column(1), limit) }
}

fn emit(keys: &[u16], folds: &[AggregateKind]) -> Instruction {
    let fold = |aggregate: &AggregateKind| AggregateCall {
        aggregate: *aggregate,
        input: CallArgument::Expr(Expr::Column(1)),
    };
    Instruction::Emit { keys: keys.to_vec(), folds: folds.iter().map(fold).collect(), form: EmitMode::Groups }
}

/// A query over `host`, `delta` and `app`.
fn query(number: u32, steps: Vec<Instruction>) -> Advice {
    let instructions = [observe("host"), observe("delta"), observe("app")].into_iter().chain(steps).collect();
    let tracepoint = "Bench.woven".into();
    Advice { query: QueryId::new(1, number), stage: 0, tracepoint, instructions }
}

/// What the request of every event carries.
const BAG: BagKey = BagKey { query: QueryId { frontend: 1, number: 1 }, stage: 1 };

/// The happened-before join with one tuple of one text.
fn unpack(matching: JoinKind) -> Instruction {
    Instruction::Unpack {
        bag: BAG,
        alias: "b".into(),
        columns: vec!["b.process".into()],
        aggregates: vec![],
        rows: UnpackedForm::Rows,
        matching,
        on: None,
    }
}

/// Packs `delta`, which is the same number in every event.
fn pack(keep: TemporalFilter) -> Instruction {
    let bag = BagKey { stage: 2, ..BAG };
    Instruction::Pack {
        bag,
        keep,
        keys: vec![2],
        folds: vec![AggregateCall {
            aggregate: AggregateKind::Sum,
            input: CallArgument::Expr(Expr::Column(1)),
        }],
    }
}

/// A request that carries one tuple.
fn request() -> Baggage {
    let mut groups = Groups::new(1, &[]);
    groups.entry(&[Value::str("FSread4m")]).n = 1;
    let mut baggage = Baggage::begin();
    baggage.pack(BAG, TemporalFilter::First(1), [groups]);
    baggage
}

fn queries(name: &str) -> Vec<Advice> {
    let sums = || emit(&[0], &[AggregateKind::Sum]);
    match name {
        "rejects" => vec![query(1, vec![filter(i64::MAX), sums()])],
        "count" => vec![query(1, vec![emit(&[0], &[])])],
        "sum" => vec![query(1, vec![sums()])],
        "filtered_sum" => vec![query(1, vec![filter(-1), sums()])],
        "sum_by_two" => vec![query(1, vec![emit(&[0, 2], &[AggregateKind::Sum])])],
        "quantile" => vec![query(1, vec![emit(&[0], &[AggregateKind::Histogram])])],
        "join" => {
            vec![query(1, vec![filter(-1), unpack(JoinKind::Inner), emit(&[3], &[AggregateKind::Sum])])]
        }
        "pack" => vec![query(1, vec![pack(TemporalFilter::All)])],
        "pack_first" => vec![query(1, vec![pack(TemporalFilter::First(1))])],
        "two_queries" => vec![query(1, vec![filter(-1), sums()]), query(2, vec![filter(-1), sums()])],
        // No executor but the interpreter runs a LEFT JOIN. It slows down no other query at its tracepoint.
        "left_join" => vec![left_join()],
        "left_join_and_count" => vec![left_join(), query(2, vec![emit(&[0], &[])])],
        _ => vec![],
    }
}

fn left_join() -> Advice {
    query(1, vec![unpack(JoinKind::Left), emit(&[3], &[])])
}

struct Events {
    hosts: Vec<String>,
    order: Vec<usize>,
}

impl Events {
    fn new() -> Events {
        let mut x = 88_172_645_463_325_252_u64;
        let mut random = || {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            x as usize
        };
        Events {
            hosts: (0..KEYS).map(|i| format!("host-{i:05}")).collect(),
            order: (0..4096).map(|_| random() % KEYS).collect(),
        }
    }

    #[inline(always)]
    fn host(&self, i: u64) -> &str {
        &self.hosts[self.order[i as usize & 4095]]
    }
}

#[inline(never)]
fn hit(events: &Events, n: u64) {
    for i in 0..n {
        let (host, delta) = (events.host(i), i as i64);
        pivot_agent::tracepoint!("Bench.woven", host: &str = host, delta: i64 = delta, app: &str = "web", end: i64 = i as i64);
    }
}

/// What the query `filtered_sum` does, by hand.
#[inline(never)]
fn by_hand(events: &Events, sums: &mut HashMap<String, (u64, i128)>, n: u64) {
    for i in 0..n {
        let (host, delta) = (events.host(i), black_box(i as i64));
        if delta > -1 {
            match sums.get_mut(host) {
                Some(sum) => *sum = (sum.0 + 1, sum.1 + i128::from(delta)),
                None => drop(sums.insert(host.to_owned(), (1, i128::from(delta)))),
            }
        }
    }
}

const NAMES: [&str; 13] = [
    "idle",
    "rejects",
    "count",
    "sum",
    "filtered_sum",
    "sum_by_two",
    "quantile",
    "join",
    "pack",
    "pack_first",
    "two_queries",
    "left_join",
    "left_join_and_count",
];

fn ns(run: impl FnOnce()) -> f64 {
    let start = Instant::now();
    run();
    start.elapsed().as_nanos() as f64 / EVENTS as f64
}

/// The budgets are for production.
fn weave(name: &str) {
    let problems = pivot_agent::weave(&queries(name));
    assert!(problems.is_empty(), "{problems:?}");
    pivot_agent::drain();
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let events = Events::new();
    pivot_baggage::set_carrying(true);
    let _scope = pivot_baggage::enter_request(Some(request()));
    if let [count, name, n] = &arguments[..]
        && count == "--count"
    {
        weave(name);
        hit(&events, 5_000);
        // An interpreted event takes so long under valgrind that each would be timed: clocks are not what is counted.
        if name.starts_with("left_join") {
            pivot_agent::run::chosen_executors::leave_untimed(u32::MAX);
        }
        return counted_turns(&events, n.parse().expect("a number of events"));
    }
    let mut sums = HashMap::new();
    by_hand(&events, &mut sums, EVENTS);
    let mut least = [[f64::INFINITY; 2]; NAMES.len()];
    let mut hand = f64::INFINITY;
    for _ in 0..ROUNDS {
        hand = hand.min(ns(|| by_hand(&events, &mut sums, EVENTS)));
        for (name, [one, two]) in NAMES.iter().zip(&mut least) {
            weave(name);
            hit(&events, EVENTS / 10);
            *one = one.min(ns(|| hit(&events, EVENTS)));
            *two = two.min(ns(|| both(&events)));
        }
    }
    println!("{:<14} {hand:>8.2} ns", "by hand");
    for (name, [one, two]) in NAMES.iter().zip(&least) {
        println!("{name:<14} {one:>8.2} ns   two threads {two:>8.2} ns   ratio {:>5.2}", two / one);
    }
}

fn both(events: &Events) {
    std::thread::scope(|threads| {
        threads.spawn(|| {
            let _scope = pivot_baggage::enter_request(Some(request()));
            hit(events, EVENTS);
        });
        hit(events, EVENTS);
    });
}

/// Only what runs in here is counted: by now groups and tables are there.
#[inline(never)]
fn counted_turns(events: &Events, n: u64) {
    hit(events, n);
}
