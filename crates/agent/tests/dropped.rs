//! What is dropped is counted: rows that reported plus rows that are missing are all that there were.
#![allow(missing_docs, clippy::unwrap_used)]

mod harness;

use harness::{emit, part, query, serial, woven};
use pivot_advice::{
    Advice, BagKey, EmitMode, Expr, Instruction, JoinKind, JoinSide, TemporalFilter, UnaryOperator,
    UnpackedForm,
};
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
    assert!(!part.loss.is_zero(), "tuples are missing");
}

/// Hits a tracepoint that joins what was packed, in a thread of this name.
fn join_in_thread(thread: &str, events: u64) {
    let work = move || (0..events).for_each(|n| pivot_agent::tracepoint!("Dropped.joins", n: u64 = n));
    std::thread::Builder::new().name(thread.to_owned()).spawn(work).unwrap().join().unwrap();
}

#[test]
fn joins_outside_of_any_request_are_counted_where_they_ran() {
    let _serial = serial();
    let bag = BagKey { query: query(1), stage: 1 };
    let emit = || Instruction::Emit { keys: vec![], folds: vec![], form: EmitMode::Groups };
    let pack = Instruction::Pack {
        bag: BagKey { query: query(1), stage: 2 },
        keep: TemporalFilter::All,
        keys: vec![0],
        folds: vec![],
    };
    let left = |alias| match unpack(bag, alias) {
        Instruction::Unpack { bag, alias, columns, aggregates, rows, on, .. } => {
            Instruction::Unpack { bag, alias, columns, aggregates, rows, on, matching: JoinKind::Left }
        }
        other => other,
    };
    // Fused, compiled, and interpreted: two joins, and one that keeps its rows.
    let observe = || Instruction::Observe { field: "n".into() };
    let small = Instruction::Filter { expr: Expr::Unary(UnaryOperator::IsNull, Box::new(Expr::Column(0))) };
    for (instructions, rows) in [
        (vec![unpack(bag, "a"), emit()], 0),
        (vec![unpack(bag, "a"), pack], 0),
        (vec![unpack(bag, "a"), unpack(bag, "b"), emit()], 0),
        (vec![left("a"), left("b"), emit()], 7),
    ] {
        let parts = woven(&[advice(0, "Dropped.joins", instructions)], || {
            join_in_thread("raft-core", 3);
            join_in_thread("raft-core", 2);
            join_in_thread("raft-log", 2);
            let _request = pivot_baggage::enter_request(None);
            pivot_agent::tracepoint!("Dropped.joins", n: u64 = 1);
        });
        let part = part(&parts, 1);
        assert_eq!((part.loss.without_request, part.loss.outside_request), (7, 0));
        assert!(part.loss.is_zero(), "whether rows are missing is for the reader to say");
        let places = part.outside.of_side(JoinSide::Unpacks);
        let found: Vec<_> =
            places.iter().map(|place| (&place.tracepoint[..], &place.thread[..], place.events)).collect();
        assert_eq!(found, [("Dropped.joins", "raft-core", 5), ("Dropped.joins", "raft-log", 2)]);
        assert!(part.emitted >= rows);
    }

    // What a condition has rejected before is no row, and what joins nothing needs no request.
    for instructions in [vec![observe(), small, unpack(bag, "a"), emit()], vec![emit()]] {
        let parts = woven(&[advice(0, "Dropped.joins", instructions)], || join_in_thread("raft-core", 3));
        let part = part(&parts, 1);
        assert_eq!((part.loss.without_request, part.outside.iter().count()), (0, 0));
    }
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
