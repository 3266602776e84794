//! A throttled query looks at some requests only; what it finds in them stands for all of them.
#![allow(missing_docs, clippy::unwrap_used)]

mod harness;

use harness::{part, query, serial};
use pivot_advice::{
    Advice, AggregateCall, AggregateKind, AggregateState, BagKey, CallArgument, EmitMode, EvalErrors, Expr,
    FinalFunction, Instruction, JoinKind, TemporalFilter, UnpackedForm,
};
use pivot_agent::{CpuBudget, QueryReport};
use std::time::Duration;

fn fold(aggregate: AggregateKind, column: u16) -> AggregateCall {
    AggregateCall { aggregate, input: CallArgument::Expr(Expr::Column(column)) }
}

fn observe(field: &str) -> Instruction {
    Instruction::Observe { field: field.into() }
}

fn advice(stage: u16, tracepoint: &str, instructions: Vec<Instruction>) -> Advice {
    Advice { query: query(1), stage, tracepoint: tracepoint.into(), instructions }
}

const BAG: BagKey = BagKey { query: pivot_advice::QueryId { frontend: 1, number: 1 }, stage: 1 };

/// COUNT and SUM(n) by `class`.
fn counting() -> Advice {
    let emit =
        Instruction::Emit { keys: vec![0], folds: vec![fold(AggregateKind::Sum, 1)], form: EmitMode::Groups };
    advice(0, "Throttled.event", vec![observe("class"), observe("n"), emit])
}

/// COUNT and SUM of the `n` that were packed before.
fn joined(matching: JoinKind) -> [Advice; 2] {
    // What is only to be absent needs no columns.
    let keys = if matching == JoinKind::Anti { vec![] } else { vec![0] };
    let pack = Instruction::Pack { bag: BAG, keep: TemporalFilter::All, keys, folds: vec![] };
    let unpack = Instruction::Unpack {
        bag: BAG,
        alias: "p".into(),
        columns: if matching == JoinKind::Anti { vec![] } else { vec!["n".into()] },
        aggregates: vec![],
        rows: UnpackedForm::Rows,
        matching,
        on: None,
    };
    let folds = if matching == JoinKind::Anti { vec![] } else { vec![fold(AggregateKind::Sum, 0)] };
    let emit = Instruction::Emit { keys: vec![], folds, form: EmitMode::Groups };
    [
        advice(1, "Throttled.packed", vec![observe("n"), pack]),
        advice(0, "Throttled.joined", vec![unpack, emit]),
    ]
}

fn event(class: u64, n: u64) {
    pivot_agent::tracepoint!("Throttled.event", class: u64 = class, n: u64 = n);
}

fn packed(n: u64) {
    pivot_agent::tracepoint!("Throttled.packed", n: u64 = n);
}

fn join() {
    pivot_agent::tracepoint!("Throttled.joined");
}

/// As if the request had been in another process, where the query looks at one request in so many.
fn elsewhere(requests: u32) {
    pivot_baggage::with_current(|baggage| baggage.unwrap().lower_sampling_rate(1.0 / f64::from(requests)));
}

/// COUNT and SUM over all groups that satisfy a condition on their first key, scaled ones included.
fn totals(part: &QueryReport, is_meant: impl Fn(Option<i128>) -> bool) -> (f64, f64) {
    let groups = part.groups.iter().chain(&part.sampled.groups).flatten();
    let meant = groups.filter(|group| is_meant(group.key.first().and_then(|key| key.as_integer())));
    meant.fold((0.0, 0.0), |(n, sum), group| {
        let state = group.states.first().map(|s| s.finish(FinalFunction::Plain, &mut EvalErrors::default()));
        let own = state.and_then(|value| value.as_f64()).unwrap_or(0.0);
        (n + group.n as f64, sum + own)
    })
}

/// What requests add up to, and the variance of an estimate that looks at each with one chance in a weight.
#[derive(Default)]
struct Truth {
    sum: f64,
    variance: f64,
}

impl Truth {
    fn add(&mut self, own: f64, weight: u32) {
        self.sum += own;
        self.variance += own * own * f64::from(weight - 1);
    }

    /// Within five standard errors, which an honest estimate leaves once in two million times.
    fn check(&self, estimate: f64) {
        let error = self.variance.sqrt();
        assert!((estimate - self.sum).abs() <= 5.0 * error, "{estimate} ± {error} for {}", self.sum);
    }
}

/// Weaves, runs, and gives what was emitted; `run` may change how many requests are looked at.
fn woven(advice: &[Advice], run: impl FnOnce()) -> QueryReport {
    pivot_agent::drain();
    pivot_baggage::set_carrying(true);
    assert_eq!(pivot_agent::weave(advice), []);
    run();
    pivot_agent::weave(&[]);
    part(&pivot_agent::drain(), 1)
}

fn request(run: impl FnOnce()) {
    let _request = pivot_baggage::enter_request(None);
    run();
}

#[test]
fn counts_and_sums_are_those_of_all_requests() {
    let _serial = serial();
    for weight in [2, 3, 17] {
        let (mut count, mut sum) = (Truth::default(), Truth::default());
        let part = woven(&[counting()], || {
            pivot_agent::sample_one_in(query(1), weight);
            for i in 0..20_000_u64 {
                let events = i % 4;
                request(|| (0..events).for_each(|n| event(0, 10 + n)));
                count.add(events as f64, weight);
                sum.add((0..events).map(|n| 10 + n).sum::<u64>() as f64, weight);
            }
        });
        let (n, added) = totals(&part, |_| true);
        count.check(n);
        sum.check(added);
        assert_eq!(part.emitted + part.loss.throttled, 30_000);
        assert!(part.groups.is_none() && n == part.emitted as f64 * f64::from(weight));
        assert_eq!(part.sampled.fraction(), 1.0 / f64::from(weight));
    }
}

#[test]
fn counts_in_lists_are_those_of_all_requests_too() {
    let _serial = serial();
    let folds =
        vec![fold(AggregateKind::Histogram, 1), fold(AggregateKind::Tally, 1), fold(AggregateKind::Top, 1)];
    let emit = Instruction::Emit { keys: vec![0], folds, form: EmitMode::Groups };
    let advice = advice(0, "Throttled.event", vec![observe("class"), observe("n"), emit]);
    let part = woven(&[advice], || {
        for i in 0..3_000 {
            pivot_agent::sample_one_in(query(1), [2, 7][i % 2]);
            request(|| (0..3).for_each(|n| event(0, n)));
        }
    });
    assert!(part.groups.is_none());
    for group in part.sampled.groups.iter().flatten() {
        assert_eq!(group.n % 3, 0);
        let each = group.n / 3;
        for state in &group.states {
            let counts: Vec<u64> = match state {
                AggregateState::Histogram(found) => {
                    found.buckets().iter().map(|bucket| bucket.count).collect()
                }
                AggregateState::Tally(found) => found.counts.values().copied().collect(),
                AggregateState::Top(found) => found.ranked().iter().map(|counter| counter.count).collect(),
                other => panic!("{other:?}"),
            };
            assert_eq!(counts, [each; 3], "{state:?}");
        }
    }
}

#[test]
fn a_rate_that_changes_on_the_way_weighs_each_request_by_its_own() {
    let _serial = serial();
    let mut truth = Truth::default();
    let part = woven(&[counting()], || {
        for (i, weight) in (0..24_000).zip([1_u32, 2, 8, 3].into_iter().cycle()) {
            pivot_agent::sample_one_in(query(1), weight);
            request(|| (0..3).for_each(|n| event(i % 2, n)));
            truth.add(3.0, weight);
        }
    });
    truth.check(totals(&part, |_| true).0);
    // What was looked at without a rate is exact, and apart.
    let whole: u64 = part.groups.iter().flatten().map(|group| group.n).sum();
    assert_eq!(whole, 18_000);
}

#[test]
fn in_a_join_the_smallest_rate_on_the_way_decides() {
    let _serial = serial();
    let rates = [(1, 1), (4, 1), (1, 5), (2, 7), (9, 3)];
    let (mut count, mut sum) = (Truth::default(), Truth::default());
    let part = woven(&joined(JoinKind::Inner), || {
        for (_, (here, there)) in (0..25_000).zip(rates.into_iter().cycle()) {
            pivot_agent::sample_one_in(query(1), here);
            request(|| {
                (0..2).for_each(|n| packed(5 + n));
                elsewhere(there);
                join();
            });
            count.add(2.0, here.max(there));
            sum.add(11.0, here.max(there));
        }
    });
    let (n, added) = totals(&part, |_| true);
    count.check(n);
    sum.check(added);
    assert_eq!(part.loss.uncertain + part.loss.truncated, 0);
}

#[test]
fn a_request_that_is_not_looked_at_is_not_taken_for_one_without_a_match() {
    let _serial = serial();
    for matching in [JoinKind::Left, JoinKind::Anti] {
        let mut unmatched = Truth::default();
        let part = woven(&joined(matching), || {
            for i in 0..20_000 {
                // The rate goes up and down between the two events too.
                pivot_agent::sample_one_in(query(1), 6);
                request(|| {
                    if i % 3 > 0 {
                        packed(1);
                        pivot_agent::sample_one_in(query(1), 1 + i % 2);
                    }
                    join();
                });
                if i % 3 == 0 {
                    unmatched.add(1.0, 6);
                }
            }
        });
        assert_eq!(part.loss.errors + part.loss.uncertain, 0);
        let (n, sum) = totals(&part, |_| true);
        // Of a LEFT join each match has a sum of 1; an ANTI join has only rows without one.
        unmatched.check(n - if matching == JoinKind::Left { sum } else { 0.0 });
    }
}

#[test]
fn events_outside_of_requests_decide_for_themselves() {
    let _serial = serial();
    let mut truth = Truth::default();
    let part = woven(&[counting()], || {
        pivot_agent::sample_one_in(query(1), 5);
        for _ in 0..20_000 {
            event(0, 1);
            truth.add(1.0, 5);
        }
    });
    truth.check(totals(&part, |_| true).0);
    let parts = part.sampled.groups.iter().flatten().count();
    assert_eq!(parts, 16, "the events are of all parts");
}

#[test]
fn rows_that_are_the_result_themselves_are_not_repeated() {
    let _serial = serial();
    let mut rows = counting();
    let emit = Instruction::Emit { keys: vec![0, 1], folds: vec![], form: EmitMode::Rows };
    *rows.instructions.last_mut().unwrap() = emit;
    let part = woven(&[rows], || {
        pivot_agent::sample_one_in(query(1), 3);
        (0..300).for_each(|i| request(|| event(0, i)));
    });
    assert!(part.sampled.is_empty());
    assert!(part.groups.iter().flatten().all(|group| group.n == 1));
    assert_eq!(part.emitted + part.loss.throttled, 300);
}

#[test]
fn a_sample_has_room_for_as_many_groups_in_each_part_and_the_others_are_kept_together() {
    let _serial = serial();
    let mut truth = Truth::default();
    let part = woven(&[counting()], || {
        pivot_agent::sample_one_in(query(1), 2);
        for i in 0..80_000 {
            event(i, 1);
            truth.add(1.0, 2);
        }
    });
    let most = 16 * pivot_agent::limits::MAX_GROUPS;
    let groups = part.sampled.groups.iter().flatten().count();
    assert!(groups <= most && groups >= pivot_agent::limits::MAX_GROUPS, "{groups} groups");
    let other: u64 = part.other.iter().flatten().map(|group| group.n).sum();
    assert!(other > 0);
    truth.check(totals(&part, |_| true).0 + other as f64);
}

/// The same through the budget itself: what it costs decides how many are looked at.
#[test]
fn a_query_beyond_its_budget_still_counts_all_requests() {
    fn burn() -> u64 {
        let begun = std::time::Instant::now();
        while begun.elapsed() < Duration::from_micros(20) {
            std::hint::spin_loop();
        }
        1
    }
    let _serial = serial();
    pivot_agent::set_cpu_budget(CpuBudget { query: 0.005, all: 0.5 });
    let mut part = QueryReport::empty();
    let mut truth = Truth::default();
    pivot_agent::drain();
    pivot_agent::weave(&[counting()]);
    for _ in 0..12 {
        let weight = (1.0 / pivot_agent::statuses()[0].keep.max(1e-9)).round() as u32;
        for _ in 0..2_000 {
            request(|| pivot_agent::tracepoint!("Throttled.event", class: u64 = 0, n: u64 = burn()));
            truth.add(1.0, weight);
        }
        let drained = pivot_agent::drain();
        let costs = drained.iter().map(|(query, part)| (*query, part.cost)).collect();
        // As if these events had taken a second.
        pivot_agent::govern(&costs, 1_000_000_000);
        drained.into_values().for_each(|drained| part.merge(drained));
    }
    pivot_agent::weave(&[]);
    pivot_agent::set_cpu_budget(CpuBudget::default());
    assert!(part.loss.throttled > 0, "{:?}", part.cost);
    truth.check(totals(&part, |_| true).0);
}
