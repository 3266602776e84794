//! Small cases of which a person knows the answer, for the evaluator itself.

use crate::oracle::case::Case;
use crate::oracle::language::query::{
    AggregateFunction, BinaryOp, Join, JoinKind, Query, QueryExpr, SelectItem, Source, TemporalKeep,
};
use crate::oracle::reference::aggregates::ExpectedCell;
use crate::oracle::reference::evaluator::{EvaluationWindow, Evaluator, PackOrder};
use crate::oracle::run::event_dag::{Event, EventDag, RunStep};
use pivot_advice::Value;
use std::cmp::Ordering;

const WINDOW: EvaluationWindow<'static> = EvaluationWindow { seconds: 1.0, fraction: None, events: None };

/// Tuples are packed in the order of the steps.
struct StepPackOrder;

impl PackOrder for StepPackOrder {
    fn compare(&self, _: usize, _: usize, a: usize, b: usize) -> Ordering {
        a.cmp(&b)
    }
}

fn event(branch: usize, tracepoint: &str, v: i64) -> RunStep {
    let values = vec![("v".to_owned(), Value::I64(v))];
    RunStep::Event(branch, Event { tracepoint: tracepoint.to_owned(), values })
}

fn tracepoint(name: &str) -> Source {
    Source::Tracepoint(name.to_owned())
}

fn join(kind: JoinKind, alias: &str, source: Source, after: &str) -> Join {
    Join { kind, alias: alias.to_owned(), sources: vec![source], after: after.to_owned(), condition: None }
}

/// `FROM e IN E .. SELECT columns`
fn query(joins: Vec<Join>, select: &[(&str, &str)]) -> Query {
    let item =
        |(alias, field): &(&str, &str)| SelectItem { expr: QueryExpr::column(alias, field), name: None };
    let select = select.iter().map(item).collect();
    Query { alias: "e".into(), from: vec![tracepoint("E")], joins, select, ..Query::default() }
}

fn check(query: &Query, steps: &[RunStep], expected: &[&str]) {
    let dag = EventDag::record(steps).expect("the steps are a run");
    let rows =
        Evaluator::new(query, &dag, &StepPackOrder, WINDOW).answer(query).expect("there are few rows").rows;

    let shown = |row: &Vec<ExpectedCell>| {
        let cells = row.iter().map(|cell| match cell {
            ExpectedCell::Value(value) => value.to_string(),
            other => format!("{other:?}"),
        });
        cells.collect::<Vec<_>>().join(" ")
    };

    let mut rows: Vec<String> = rows.iter().map(shown).collect();
    if query.order.is_empty() {
        rows.sort();
    }

    assert_eq!(rows, expected, "{query}");
}

/// Two branches that each pass A, one of them B before; then they meet, and E follows.
fn meeting() -> Vec<RunStep> {
    vec![
        RunStep::Request,
        RunStep::Fork(0, 1),
        event(0, "B", 7),
        event(0, "A", 1),
        event(1, "A", 2),
        event(1, "E", 10),
        RunStep::Join(0, 1),
        event(0, "E", 20),
    ]
}

#[test]
fn a_join_has_every_tuple_that_happened_before() {
    let query = query(vec![join(JoinKind::Inner, "a", tracepoint("A"), "e")], &[("e", "v"), ("a", "v")]);
    check(&query, &meeting(), &["10 2", "20 1", "20 2"]);
}

#[test]
fn the_kind_of_a_join_governs_its_subtree() {
    let below = || join(JoinKind::Inner, "b", tracepoint("B"), "a");
    let left = query(
        vec![join(JoinKind::Left, "a", tracepoint("A"), "e"), below()],
        &[("e", "v"), ("a", "v"), ("b", "v")],
    );
    check(&left, &meeting(), &["10 null null", "20 1 7"]);
    let anti = query(vec![join(JoinKind::Anti, "a", tracepoint("A"), "e"), below()], &[("e", "v")]);
    check(&anti, &meeting(), &["10"]);
}

#[test]
fn a_chosen_tuple_holds_its_slot_without_rows() {
    let recent = Source::Temporal {
        keep: TemporalKeep::MostRecent,
        n: 1,
        source: Box::new(tracepoint("A")),
        condition: None,
    };
    let joins =
        vec![join(JoinKind::Inner, "a", recent, "e"), join(JoinKind::Inner, "b", tracepoint("B"), "a")];
    // The most recent A before the second E is the one without a B before it.
    check(&query(joins, &[("e", "v"), ("b", "v")]), &meeting(), &[]);
}

#[test]
fn a_condition_inside_a_temporal_source_decides_what_enters() {
    let small =
        QueryExpr::binary(BinaryOp::Less, QueryExpr::Name("v".into()), QueryExpr::Literal(Value::I64(2)));
    let recent = |condition| Source::Temporal {
        keep: TemporalKeep::MostRecent,
        n: 1,
        source: Box::new(tracepoint("A")),
        condition,
    };

    let inside = query(vec![join(JoinKind::Inner, "a", recent(Some(small)), "e")], &[("e", "v"), ("a", "v")]);
    check(&inside, &meeting(), &["20 1"]);
    let mut outside = join(JoinKind::Inner, "a", recent(None), "e");
    outside.condition = Some(QueryExpr::binary(
        BinaryOp::Less,
        QueryExpr::column("a", "v"),
        QueryExpr::Literal(Value::I64(2)),
    ));
    check(&query(vec![outside], &[("e", "v"), ("a", "v")]), &meeting(), &[]);
}

#[test]
fn an_aggregating_source_sees_what_happened_before_each_occurrence() {
    let sum = QueryExpr::Aggregate(AggregateFunction::Sum, Box::new(QueryExpr::column("x", "v")));
    let inner = Query {
        alias: "x".into(),
        from: vec![tracepoint("A")],
        select: vec![SelectItem { expr: sum, name: Some("total".into()) }],
        ..Query::default()
    };
    let joined = join(JoinKind::Inner, "a", Source::Query(Box::new(inner)), "e");
    check(&query(vec![joined], &[("e", "v"), ("a", "total")]), &meeting(), &["10 2", "20 3"]);
}

#[test]
fn an_element_of_a_list_is_a_tuple() {
    let list = Value::List([Value::I64(4), Value::Null, Value::I64(4)].into());
    let values = vec![("v".to_owned(), list)];
    let lists = RunStep::Event(0, Event { tracepoint: "E".into(), values });
    let steps = vec![RunStep::Request, lists, event(0, "E", 1)];
    let unnested = Source::Unnest(Box::new(tracepoint("E")), "v".into());
    let query = Query { from: vec![unnested], ..query(vec![], &[("e", "v")]) };
    check(&query, &steps, &["4", "4", "null"]);
}

#[test]
fn the_whole_language_prints_and_evaluates() {
    let mut rows = 0;
    for seed in 0..400 {
        let case = Case::random(seed);
        assert!(!case.query.to_string().is_empty());
        let query = case.query.written_out(&[]);
        let dag = EventDag::record(&case.steps).expect("the steps are a run");
        let answer = Evaluator::new(&query, &dag, &StepPackOrder, WINDOW).answer(&query);
        rows += answer.map_or(0, |answer| answer.rows.len());
    }
    assert!(rows > 400, "only {rows} rows");
}
