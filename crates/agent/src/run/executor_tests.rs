//! Holds the three executors to the same answers, value by value. The oracle does the same for whole queries, with
//! executors mixed at one tracepoint.

use crate::report::query_report::QueryReport;
use crate::report::thread_table::QueryTable;
use crate::run::advice_compiler::compile;
use crate::run::cells::Cells;
use crate::run::chosen_executors::ChosenExecutors;
use crate::run::fused::plan::FusedAdvice;
use crate::run::interpreter::{AdviceEffect, interpret};
use crate::run::ir::SchemaInterner;
use crate::run::sample::SampleDecision;
use crate::weave::name_linker::{FieldSource, LinkedAdvice};
use crate::weave::woven::ExecutorKind;
use pivot_advice::{
    Advice, AggregateCall, AggregateKind, AggregateState, BagKey, BinaryOperator, CallArgument, EmitMode,
    EvalErrors, Expr, Function, Group, Groups, Instruction, JoinKind, LossCounts, QueryId, TemporalFilter,
    UnaryOperator, UnitedBag, UnpackedForm, Value,
};
use pivot_baggage::Baggage;

fn same_groups(mine: &[Groups], theirs: &[Groups]) -> bool {
    let same = |(mine, theirs): (&Groups, &Groups)| {
        let has = |group: &Group| {
            theirs.get(&group.key).is_some_and(|other| {
                group.n == other.n && group.states.iter().zip(&other.states).all(same_state)
            })
        };
        mine.same_shape(theirs) && mine.len() == theirs.len() && mine.iter().all(has)
    };
    mine.len() == theirs.len() && mine.iter().zip(theirs).all(same)
}

fn same_state((mine, theirs): (&AggregateState, &AggregateState)) -> bool {
    mine == theirs || reads_alike(&format!("{mine:?}"), &format!("{theirs:?}"))
}

/// Whether two states read the same, but for the rounding of doubles, which depends on the order in which
/// they were added up. One that has met NaN does not equal itself, but reads the same.
fn reads_alike(mine: &str, theirs: &str) -> bool {
    let words = |text: &str| text.split(|c: char| " ,:()[]{}".contains(c)).map(str::to_owned).collect();
    let (mine, theirs): (Vec<String>, Vec<String>) = (words(mine), words(theirs));
    let double = |word: &str| word.contains(['.', 'e']).then(|| word.parse::<f64>().ok()).flatten();
    let alike = |(mine, theirs): (&String, &String)| match (double(mine), double(theirs)) {
        (Some(x), Some(y)) => mine == theirs || (x - y).abs() <= 1e-9 * x.abs().max(y.abs()).max(1.0),
        _ => mine == theirs,
    };
    mine.len() == theirs.len() && mine.iter().zip(&theirs).all(alike)
}

fn column(i: u16) -> Expr {
    Expr::Column(i)
}

fn literal(value: Value) -> Expr {
    Expr::Literal(value)
}

const BAG: BagKey = BagKey { query: QueryId { frontend: 1, number: 1 }, stage: 1 };

fn linked(fields: usize, steps: Vec<Instruction>) -> LinkedAdvice {
    let observe = |i| Instruction::Observe { field: format!("f{i}") };
    let instructions = (0..fields).map(observe).chain(steps).collect();
    let advice = Advice { query: BAG.query, stage: 0, tracepoint: "T".into(), instructions };
    crate::verify(&advice).expect("a sound advice");
    LinkedAdvice { sources: (0..fields).map(FieldSource::Exported).collect(), advice }
}

/// Both ways give the same part and leave the same baggage, for every event.
fn check_in(fields: usize, steps: Vec<Instruction>, events: &[Vec<Value>], begin: fn() -> Baggage) {
    let linked = linked(fields, steps);
    let compiled = compile(&linked, &mut SchemaInterner::new()).expect("an advice that is a compiled");
    let mut short = QueryTable::new(0);
    let (mut long, mut cells) = (QueryReport::empty(), Cells::default());
    let (mut mine, mut theirs) = (begin(), begin());
    let (fused, mut shortest) = (FusedAdvice::fuse(&compiled, "T"), QueryTable::new(0));
    shortest.groups.accepts(&compiled.schema);

    for event in events {
        let fields = |i: usize, cells: &mut Cells| cells.hold(&event[i]);
        if let Some(fused) = &fused {
            let _scope = pivot_baggage::enter_request(Some(begin()));
            assert!(fused.run(&fields, &mut cells, &mut shortest));
        }
        let mut errors = EvalErrors::default();
        if compiled.observe("T", &fields, &mut cells, &mut errors) {
            assert_eq!(compiled.finish(Some(&mut mine), &mut cells, &mut short, None, &mut errors), None);
        }
        short.report.loss.errors += errors.0;

        let mut loss = LossCounts::default();
        match interpret(&linked, event.clone(), Some(&theirs), 0, &mut loss) {
            Some(AdviceEffect::Emit(emission)) => long.add(&emission, SampleDecision::UNSAMPLED),
            Some(AdviceEffect::Pack(bag, keep, groups)) => {
                let taken = groups.iter().filter(|_| theirs.accepts(bag, keep));
                taken.for_each(|groups| long.cost.count_packed(groups));
                theirs.pack(bag, keep, groups);
            }
            Some(AdviceEffect::PackIncomplete(bag, rows)) => {
                theirs.mark_incomplete(bag, &rows);
                if !rows.is_empty() {
                    long.cost.count_packed(&rows);
                    theirs.pack(bag, TemporalFilter::All, [rows]);
                }
            }
            Some(AdviceEffect::Lose(bag, keep)) => theirs.mark_lost(bag, keep),
            None => {}
        }
        long.loss.merge(&loss);
    }

    if fused.is_some() {
        let report = shortest.into_report();
        assert_eq!((report.emitted, report.loss), (long.emitted, long.loss));
        assert!(same_groups(report.groups.as_slice(), long.groups.as_slice()));
        assert!(same_groups(report.other.as_slice(), long.other.as_slice()));
    }
    let report = short.into_report();
    assert_eq!((report.emitted, report.loss, report.cost), (long.emitted, long.loss, long.cost));
    assert_eq!(report.groups, long.groups);
    assert_eq!(report.other, long.other);
    let packed = BagKey { stage: 0, ..BAG };
    assert_eq!(mine.unpack(packed).as_deref(), theirs.unpack(packed).as_deref());
}

fn check(fields: usize, steps: Vec<Instruction>, events: &[Vec<Value>]) {
    check_in(fields, steps, events, Baggage::new);
}

fn events() -> Vec<Vec<Value>> {
    let values = [
        Value::Null,
        Value::I64(-3),
        Value::I64(7),
        Value::U64(7),
        Value::U64(u64::MAX),
        Value::F64(7.0),
        Value::F64(f64::NAN),
        Value::str("seven"),
        Value::str(""),
        Value::Bool(true),
        Value::Duration(7),
        Value::Timestamp(7),
        Value::List(vec![Value::I64(7), Value::str("x")].into()),
    ];
    let pairs = values.iter().flat_map(|a| values.iter().map(move |b| vec![a.clone(), b.clone()]));
    pairs.collect()
}

/// Without NaN as the second: a state that has met it does not equal itself.
fn numbers() -> Vec<Vec<Value>> {
    let mut numbers = events();
    numbers.retain(|event| !matches!(event[1], Value::F64(x) if x.is_nan()));
    numbers
}

fn emit(keys: &[u16], folds: Vec<(AggregateKind, Expr)>) -> Instruction {
    let fold = |(aggregate, expr)| AggregateCall { aggregate, input: CallArgument::Expr(expr) };
    Instruction::Emit {
        keys: keys.to_vec(),
        folds: folds.into_iter().map(fold).collect(),
        form: EmitMode::Groups,
    }
}

#[test]
fn every_aggregate_over_every_value_is_the_same() {
    let numbers = numbers();
    for aggregate in AggregateKind::ALL {
        check(2, vec![emit(&[0], vec![(aggregate, column(1))])], &numbers);
    }
    check(2, vec![emit(&[1, 0], vec![])], &events());
    check(
        2,
        vec![emit(&[], vec![(AggregateKind::Count, column(0)), (AggregateKind::Sum, column(1))])],
        &events(),
    );
}

#[test]
fn every_comparison_with_every_value_is_the_same() {
    use BinaryOperator::{Equal, Greater, GreaterEqual, Less, LessEqual, NotEqual};
    for op in [Equal, NotEqual, Less, LessEqual, Greater, GreaterEqual] {
        for limit in [Value::I64(7), Value::U64(7), Value::I64(-3), Value::F64(7.0), Value::str("seven")] {
            let expr = Expr::binary(op, column(1), literal(limit));
            check(2, vec![Instruction::Filter { expr }, emit(&[0], vec![])], &events());
        }
    }
}

#[test]
fn comparisons_and_sums_at_the_ends_of_numbers_are_the_same() {
    use BinaryOperator::{Equal, Greater, GreaterEqual, Less, LessEqual, NotEqual};
    let ends = [i64::MIN, i64::MIN + 1, -1, 0, 1, i64::MAX - 1, i64::MAX];
    let unsigned = [0, 1, i64::MAX.cast_unsigned(), u64::MAX / 2 + 1, u64::MAX].map(Value::U64);
    let durations = ends.map(Value::Duration);
    let kinds = [ends.map(Value::I64).to_vec(), unsigned.to_vec(), durations.to_vec()];
    let folds = || {
        [AggregateKind::Sum, AggregateKind::Count, AggregateKind::Average].map(|x| (x, column(1))).to_vec()
    };
    for values in &kinds {
        let events: Vec<_> = values.iter().chain(values).map(|x| vec![Value::str("a"), x.clone()]).collect();
        check(2, vec![emit(&[0], folds())], &events);
        for op in [Equal, NotEqual, Less, LessEqual, Greater, GreaterEqual] {
            for limit in ends {
                let expr = Expr::binary(op, column(1), literal(Value::I64(limit)));
                check(2, vec![Instruction::Filter { expr }, emit(&[0], folds())], &events);
            }
        }
    }
    let mixed: Vec<_> = kinds.iter().flatten().map(|x| vec![Value::Null, x.clone()]).collect();
    check(2, vec![emit(&[0], folds())], &mixed);
}

#[test]
fn the_commonest_routines_have_a_shorter_form() {
    let expr = Expr::binary(BinaryOperator::Greater, column(1), literal(Value::I64(7)));
    let above = || Instruction::Filter { expr: expr.clone() };
    let sum = |column| (AggregateKind::Sum, Expr::Column(column));
    let is_fused = |steps: Vec<Instruction>| {
        let compiled = compile(&linked(3, steps), &mut SchemaInterner::new());
        compiled.is_some_and(|compiled| FusedAdvice::fuse(&compiled, "T").is_some())
    };
    assert!(is_fused(vec![emit(&[], vec![])]));
    assert!(is_fused(vec![emit(&[0], vec![sum(1), sum(1)])]));
    assert!(is_fused(vec![above(), emit(&[0, 2], vec![sum(1), (AggregateKind::Count, column(1))])]));
    assert!(is_fused(vec![above(), emit(&[2], vec![sum(0)])]));
    assert!(!is_fused(vec![above(), emit(&[1], vec![sum(0)])]));
    assert!(!is_fused(vec![emit(&[2], vec![sum(0), sum(1)])]));
    assert!(is_fused(vec![emit(&[0], vec![(AggregateKind::Max, column(1)), sum(1)])]));
    let larger = Expr::binary(BinaryOperator::Add, column(1), literal(Value::I64(1)));
    assert!(!is_fused(vec![emit(&[0], vec![(AggregateKind::Sum, larger)])]));
    assert!(!is_fused(vec![emit(&[0, 1, 2], vec![])]));
    assert!(is_fused(vec![unpack(None), emit(&[3, 0], vec![sum(4)])]));
    assert!(is_fused(vec![above(), unpack(None), emit(&[0, 4], vec![sum(1)])]));
    assert!(!is_fused(vec![unpack(None), above(), emit(&[0], vec![])]));
}

#[test]
fn columns_that_are_computed_are_the_same() {
    let sum = Expr::binary(BinaryOperator::Add, column(0), column(1));
    let larger = Expr::binary(BinaryOperator::Greater, column(2), literal(Value::I64(3)));
    let steps = vec![
        Instruction::Let { name: "sum".into(), expr: sum.clone() },
        Instruction::Filter { expr: larger },
        emit(&[2], vec![(AggregateKind::Max, sum)]),
    ];
    check(2, steps, &events());
}

#[test]
fn groups_beyond_the_budget_are_the_same() {
    let events: Vec<_> = (0..2_500_u64).map(|i| vec![Value::U64(i), Value::U64(1)]).collect();
    check(2, vec![emit(&[0], vec![(AggregateKind::Sum, column(1))])], &events);
}

#[test]
fn expressions_over_every_value_are_the_same() {
    use BinaryOperator::*;
    let is_null = |i| Expr::Unary(UnaryOperator::IsNull, Box::new(column(i)));
    let not = |expr| Expr::Unary(UnaryOperator::Not, Box::new(expr));
    let negated = |i| Expr::Unary(UnaryOperator::Negate, Box::new(column(i)));
    let mut exprs = vec![is_null(0), not(column(0)), negated(1)];
    let ops = [Add, Subtract, Multiply, Divide, Remainder, Concat, Equal, NotEqual, Less, LessEqual];
    exprs.extend(ops.map(|op| Expr::binary(op, column(0), column(1))));
    let conditions = [
        Expr::binary(Greater, column(0), literal(Value::I64(0))),
        Expr::binary(Equal, column(1), literal(Value::str("seven"))),
        column(1),
    ];
    for x in &conditions {
        for y in &conditions {
            exprs.extend([And, Or].map(|op| not(Expr::binary(op, x.clone(), y.clone()))));
        }
    }
    exprs.push(Expr::Call(Function::Coalesce, vec![column(0), literal(Value::str("none"))]));
    exprs.push(Expr::In(Box::new(column(0)), vec![column(1), literal(Value::U64(7))]));
    for expr in exprs {
        let condition = vec![Instruction::Filter { expr: expr.clone() }, emit(&[0], vec![])];
        check(2, condition, &events());
        check(2, vec![Instruction::Let { name: "x".into(), expr }, emit(&[2], vec![])], &events());
    }
}

#[test]
fn texts_of_every_length_are_the_same() {
    let text = |i: usize| Value::str("0123456789abcdefghi".repeat(2).split_at(i).0);
    let events: Vec<_> = (0..30).chain(10..20).map(|i| vec![text(i), text(i / 2)]).collect();
    check(2, vec![emit(&[0, 1], vec![(AggregateKind::Count, column(0))])], &events);
    check(2, vec![emit(&[1], vec![(AggregateKind::Max, column(0))])], &events);
    check(2, vec![emit(&[1, 0, 1], vec![(AggregateKind::Top, column(1))])], &events);
    for limit in [0, 7, 15, 16, 25] {
        let expr = Expr::binary(BinaryOperator::Equal, column(0), literal(text(limit)));
        check(2, vec![Instruction::Filter { expr }, emit(&[1], vec![])], &events);
    }
}

#[test]
fn only_doubles_may_be_rounded_otherwise() {
    assert!(reads_alike("n: 6, squares: 0.75", "n: 6, squares: 0.7500000000000001"));
    assert!(reads_alike("mean: NaN", "mean: NaN"));
    assert!(!reads_alike("n: 6, squares: 0.75", "n: 7, squares: 0.75"));
    assert!(!reads_alike("mean: 0.75", "mean: 0.7501"));
    assert!(!reads_alike("sum: 1e300", "sum: 1.1e300"));
}

/// A request in which groups were packed whose keys are pairs of the events' values.
fn packed() -> Baggage {
    let mut groups = Groups::new(2, &[AggregateKind::Sum, AggregateKind::Any]);
    for (i, event) in events().iter().enumerate() {
        let group = groups.entry(event);
        group.n += i as u64 % 3 + 1;
        let sum = Value::I64(i as i64);
        group.states.iter_mut().for_each(|state| state.update(&sum, 1, &mut EvalErrors::default()));
    }
    let mut baggage = Baggage::new();
    baggage.pack(BAG, TemporalFilter::All, [groups]);
    baggage
}

fn unpack(on: Option<Expr>) -> Instruction {
    Instruction::Unpack {
        bag: BAG,
        alias: "b".into(),
        columns: vec!["x".into(), "y".into()],
        aggregates: vec![AggregateKind::Sum, AggregateKind::Any],
        rows: UnpackedForm::Rows,
        matching: JoinKind::Inner,
        on,
    }
}

/// Ends that use what was observed, what was unpacked, and its states.
fn ends() -> Vec<Instruction> {
    let fold = |aggregate, input| AggregateCall { aggregate, input };
    let folds = vec![
        fold(AggregateKind::Count, CallArgument::Expr(column(2))),
        fold(AggregateKind::Any, CallArgument::State(1)),
        fold(AggregateKind::Sum, CallArgument::State(0)),
        fold(AggregateKind::Sum, CallArgument::Expr(column(1))),
    ];
    let (keys, bag) = (vec![0, 3], BagKey { stage: 0, ..BAG });
    vec![
        Instruction::Emit { keys: keys.clone(), folds: folds.clone(), form: EmitMode::Groups },
        Instruction::Pack { bag, keep: TemporalFilter::All, keys, folds },
    ]
}

#[test]
fn joins_are_the_same() {
    let same = Expr::binary(BinaryOperator::Equal, column(0), column(2));
    let fewer = || Instruction::Filter { expr: Expr::binary(BinaryOperator::Less, column(1), column(3)) };
    let sum = || Instruction::Let {
        name: "s".into(),
        expr: Expr::binary(BinaryOperator::Add, column(1), column(3)),
    };
    for end in ends() {
        for on in [None, Some(same.clone())] {
            check_in(2, vec![unpack(on.clone()), end.clone()], &numbers()[..20], packed);
            check_in(2, vec![fewer_before(), unpack(on.clone()), end.clone()], &numbers(), packed);
            check_in(2, vec![unpack(on.clone()), fewer(), sum(), end.clone()], &numbers()[..20], packed);
            check_in(2, vec![unpack(on), end.clone()], &numbers(), Baggage::new);
        }
    }
}

#[test]
fn joins_of_which_nothing_more_is_asked_are_the_same() {
    let sum = |column| (AggregateKind::Sum, Expr::Column(column));
    let count = |column| (AggregateKind::Count, Expr::Column(column));
    let ends = [
        emit(&[2], vec![sum(1)]),
        emit(&[0, 3], vec![count(1)]),
        emit(&[3, 2], vec![sum(2), count(2)]),
        emit(&[], vec![sum(3)]),
        emit(&[2], vec![]),
    ];
    // Without NaN: what has met it does not equal itself.
    let several = || {
        let mut groups = Groups::new(2, &[AggregateKind::Sum, AggregateKind::Any]);
        let is_nan = |value: &Value| matches!(value, Value::F64(x) if x.is_nan());
        let keys = events().into_iter().filter(|event| !event.iter().any(is_nan));
        keys.enumerate().for_each(|(i, key)| groups.entry(&key).n = i as u64 % 3 + 1);
        let mut baggage = Baggage::new();
        baggage.pack(BAG, TemporalFilter::All, [groups]);
        baggage
    };
    let texts = || {
        let mut groups = Groups::new(2, &[AggregateKind::Sum, AggregateKind::Any]);
        let key = |i| [Value::str(format!("a text of number {}, long", i % 7)), Value::I64(i)];
        (0..20).for_each(|i| groups.entry(&key(i)).n = 1);
        let mut baggage = Baggage::new();
        baggage.pack(BAG, TemporalFilter::All, [groups]);
        baggage
    };
    let chosen = || {
        let mut groups = Groups::new(2, &[AggregateKind::Sum, AggregateKind::Any]);
        groups.entry(&[Value::str("x"), Value::U64(u64::MAX)]).n = 3;
        groups.entry(&[Value::str("y"), Value::Duration(5)]).n = 1;
        let mut baggage = Baggage::new();
        baggage.pack(BAG, TemporalFilter::First(2), [groups.clone(), groups]);
        baggage
    };
    for end in ends {
        for begin in [several as fn() -> Baggage, texts, chosen, Baggage::new] {
            check_in(2, vec![unpack(None), end.clone()], &numbers()[..40], begin);
            check_in(2, vec![fewer_before(), unpack(None), end.clone()], &numbers(), begin);
        }
    }
}

fn fewer_before() -> Instruction {
    Instruction::Filter { expr: Expr::binary(BinaryOperator::Equal, column(1), literal(Value::I64(7))) }
}

#[test]
fn a_bag_of_another_shape_and_too_many_rows_are_the_same() {
    let narrow = || {
        let mut groups = Groups::new(1, &[]);
        groups.entry(&[Value::Null]).n = 1;
        let mut baggage = Baggage::new();
        baggage.pack(BAG, TemporalFilter::All, [groups]);
        baggage
    };
    let large = || {
        let mut groups = Groups::new(2, &[AggregateKind::Sum, AggregateKind::Any]);
        let key = |i| [Value::U64(i), Value::str("a text that does not fit into a cell")];
        (0..5_000).for_each(|i| groups.entry(&key(i)).n = 2);
        let mut baggage = Baggage::new();
        baggage.pack(BAG, TemporalFilter::All, [groups]);
        baggage
    };
    for end in ends() {
        check_in(2, vec![unpack(None), end.clone()], &numbers()[..3], narrow);
        check_in(2, vec![unpack(None), end], &numbers()[..3], large);
    }
}

#[test]
fn rows_that_claim_to_count_for_all_numbers_are_the_same() {
    let beyond = || {
        let mut groups = Groups::new(2, &[AggregateKind::Sum, AggregateKind::Any]);
        for (i, n) in [u64::MAX, 2, 1, 1].into_iter().enumerate() {
            groups.entry(&[Value::str("x"), Value::U64(i as u64)]).n = n;
        }
        let mut baggage = Baggage::new();
        baggage.pack(BAG, TemporalFilter::All, [groups]);
        baggage
    };
    let is_any = || Expr::binary(BinaryOperator::GreaterEqual, column(3), literal(Value::I64(0)));
    let any = Instruction::Filter { expr: is_any() };
    for end in [emit(&[2], vec![]), emit(&[2], vec![(AggregateKind::Count, column(1))])] {
        check_in(2, vec![unpack(None), end.clone()], &numbers()[..20], beyond);
        check_in(2, vec![unpack(None), any.clone(), end], &numbers()[..20], beyond);
    }
}

#[test]
fn packs_are_the_same() {
    let bag = BagKey { stage: 0, ..BAG };
    for keep in [
        TemporalFilter::All,
        TemporalFilter::First(1),
        TemporalFilter::First(30),
        TemporalFilter::MostRecent(2),
    ] {
        let fold = AggregateCall { aggregate: AggregateKind::Sum, input: CallArgument::Expr(column(1)) };
        let pack = Instruction::Pack { bag, keep, keys: vec![0], folds: vec![fold] };
        // Integers: a sum without a value is an error, which a tuple that is not kept does not count.
        let integers: Vec<_> = (0..60).map(|i| vec![Value::I64(i % 7), Value::I64(i)]).collect();
        check(2, vec![pack], &integers);
    }
}

#[test]
fn packs_of_every_value_under_every_key_are_the_same() {
    let bag = BagKey { stage: 0, ..BAG };
    let fold = |aggregate| AggregateCall { aggregate, input: CallArgument::Expr(column(1)) };
    let folds =
        [AggregateKind::Sum, AggregateKind::Count, AggregateKind::Average, AggregateKind::Max].map(fold);
    let ends = [i64::MIN, i64::MIN / 2, -70, -1, 0, 1, 70, i64::MAX / 2, i64::MAX];
    let sums = ends.iter().flat_map(|x| {
        let of = |value: Value| vec![Value::str("a text that does not fit into a cell"), value];
        [of(Value::I64(*x)), of(Value::U64(x.unsigned_abs())), of(Value::Duration(*x))]
    });
    let sums: Vec<_> = sums.collect();
    let kinds: Vec<Vec<_>> =
        (0..3).map(|kind| sums.iter().skip(kind).step_by(3).cloned().collect()).collect();
    for count in 0..=4 {
        let pack = |keys: &[u16]| Instruction::Pack {
            bag,
            keep: TemporalFilter::All,
            keys: keys.to_vec(),
            folds: folds[..count].to_vec(),
        };
        for events in kinds.iter().chain([&numbers(), &sums]) {
            let twice: Vec<_> = events.iter().chain(events).cloned().collect();
            check(2, vec![pack(&[0])], &twice);
            check(2, vec![pack(&[0, 1])], &twice);
        }
    }
}

#[test]
fn what_needs_more_than_a_routine_is_interpreted() {
    let left = match unpack(None) {
        Instruction::Unpack { bag, alias, columns, aggregates, rows, on, .. } => {
            let matching = JoinKind::Left;
            Instruction::Unpack { bag, alias, columns, aggregates, rows, matching, on }
        }
        other => other,
    };
    let first = Instruction::Pack { bag: BAG, keep: TemporalFilter::First(1), keys: vec![], folds: vec![] };
    let is_none = |steps| compile(&linked(0, steps), &mut SchemaInterner::new()).is_none();
    assert!(is_none(vec![left, emit(&[], vec![])]));
    assert!(is_none(vec![unpack(None), unpack(None), emit(&[], vec![])]));
    assert!(is_none(vec![unpack(None), first]));
    assert!(is_none(vec![union(JoinKind::Inner), emit(&[0], vec![])]));
}

/// A join with the groups of the bag and of another one, of which no group is in a request.
fn union(matching: JoinKind) -> Instruction {
    let united = |bag| UnitedBag {
        bag,
        width: 2,
        aggregates: vec![AggregateKind::Sum, AggregateKind::Any],
        rows: UnpackedForm::Rows,
        having: None,
        values: vec![column(1)],
    };
    let bags = vec![united(BAG), united(BagKey { stage: 9, ..BAG })];
    Instruction::UnpackUnion { alias: "u".into(), columns: vec!["y".into()], bags, matching, on: None }
}

#[test]
fn a_union_lacks_what_one_of_its_bags_may_lack() {
    let report = |baggage: Option<Baggage>, matching| {
        let linked = linked(2, vec![union(matching), emit(&[0], vec![])]);
        let mut chosen = ChosenExecutors::new(vec![(linked, ExecutorKind::Fused)]);
        chosen.run(&[vec![Value::I64(1), Value::I64(2)]], baggage);
        chosen.into_reports().remove(&BAG.query).expect("the query ran")
    };

    // Nothing is there: certainly, or because one of the two is lost, whichever.
    for (lost, uncertain) in [(None, 0), (Some(BAG.stage), 1), (Some(9), 1)] {
        for matching in [JoinKind::Left, JoinKind::Anti] {
            let mut baggage = Baggage::begin();
            if let Some(stage) = lost {
                baggage.mark_lost(BagKey { stage, ..BAG }, TemporalFilter::First(1));
            }
            let report = report(Some(baggage), matching);
            assert_eq!((report.emitted, report.loss.uncertain), (1, uncertain), "{matching:?}");
        }
    }

    // What is found in one bag is found.
    assert_eq!(report(Some(packed()), JoinKind::Anti).emitted, 0);
    let outside = report(None, JoinKind::Left);
    assert_eq!((outside.emitted, outside.loss.without_request), (1, 1));
}

/// Advice of another query at the same tracepoint.
fn of_query(number: u32, mut linked: LinkedAdvice) -> LinkedAdvice {
    linked.advice.query = QueryId::new(1, number);
    linked
}

fn left_join() -> LinkedAdvice {
    let mut unpack = unpack(None);
    if let Instruction::Unpack { matching, .. } = &mut unpack {
        *matching = JoinKind::Left;
    }
    linked(2, vec![unpack, emit(&[0], vec![])])
}

#[test]
fn a_query_that_must_be_interpreted_slows_no_other_at_its_tracepoint() {
    let count = || of_query(2, linked(2, vec![emit(&[0], vec![])]));
    let executors = ChosenExecutors::new(vec![
        (left_join(), ExecutorKind::Fused),
        (count(), ExecutorKind::Fused),
        (of_query(3, linked(3, vec![emit(&[0, 1, 2], vec![])])), ExecutorKind::Fused),
        (of_query(4, count()), ExecutorKind::Compiled),
    ]);
    let kinds =
        [ExecutorKind::Interpreted, ExecutorKind::Fused, ExecutorKind::Compiled, ExecutorKind::Compiled];
    assert_eq!(executors.kinds(), kinds);
}

#[test]
fn packs_of_an_event_are_not_seen_by_its_own_advice_whatever_runs_it() {
    use ExecutorKind::{Compiled, Fused, Interpreted};
    let pack = || {
        let pack = Instruction::Pack { bag: BAG, keep: TemporalFilter::All, keys: vec![0, 1], folds: vec![] };
        linked(2, vec![pack])
    };
    let join = || {
        let mut unpack = unpack(None);
        if let Instruction::Unpack { aggregates, .. } = &mut unpack {
            aggregates.clear();
        }
        linked(2, vec![unpack, emit(&[2], vec![])])
    };
    let event = vec![Value::str("x"), Value::I64(1)];

    for packs in [Compiled, Interpreted] {
        for joins in [Fused, Compiled, Interpreted] {
            let mut executors = ChosenExecutors::new(vec![(pack(), packs), (join(), joins)]);
            let mut baggage = Some(Baggage::begin());
            for _ in 0..3 {
                baggage = executors.run(&[event.clone(), event.clone()], baggage);
            }

            // The first event meets no tuple, the second one, the third two.
            let report = executors.into_reports().remove(&BAG.query).expect("the query ran");
            assert_eq!(report.emitted, 3, "{packs:?} {joins:?}");
            let packed = baggage.as_ref().and_then(|baggage| baggage.unpack(BAG));
            assert_eq!(packed.and_then(|rows| rows.get(&event).map(|group| group.n)), Some(3));
        }
    }
}

#[test]
fn events_outside_any_request_are_counted_alike() {
    let above = Expr::binary(BinaryOperator::Greater, column(1), literal(Value::I64(3)));
    let pack = Instruction::Pack {
        bag: BagKey { stage: 0, ..BAG },
        keep: TemporalFilter::All,
        keys: vec![0],
        folds: vec![],
    };
    let all = events().len() as u64;
    let ways = [
        (vec![unpack(Some(literal(Value::Bool(false)))), emit(&[3], vec![])], (all, 0)),
        (vec![unpack(None), pack.clone()], (all, 0)),
        (vec![unpack(None), emit(&[3], vec![])], (all, 0)),
        (vec![pack], (0, all)),
        (vec![Instruction::Filter { expr: above }, unpack(None), emit(&[3], vec![])], (52, 0)),
    ];
    for (steps, expected) in ways {
        for kind in [ExecutorKind::Fused, ExecutorKind::Compiled, ExecutorKind::Interpreted] {
            let mut chosen = ChosenExecutors::new(vec![(linked(2, steps.clone()), kind)]);
            for event in events() {
                assert!(chosen.run(&[event], None).is_none());
            }
            let reports = chosen.into_reports();
            let loss = reports.values().next().map(|report| report.loss).unwrap_or_default();
            assert_eq!((loss.without_request, loss.outside_request), expected, "{kind:?}: {steps:?}");
        }
    }
}
