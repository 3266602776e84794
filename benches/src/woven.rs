//! A tracepoint of four fields and the queries that are woven at it.

use pivot_advice::{Advice, Aggregate, Binary, Expr, Fold, Form, Input, Instruction, QueryId, Value};
use std::sync::OnceLock;

#[derive(Debug, Clone, Copy)]
pub(crate) enum Query {
    None,
    Rejects,
    Count,
    FilteredSum,
    SumByTwo,
    Histogram,
}

/// One of 64 host names, in no order.
pub(crate) fn host(i: u64) -> &'static str {
    static HOSTS: OnceLock<Vec<String>> = OnceLock::new();
    let hosts = HOSTS.get_or_init(|| (0..64).map(|i| format!("host-{i:05}")).collect());
    &hosts[(i.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 58) as usize]
}

#[inline(always)]
pub(crate) fn hit(i: u64) {
    let (host, delta) = (host(i), i as i64);
    pivot_agent::tracepoint!("Bench.peers", host: &str = host, delta: i64 = delta, app: &str = "web", end: i64 = delta);
}

fn advice(steps: Vec<Instruction>) -> Vec<Advice> {
    let observe = |field: &str| Instruction::Observe { field: field.into() };
    let instructions = [observe("host"), observe("delta"), observe("app")].into_iter().chain(steps).collect();
    vec![Advice { query: QueryId::new(1, 1), stage: 0, tracepoint: "Bench.peers".into(), instructions }]
}

fn filter(limit: i64) -> Instruction {
    let expr = Expr::binary(Binary::Greater, Expr::Column(1), Expr::Literal(Value::I64(limit)));
    Instruction::Filter { expr }
}

fn emit(keys: &[u16], aggregates: &[Aggregate]) -> Instruction {
    let fold = |aggregate: &Aggregate| Fold { aggregate: *aggregate, input: Input::Expr(Expr::Column(1)) };
    let folds = aggregates.iter().map(fold).collect();
    Instruction::Emit { keys: keys.to_vec(), folds, form: Form::Groups }
}

pub(crate) fn weave(query: Query) {
    let sum = [Aggregate::Sum];
    let advice = match query {
        Query::None => vec![],
        Query::Rejects => advice(vec![filter(i64::MAX), emit(&[0], &sum)]),
        Query::Count => advice(vec![emit(&[0], &[])]),
        Query::FilteredSum => advice(vec![filter(-1), emit(&[0], &sum)]),
        Query::SumByTwo => advice(vec![emit(&[0, 2], &sum)]),
        Query::Histogram => advice(vec![emit(&[0], &[Aggregate::Histogram])]),
    };
    let problems = pivot_agent::weave(&advice);
    assert!(problems.is_empty(), "{problems:?}");
    pivot_agent::drain();
}
