//! What goes to the wire comes back the same, and what never was on it is refused.
#![allow(missing_docs, clippy::unwrap_used)]

use pivot_advice::*;
use pivot_protocol::{ProtocolError, from_wire, to_wire, wire};
use proptest::prelude::*;
use prost::Message;

fn values() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::I64),
        any::<u64>().prop_map(Value::U64),
        any::<f64>().prop_map(Value::F64),
        ".*".prop_map(Value::str),
        any::<i64>().prop_map(Value::Timestamp),
        any::<i64>().prop_map(Value::Duration),
    ];
    prop_oneof![4 => scalar.clone(), 1 => prop::collection::vec(scalar, 0..4).prop_map(|v| Value::List(v.into()))]
}

fn exprs() -> impl Strategy<Value = Expr> {
    let leaf = prop_oneof![any::<u16>().prop_map(Expr::Column), values().prop_map(Expr::Literal)];
    leaf.prop_recursive(5, 40, 3, |inner| {
        let boxed = inner.clone().prop_map(Box::new);
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(x, y)| Expr::binary(BinaryOperator::LessEqual, x, y)),
            boxed.clone().prop_map(|x| Expr::Unary(UnaryOperator::IsNull, x)),
            boxed.clone().prop_map(|x| Expr::Cast(x, Type::F64.list())),
            boxed.clone().prop_map(|x| Expr::Matches(x, Pattern::Like("a%".into()))),
            boxed.clone().prop_map(|x| Expr::Matches(x, Pattern::regex("^a+$").unwrap())),
            boxed.clone().prop_map(|x| Expr::Extract(x, Pattern::regex("(a)(b)").unwrap(), 2)),
            (boxed, prop::collection::vec(inner.clone(), 0..3)).prop_map(|(x, list)| Expr::In(x, list)),
            prop::collection::vec(inner.clone(), 1..4).prop_map(|list| Expr::Call(Function::Coalesce, list)),
            (prop::collection::vec((inner.clone(), inner.clone()), 1..3), prop::option::of(inner))
                .prop_map(|(arms, otherwise)| Expr::Case(arms, otherwise.map(Box::new))),
        ]
    })
}

fn finished() -> Vec<FinalColumn> {
    let linear = FinalFunction::Linear { least: 0.5, step: 2.0, count: 9, durations: true };
    let all = [
        FinalFunction::Plain,
        FinalFunction::Deviation,
        FinalFunction::SampleVariance,
        FinalFunction::SampleDeviation,
        FinalFunction::Quantile(0.25),
        FinalFunction::Top(3),
        FinalFunction::IntegerBuckets,
        linear,
    ];
    all.into_iter().zip(0..).map(|(finish, state)| FinalColumn { state, finish }).collect()
}

fn advice(expr: Expr) -> Advice {
    let query = QueryId::new(9, 7);
    let bag = BagKey { query, stage: 1 };
    let folds = vec![
        AggregateCall { aggregate: AggregateKind::Sum, input: CallArgument::Expr(expr.clone()) },
        AggregateCall { aggregate: AggregateKind::Average, input: CallArgument::State(0) },
    ];
    let united = expr.clone();
    Advice {
        query,
        stage: 3,
        tracepoint: "DN.Read@exit".into(),
        instructions: vec![
            Instruction::Observe { field: "delta".into() },
            Instruction::Let { name: "x".into(), expr: expr.clone() },
            Instruction::Filter { expr: expr.clone() },
            Instruction::Unnest { list: 1, name: "item".into() },
            Instruction::Distinct { columns: vec![0, 1] },
            Instruction::Order { columns: vec![1] },
            Instruction::Choose,
            Instruction::Unpack {
                bag,
                alias: "b".into(),
                columns: vec!["x".into()],
                aggregates: vec![],
                rows: UnpackedForm::Rows,
                matching: JoinKind::Anti,
                on: None,
            },
            Instruction::Unpack {
                bag,
                alias: "cl".into(),
                columns: vec!["process".into()],
                aggregates: vec![AggregateKind::Average],
                rows: UnpackedForm::Groups {
                    width: 1,
                    keys: vec![0],
                    folds: folds.clone(),
                    finished: finished(),
                    distinct: vec![Expr::Column(0), expr.clone()],
                },
                matching: JoinKind::Left,
                on: Some(expr),
            },
            Instruction::UnpackUnion {
                alias: "u".into(),
                columns: vec!["x".into()],
                bags: vec![
                    UnitedBag {
                        bag,
                        width: 1,
                        aggregates: vec![],
                        rows: UnpackedForm::Rows,
                        having: None,
                        values: vec![Expr::Column(0)],
                    },
                    UnitedBag {
                        bag,
                        width: 2,
                        aggregates: vec![AggregateKind::Average],
                        rows: UnpackedForm::Groups {
                            width: 0,
                            keys: vec![],
                            folds: vec![folds[1].clone()],
                            finished: vec![],
                            distinct: vec![Expr::Column(1)],
                        },
                        having: Some(united.clone()),
                        values: vec![united.clone()],
                    },
                ],
                matching: JoinKind::Left,
                on: Some(united),
            },
            Instruction::Pack {
                bag,
                keep: TemporalFilter::MostRecent(3),
                keys: vec![0, 1],
                folds: folds.clone(),
            },
            Instruction::Emit { keys: vec![2], folds, form: EmitMode::Rows },
        ],
    }
}

proptest! {
    #[test]
    fn advice_comes_back_the_same(expr in exprs()) {
        let advice = advice(expr);
        prop_assert_eq!(from_wire::advice(to_wire::advice(&advice)), Ok(advice));
    }

    #[test]
    fn values_come_back_the_same(value in values()) {
        prop_assert_eq!(from_wire::value(to_wire::value(&value)), Ok(value));
    }

    #[test]
    fn random_steps_never_panic(steps in prop::collection::vec((0u32..9, 0u32..5), 0..40)) {
        use wire::step::Kind;
        let step = |(kind, n): (u32, u32)| wire::Step { kind: Some(match kind {
            0 | 1 => Kind::Column(n),
            2 => Kind::Unary(n as i32),
            3 => Kind::Binary(n as i32 * 4),
            4 => Kind::In(n),
            5 => Kind::Case(wire::Case { arms: n, otherwise: n % 2 == 0 }),
            6 => Kind::Call(wire::Call { function: "coalesce".into(), arguments: n }),
            7 => Kind::Cast(n * 9),
            _ => Kind::In(u32::MAX - n),
        }) };
        let _ = from_wire::expr(wire::Expr { steps: steps.into_iter().map(step).collect() });
    }
}

#[test]
fn an_expression_that_nests_too_deeply_is_refused() {
    let column = wire::Step { kind: Some(wire::step::Kind::Column(0)) };
    let not = wire::Step { kind: Some(wire::step::Kind::Unary(wire::Unary::Not.into())) };
    let steps = std::iter::once(column).chain(std::iter::repeat_n(not, 100_000)).collect();
    let refused = from_wire::expr(wire::Expr { steps });
    assert_eq!(refused, Err(ProtocolError::Expression("it nests too deeply")));
}

#[test]
fn a_function_of_a_later_version_is_named() {
    let call = wire::Call { function: "soundex".into(), arguments: 0 };
    let steps = vec![wire::Step { kind: Some(wire::step::Kind::Call(call)) }];
    let refused = from_wire::expr(wire::Expr { steps }).unwrap_err();
    assert_eq!(refused.to_string(), "function `soundex` is not known");
}

#[test]
fn an_instruction_of_a_later_version_refuses_the_advice() {
    // Field 31, of no bytes: whoever does not know it skips it.
    let unknown = wire::Instruction::decode(&[0xfa, 0x01, 0x00][..]).unwrap();
    let query = Some(wire::QueryId { frontend: 1, number: 7 });
    let advice = wire::Advice { query, instructions: vec![unknown], ..wire::Advice::default() };
    let refused = from_wire::advice(advice).unwrap_err();
    assert_eq!(refused.to_string(), "an instruction that this version knows is missing");
}
