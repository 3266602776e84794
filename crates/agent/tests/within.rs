//! What a query asks for with `WITHIN` is enforced in this process, below the defaults and above them up to the
//! process's ceiling.
#![allow(missing_docs, clippy::unwrap_used)]

mod harness;

use harness::{emit, query, serial};
use pivot_advice::{BinaryOperator, Expr, Groups, Instruction, QueryBudget, QueryCost, Value};
use pivot_agent::{QueryReport, QueryState, set_budget_ceiling, set_query_budgets, tracepoint};
use std::collections::BTreeMap;
use std::thread;

fn budget(text: &str) -> QueryBudget {
    text.parse().unwrap()
}

/// Sets what query 1 asks for, and the process's ceiling.
fn ask(asked: &str, ceiling: &str) {
    set_budget_ceiling(budget(ceiling));
    set_query_budgets(&BTreeMap::from([(query(1), budget(asked))]));
}

/// Lets 200 different keys pass in each of two threads, while `advice` is woven, and returns the report of query 1.
fn report_of_two_threads(advice: &[pivot_advice::Advice]) -> QueryReport {
    let hits = || (0..200_u64).for_each(|n| tracepoint!("Within.hit", n: u64 = n));
    let reports = harness::woven(advice, || {
        hits();
        thread::spawn(hits).join().unwrap();
    });
    harness::part(&reports, 1)
}

fn rows(groups: Option<&Groups>) -> u64 {
    groups.into_iter().flatten().map(|group| group.n).sum()
}

#[test]
fn groups_are_limited_in_every_executor_and_no_row_is_lost() {
    let _serial = serial();
    let fused = emit(1, "Within.hit", &["n"]);
    // Only the interpreter knows lists.
    let mut interpreted = fused.clone();
    let list = || Expr::Literal(Value::List([].into()));
    let condition = Expr::binary(BinaryOperator::Equal, list(), list());
    interpreted.instructions.insert(1, Instruction::Filter { expr: condition });

    for (asked, ceiling, expected) in [
        ("groups 10", "", 10),
        ("groups 150", "groups 100", 100),
        ("groups 5000", "groups 9000", 200),
        ("cpu 1%", "", 200),
    ] {
        for advice in [&fused, &interpreted] {
            ask(asked, ceiling);
            let report = report_of_two_threads(std::slice::from_ref(advice));
            let groups = report.groups.as_ref();
            assert_eq!(groups.map_or(0, Groups::len), expected, "{asked}, at most {ceiling}");
            assert_eq!(rows(groups) + rows(report.other.as_ref()), 400);
            assert_eq!(report.other.is_some(), expected < 200);
        }
    }

    // Above the default of 1,000 only as far as the ceiling goes.
    for (ceiling, expected) in [("", 1_000), ("groups 1500", 1_500)] {
        ask("groups 2000", ceiling);
        let reports = harness::woven(std::slice::from_ref(&fused), || {
            (0..2_000_u64).for_each(|n| tracepoint!("Within.hit", n: u64 = n));
        });
        assert_eq!(harness::part(&reports, 1).groups.map_or(0, |groups| groups.len()), expected);
    }
    set_query_budgets(&BTreeMap::new());
}

#[test]
fn the_processor_is_limited_by_the_querys_own_share() {
    let _serial = serial();
    let advice = [emit(1, "Within.cpu", &[]), emit(2, "Within.cpu", &[])];
    ask("cpu 0.1%", "");
    assert_eq!(pivot_agent::weave(&advice), []);
    tracepoint!("Within.cpu");

    // Both use 0.3 % of a core: within the default of half a percent, but more than the first asked for.
    for _ in 0..3 {
        let cost = QueryCost { busy_ns: 3_000_000, ..QueryCost::default() };
        pivot_agent::govern(&BTreeMap::from([(query(1), cost), (query(2), cost)]), 1_000_000_000);
    }
    let statuses = pivot_agent::statuses();
    assert_eq!(statuses[0].state, QueryState::Throttled);
    assert_eq!(statuses[1].state, QueryState::Active);

    // Each says what it was granted.
    assert_eq!(statuses[0].granted, Some(budget("cpu 0.1%")));
    assert_eq!(statuses[1].granted, Some(budget("")));
    pivot_agent::weave(&[]);
    pivot_agent::drain();
    set_query_budgets(&BTreeMap::new());
}

#[test]
fn bytes_limit_what_a_query_packs() {
    let _serial = serial();
    let bag = pivot_advice::BagKey { query: query(1), stage: 1 };
    let advice = pivot_advice::Advice {
        query: query(1),
        stage: 1,
        tracepoint: "Within.pack".into(),
        instructions: vec![
            Instruction::Observe { field: "key".into() },
            Instruction::Pack { bag, keep: pivot_advice::TemporalFilter::All, keys: vec![0], folds: vec![] },
        ],
    };
    let packed = || {
        assert_eq!(pivot_agent::weave(std::slice::from_ref(&advice)), []);
        pivot_baggage::set_carrying(true);
        let scope = pivot_baggage::enter_request(None);
        (0..50_u64)
            .for_each(|n| tracepoint!("Within.pack", key: &str = &format!("a key of some length {n}")));
        let rows = pivot_baggage::with_current(|baggage| {
            baggage.and_then(|baggage| baggage.unpack(bag).map(|rows| rows.len())).unwrap_or(0)
        });
        drop(scope);
        pivot_agent::weave(&[]);
        pivot_agent::drain();
        rows
    };

    ask("groups 3", "");
    assert_eq!(packed(), 50);
    ask("bytes 300B", "");
    assert!((1..50).contains(&packed()), "{}", packed());
    set_query_budgets(&BTreeMap::new());
}
