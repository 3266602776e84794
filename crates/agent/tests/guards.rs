//! Each guard of the agent, provoked.
#![allow(missing_docs, clippy::unwrap_used)]

mod harness;

use harness::{emit, keys, part, query, serial, woven};
use pivot_advice::{AggregateCall, AggregateKind, CallArgument, EmitMode, Expr, Instruction};
use pivot_agent::limits::{MAX_BYTES, MAX_GROUPS};
use pivot_agent::{CpuBudget, Export, QueryState};
use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

const SECOND: u64 = 1_000_000_000;

fn states() -> BTreeMap<u32, QueryState> {
    pivot_agent::statuses().into_iter().map(|status| (status.query.number, status.state)).collect()
}

fn hit(n: u64) {
    pivot_agent::tracepoint!("Guard.plain", n: u64 = n);
}

#[test]
fn an_event_that_a_field_expression_hits_is_skipped_and_counted() {
    struct Curious;
    impl fmt::Display for Curious {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            hit(7);
            f.write_str("curious")
        }
    }
    let _serial = serial();
    let before = pivot_agent::skipped_events();
    let parts = woven(&[emit(1, "Guard.outer", &["text"]), emit(2, "Guard.plain", &["n"])], || {
        pivot_agent::tracepoint!("Guard.outer", text = %Curious);
        hit(1);
    });
    assert_eq!(keys(&part(&parts, 1)), ["curious"]);
    assert_eq!(keys(&part(&parts, 2)), ["1"]);
    assert_eq!(pivot_agent::skipped_events() - before, 1);
}

#[test]
fn a_panic_puts_its_query_away_and_harms_nobody_else() {
    fn dangerous(n: u64) {
        pivot_agent::tracepoint!("Guard.panic", inverse: u64 = 100 / n, n: u64 = n);
    }
    let _serial = serial();
    let parts = woven(
        &[
            emit(1, "Guard.panic", &["inverse"]),
            emit(2, "Guard.panic", &["n"]),
            emit(3, "Guard.plain", &["n"]),
        ],
        || {
            [5, 0, 4].into_iter().for_each(dangerous);
            assert_eq!(
                states(),
                BTreeMap::from([
                    (1, QueryState::Quarantined),
                    (2, QueryState::Active),
                    (3, QueryState::Active)
                ])
            );
            pivot_agent::govern(&BTreeMap::new(), SECOND);
            // It stays away as long as the frontend wants it.
            let again = [emit(1, "Guard.panic", &["inverse"]), emit(2, "Guard.panic", &["n"])];
            pivot_agent::weave(&again);
            dangerous(2);
            let status = pivot_agent::statuses().swap_remove(0);
            assert!(status.detail.contains("divide by zero"), "{status:?}");
        },
    );
    assert_eq!((keys(&part(&parts, 1)), part(&parts, 1).loss.errors), (vec!["20".into()], 1));
    assert_eq!(keys(&part(&parts, 2)), ["0", "2", "4", "5"]);
    // Installed anew, it gets another chance.
    let parts = woven(&[emit(1, "Guard.panic", &["inverse"])], || dangerous(4));
    assert_eq!(keys(&part(&parts, 1)), ["25"]);
}

#[test]
fn a_panic_whose_payload_panics_stays_inside() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("once more");
        }
    }
    fn explode() -> u64 {
        std::panic::panic_any(Bomb)
    }
    let _serial = serial();
    let parts = woven(&[emit(1, "Guard.bomb", &["n"]), emit(2, "Guard.plain", &["n"])], || {
        pivot_agent::tracepoint!("Guard.bomb", n: u64 = explode());
        hit(1);
    });
    assert_eq!(part(&parts, 1).loss.errors, 1);
    assert_eq!(keys(&part(&parts, 2)), ["1"]);
}

#[test]
fn any_number_of_advices_at_one_tracepoint_is_unwoven_on_a_small_stack() {
    let _serial = serial();
    let one = emit(1, "Guard.plain", &["n"]);
    let many: Vec<_> = (0..20_000).map(|stage| pivot_advice::Advice { stage, ..one.clone() }).collect();
    let thread = std::thread::Builder::new().stack_size(256 << 10);
    let thread = thread.spawn(move || part(&woven(&many, || hit(1)), 1).emitted);
    assert_eq!(thread.unwrap().join().unwrap(), 20_000);
}

fn burn(time: Duration) -> u64 {
    let begun = Instant::now();
    while begun.elapsed() < time {
        std::hint::spin_loop();
    }
    1
}

fn expensive() {
    pivot_agent::tracepoint!("Guard.expensive", cost: u64 = burn(Duration::from_millis(1)));
}

/// Runs so many events, then tells the budgets that a second has passed.
fn second(events: usize, event: impl Fn()) -> pivot_agent::QueryReport {
    (0..events).for_each(|_| event());
    let drained = pivot_agent::drain();
    let costs = drained.iter().map(|(query, part)| (*query, part.cost)).collect();
    pivot_agent::govern(&costs, SECOND);
    part(&drained, 1)
}

#[test]
fn a_query_beyond_its_cpu_budget_looks_at_less_and_says_so() {
    let _serial = serial();
    pivot_agent::drain();
    pivot_agent::weave(&[emit(1, "Guard.expensive", &["cost"])]);
    let first = second(100, expensive);
    assert_eq!((first.emitted, first.cost.events), (100, 100));
    assert!(first.cost.busy_ns >= 100 * 1_000_000, "{:?}", first.cost);
    second(100, expensive);
    assert_eq!(states()[&1], QueryState::Throttled);
    let throttled: Vec<_> = (0..5).map(|_| second(100, expensive)).collect();
    let (emitted, skipped) =
        throttled.iter().fold((0, 0), |sum, part| (sum.0 + part.emitted, sum.1 + part.loss.throttled));
    assert_eq!(emitted + skipped, 500);
    assert!(emitted < 250, "{emitted} of 500 events were looked at");
    pivot_agent::weave(&[]);
}

#[test]
fn a_query_that_never_fits_rests() {
    let _serial = serial();
    pivot_agent::set_cpu_budget(CpuBudget { query: 1e-9, all: 1e-9 });
    pivot_agent::drain();
    pivot_agent::weave(&[emit(1, "Guard.plain", &["n"])]);
    for _ in 0..6 {
        second(2_000, || hit(1));
    }
    let status = pivot_agent::statuses().swap_remove(0);
    assert_eq!((status.state, status.keep), (QueryState::Throttled, 0.0), "{status:?}");
    assert_eq!(second(10, || hit(1)).cost.events, 0);
    pivot_agent::set_cpu_budget(CpuBudget::default());
    pivot_agent::weave(&[]);
}

#[test]
fn throttling_looks_at_whole_requests() {
    fn request() {
        let _request = pivot_baggage::enter_request(None);
        pivot_agent::tracepoint!("Guard.first", cost: u64 = burn(Duration::from_millis(1)));
        pivot_agent::tracepoint!("Guard.second");
    }
    let _serial = serial();
    pivot_agent::drain();
    let advice = [emit(1, "Guard.first", &["request", "cost"]), emit(1, "Guard.second", &["request"])];
    let advice = {
        let [mut first, mut second] = advice;
        // One query with two stages, whose groups have the same shape.
        first.instructions.truncate(2);
        let costs = Expr::binary(
            pivot_advice::BinaryOperator::Greater,
            Expr::Column(1),
            Expr::Literal(0_u64.export()),
        );
        first.instructions.push(Instruction::Filter { expr: costs });
        first.instructions.push(Instruction::Emit { keys: vec![0], folds: vec![], form: EmitMode::Groups });
        second.stage = 1;
        [first, second]
    };
    assert_eq!(pivot_agent::weave(&advice), []);
    second(200, request);
    second(200, request);
    assert_eq!(states()[&1], QueryState::Throttled);
    // How few are looked at depends on how busy the machine was; it is one in 256 at least.
    let mut counts: Vec<u64> = Vec::new();
    for _ in 0..50 {
        (0..600).for_each(|_| request());
        let part = part(&pivot_agent::drain(), 1);
        let weight = (1.0 / pivot_agent::statuses()[0].keep).round() as u64;
        counts.extend(part.sampled.groups.iter().flatten().map(|group| group.n / weight));
        assert!(part.groups.is_none(), "an event of a throttled query was counted once");
        if !counts.is_empty() {
            break;
        }
    }
    assert!(!counts.is_empty() && counts.len() < 500, "{} requests were looked at", counts.len());
    assert!(counts.iter().all(|n| *n == 2), "a request was looked at in part");
    pivot_agent::weave(&[]);
}

/// COUNT and SUM of `n`, grouped by it or by a text of that many bytes.
fn summed(bytes: Option<usize>, events: u64) -> pivot_agent::QueryReport {
    let field = if bytes.is_some() { "text" } else { "n" };
    let fold = AggregateCall { aggregate: AggregateKind::Sum, input: CallArgument::Expr(Expr::Column(1)) };
    let instructions = vec![
        Instruction::Observe { field: field.into() },
        Instruction::Observe { field: "n".into() },
        Instruction::Emit { keys: vec![0], folds: vec![fold], form: EmitMode::Groups },
    ];
    let advice =
        pivot_advice::Advice { query: query(1), stage: 0, tracepoint: "Guard.groups".into(), instructions };
    let parts = woven(&[advice], || {
        for n in 0..events {
            let text = || format!("{n:0width$}", width = bytes.unwrap_or_default());
            pivot_agent::tracepoint!("Guard.groups", n: u64 = n, text: String = text());
        }
    });
    part(&parts, 1)
}

/// The rows that have their own group, those that have not, and the sum over both.
fn counted(part: &pivot_agent::QueryReport) -> (u64, u64, i128) {
    let count = |groups: &Option<pivot_advice::Groups>| groups.iter().flatten().map(|g| g.n).sum();
    let sum = part.groups.iter().flatten().chain(part.other.iter().flatten()).map(|group| {
        group.states[0]
            .finish(pivot_advice::FinalFunction::default(), &mut pivot_advice::EvalErrors::default())
            .as_integer()
            .unwrap_or(0)
    });
    (count(&part.groups), count(&part.other), sum.sum())
}

#[test]
fn rows_beyond_the_group_budget_are_kept_together() {
    let _serial = serial();
    let part = summed(None, 3_000);
    assert_eq!(counted(&part), (MAX_GROUPS as u64, 3_000 - MAX_GROUPS as u64, (0..3_000).sum()));
    assert!(part.loss.is_zero());
}

#[test]
fn rows_beyond_the_memory_budget_are_kept_together() {
    let _serial = serial();
    let part = summed(Some(50_000), 300);
    let (own, other, sum) = counted(&part);
    assert_eq!((own + other, sum), (300, (0..300).sum()));
    assert!(other > 0 && own >= 50, "{own} groups of 50,000 bytes each");
    assert!(part.bytes() <= MAX_BYTES + 100_000);
}

#[test]
fn groups_of_many_threads_stay_within_the_budget_too() {
    let _serial = serial();
    let parts = woven(&[emit(1, "Guard.plain", &["n"])], || {
        std::thread::scope(|threads| {
            for thread in 0..4_u64 {
                threads.spawn(move || (0..900).for_each(|n| hit(thread * 450 + n)));
            }
        });
    });
    let part = part(&parts, 1);
    let rows = |groups: &Option<pivot_advice::Groups>| groups.iter().flatten().map(|g| g.n).sum::<u64>();
    assert_eq!(part.groups.as_ref().map(pivot_advice::Groups::len), Some(MAX_GROUPS));
    assert_eq!((part.emitted, rows(&part.groups) + rows(&part.other)), (3_600, 3_600));
}

#[test]
fn the_kill_switch_unweaves_everything_and_lets_it_come_back() {
    let _serial = serial();
    let parts = woven(&[emit(1, "Guard.plain", &["n"])], || {
        hit(1);
        pivot_agent::disable();
        hit(2);
        assert_eq!(states()[&1], QueryState::Disabled);
        pivot_agent::weave(&[emit(1, "Guard.plain", &["n"]), emit(2, "Guard.plain", &["n"])]);
        hit(3);
        pivot_agent::enable();
        hit(4);
        assert_eq!(states()[&1], QueryState::Active);
    });
    assert_eq!(
        (keys(&part(&parts, 1)), keys(&part(&parts, 2))),
        (vec!["1".into(), "4".into()], vec!["4".into()])
    );
}

#[test]
fn advices_of_one_query_that_do_not_agree_lose_rows_and_nothing_else() {
    let _serial = serial();
    let mut other = emit(1, "Guard.plain", &["n", "thread"]);
    other.stage = 1;
    let parts = woven(&[emit(1, "Guard.plain", &["n"]), other], || hit(1));
    let part = part(&parts, 1);
    assert_eq!((keys(&part), part.emitted, part.loss.dropped), (vec!["1".into()], 2, 1));
}

#[test]
fn statuses_tell_what_is_missing_here() {
    let _serial = serial();
    let advice =
        [emit(1, "Guard.nowhere", &[]), emit(2, "Guard.plain", &["colour"]), emit(3, "Guard.plain", &["n"])];
    let problems = pivot_agent::weave(&advice);
    assert_eq!(problems.len(), 1);
    let expected = [(1, QueryState::Pending), (2, QueryState::Problem), (3, QueryState::Active)];
    assert_eq!(states(), BTreeMap::from(expected));
    pivot_agent::weave(&[]);
}

#[test]
fn an_event_that_goes_on_for_long_delays_only_itself() {
    let _serial = serial();
    pivot_agent::drain();
    pivot_agent::weave(&[emit(1, "Guard.slow", &["n"]), emit(2, "Guard.plain", &["n"])]);
    let (entered, wait_entered) = std::sync::mpsc::channel();
    let (go_on, wait_go_on) = std::sync::mpsc::channel::<()>();
    let slow = std::thread::spawn(move || {
        let stay = || {
            entered.send(()).unwrap();
            wait_go_on.recv().unwrap();
            9_u64
        };
        pivot_agent::tracepoint!("Guard.slow", n: u64 = stay());
        hit(2);
    });
    wait_entered.recv().unwrap();
    hit(1);
    let drained = pivot_agent::drain();
    assert_eq!((keys(&part(&drained, 2)), part(&drained, 1).emitted), (vec!["1".into()], 0));
    pivot_agent::weave(&[emit(2, "Guard.plain", &["n"])]);
    go_on.send(()).unwrap();
    slow.join().unwrap();
    let drained = pivot_agent::drain();
    assert_eq!((keys(&part(&drained, 1)), keys(&part(&drained, 2))), (vec!["9".into()], vec!["2".into()]));
    pivot_agent::weave(&[]);
    assert!(pivot_agent::drain().is_empty());
}

#[test]
fn threads_that_work_for_the_agent_have_no_events() {
    let _serial = serial();
    let parts = woven(&[emit(1, "Guard.plain", &["n"])], || {
        let before = pivot_agent::skipped_events();
        let own = || {
            pivot_agent::exempt_this_thread();
            hit(1);
        };
        std::thread::spawn(own).join().unwrap();
        assert_eq!(pivot_agent::skipped_events(), before);
        hit(2);
    });
    assert_eq!(keys(&part(&parts, 1)), ["2"]);
}

#[test]
fn events_of_a_thread_that_ends_are_counted_and_its_rows_kept() {
    struct AtEnd;
    impl Drop for AtEnd {
        fn drop(&mut self) {
            hit(2);
        }
    }
    thread_local!(static AT_END: AtEnd = const { AtEnd });
    let _serial = serial();
    let before = pivot_agent::skipped_events();
    let parts = woven(&[emit(1, "Guard.plain", &["n"])], || {
        let thread = || {
            // Registered first, so that it is dropped last.
            AT_END.with(|_| ());
            hit(1);
        };
        std::thread::spawn(thread).join().unwrap();
    });
    let part = part(&parts, 1);
    assert_eq!(part.emitted + (pivot_agent::skipped_events() - before), 2);
    assert_eq!(keys(&part)[0], "1");
}
