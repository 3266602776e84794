//! What is dropped is counted: rows that reported plus rows that are missing are all that there were.
#![allow(missing_docs, clippy::unwrap_used)]

mod harness;

use harness::{emit, part, query, serial, woven};
use pivot_advice::{Advice, BagKey, EmitMode, Instruction, JoinKind, TemporalFilter, UnpackedForm};
use pivot_agent::limits::MAX_GROUPS;
use pivot_agent::limits::MAX_ROWS;

/// How many rows have a group of their own, and how many are in the rest.
fn rows(part: &pivot_agent::QueryReport) -> (u64, u64) {
    let count = |groups: &Option<pivot_advice::Groups>| groups.iter().flatten().map(|group| group.n).sum();
    (count(&part.groups), count(&part.other))
}

fn event(n: u64) {
    pivot_agent::tracepoint!("Dropped.event", n: u64 = n);
}

/// The join with what a bag holds of `n`.
fn unpack(bag: BagKey, alias: &str) -> Instruction {
    Instruction::Unpack {
        bag,
        alias: alias.into(),
        columns: vec!["n".into()],
        aggregates: vec![],
        rows: UnpackedForm::Rows,
        matching: JoinKind::Inner,
        on: None,
    }
}

fn advice(stage: u16, tracepoint: &str, instructions: Vec<Instruction>) -> Advice {
    Advice { query: query(1), stage, tracepoint: tracepoint.into(), instructions }
}

fn events(advice: &Advice, events: u64) -> pivot_agent::QueryReport {
    part(&woven(std::slice::from_ref(advice), || (0..events).for_each(event)), 1)
}

#[test]
fn rows_beyond_the_budget_are_in_the_rest_or_counted() {
    let _serial = serial();
    let all = MAX_GROUPS as u64 + 321;
    let mut advice = emit(1, "Dropped.event", &["n"]);
    let groups = events(&advice, all);
    assert_eq!((rows(&groups), groups.loss.dropped), ((MAX_GROUPS as u64, 321), 0));
    if let Some(Instruction::Emit { form, .. }) = advice.instructions.last_mut() {
        *form = EmitMode::Rows;
    }
    let single = events(&advice, all);
    let (kept, rest) = rows(&single);
    assert_eq!((kept, kept + rest + single.loss.dropped), (MAX_GROUPS as u64, all));
}

#[test]
fn rows_of_one_event_beyond_the_bound_are_counted() {
    let _serial = serial();
    let bag = BagKey { query: query(1), stage: 1 };
    let observe = Instruction::Observe { field: "n".into() };
    let pack = Instruction::Pack { bag, keep: TemporalFilter::All, keys: vec![0], folds: vec![] };
    let emit = Instruction::Emit { keys: vec![], folds: vec![], form: EmitMode::Groups };
    let advice = [
        advice(1, "Dropped.event", vec![observe, pack]),
        advice(0, "Dropped.pairs", vec![unpack(bag, "a"), unpack(bag, "b"), emit]),
    ];
    let packed = 100_u64;
    pivot_baggage::set_carrying(true);
    let parts = woven(&advice, || {
        let _request = pivot_baggage::enter_request(None);
        (0..packed).for_each(event);
        pivot_agent::tracepoint!("Dropped.pairs");
    });
    let part = part(&parts, 1);
    let (kept, _) = rows(&part);
    assert_eq!(kept, MAX_ROWS as u64);
    assert_eq!(kept + part.loss.dropped, packed * packed);
}

#[test]
fn events_outside_of_any_request_are_counted_by_who_needs_one() {
    let _serial = serial();
    let bag = BagKey { query: query(1), stage: 1 };
    let observe = Instruction::Observe { field: "n".into() };
    let pack = Instruction::Pack { bag, keep: TemporalFilter::All, keys: vec![0], folds: vec![] };
    let advice = Advice {
        query: query(1),
        stage: 1,
        tracepoint: "Dropped.event".into(),
        instructions: vec![observe, pack],
    };
    let part = events(&advice, 5);
    assert_eq!((part.loss.outside_request, part.loss.dropped), (5, 0));
}

#[test]
fn what_is_chosen_among_rows_of_which_some_are_missing_is_lost() {
    let _serial = serial();
    let (all, first) = (BagKey { query: query(1), stage: 1 }, BagKey { query: query(1), stage: 2 });
    let observe = Instruction::Observe { field: "n".into() };
    let pack = |bag, keep| Instruction::Pack { bag, keep, keys: vec![0], folds: vec![] };
    let advice = [
        advice(2, "Dropped.event", vec![observe, pack(all, TemporalFilter::All)]),
        advice(1, "Dropped.pairs", vec![unpack(all, "a"), pack(first, TemporalFilter::First(1))]),
    ];
    pivot_baggage::set_carrying(true);
    // What a message has room for, and whether the choice can be told from what came.
    for (room, whole) in [(usize::MAX, true), (200, false)] {
        let parts = woven(&advice, || {
            let scope = pivot_baggage::enter_request(None);
            (0..500).for_each(event);
            let arrived = pivot_baggage::Baggage::decode(&scope.finish().encode_within(room)).unwrap();
            let scope = pivot_baggage::enter_request(Some(arrived));
            pivot_agent::tracepoint!("Dropped.pairs");
            let baggage = scope.finish();
            assert_eq!((baggage.unpack(first).is_some(), baggage.is_incomplete(first)), (whole, !whole));
            assert!(!baggage.accepts(first, TemporalFilter::First(1)));
        });
        assert_eq!(part(&parts, 1).loss.truncated, u64::from(!whole));
    }
    pivot_baggage::set_carrying(false);
}
