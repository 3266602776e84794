//! A tracepoint of four fields and the queries that are woven at it.

use pivot_advice::{
    Advice, AggregateCall, AggregateKind, BagKey, BinaryOperator, CallArgument, EmitMode, Expr, Groups,
    Instruction, JoinKind, QueryId, TemporalFilter, UnpackedForm, Value,
};
use pivot_baggage::Baggage;
use std::sync::OnceLock;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Query {
    None,
    Rejects,
    Count,
    FilteredSum,
    SumByTwo,
    Histogram,
    Join,
    Pack,
    PackFirst,
    Two,
}

/// What the request of every event carries.
const BAG: BagKey = BagKey { query: QueryId { frontend: 1, number: 1 }, stage: 1 };

/// One of 64 host names, in no order.
#[inline(always)]
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

/// The same with as many different keys as one likes.
pub(crate) fn hit_key(i: u64) {
    let key = format!("key-{i:06}");
    pivot_agent::tracepoint!("Bench.peers", host: String = key.clone(), delta: i64 = 1, app: &str = "web", end: i64 = 1);
}

fn advice(number: u32, steps: Vec<Instruction>) -> Advice {
    let observe = |field: &str| Instruction::Observe { field: field.into() };
    let instructions = [observe("host"), observe("delta"), observe("app")].into_iter().chain(steps).collect();
    Advice { query: QueryId::new(1, number), stage: 0, tracepoint: "Bench.peers".into(), instructions }
}

/// `delta > limit`
fn filter(limit: i64) -> Instruction {
    let expr = Expr::binary(BinaryOperator::Greater, Expr::Column(1), Expr::Literal(Value::I64(limit)));
    Instruction::Filter { expr }
}

fn folds(aggregates: &[AggregateKind]) -> Vec<AggregateCall> {
    let fold = |aggregate: &AggregateKind| AggregateCall {
        aggregate: *aggregate,
        input: CallArgument::Expr(Expr::Column(1)),
    };
    aggregates.iter().map(fold).collect()
}

fn emit(keys: &[u16], aggregates: &[AggregateKind]) -> Instruction {
    Instruction::Emit { keys: keys.to_vec(), folds: folds(aggregates), form: EmitMode::Groups }
}

fn unpack() -> Instruction {
    Instruction::Unpack {
        bag: BAG,
        alias: "cl".into(),
        columns: vec!["process".into()],
        aggregates: vec![],
        rows: UnpackedForm::Rows,
        matching: JoinKind::Inner,
        on: None,
    }
}

fn pack(keep: TemporalFilter) -> Instruction {
    let bag = BagKey { stage: 2, ..BAG };
    Instruction::Pack { bag, keep, keys: vec![2], folds: folds(&[AggregateKind::Sum]) }
}

/// A request that carries one tuple.
pub(crate) fn request() -> Baggage {
    let mut groups = Groups::new(1, &[]);
    groups.entry(&[Value::str("FSread4m")]).n = 1;
    let mut baggage = Baggage::begin();
    baggage.pack(BAG, TemporalFilter::First(1), [groups]);
    baggage
}

/// One hop of a request with one tuple: packed, written, read, unpacked.
pub(crate) fn hop(i: u64) {
    let mut baggage = Baggage::begin();
    baggage.pack_row(BAG, &[], &[Value::U64(i)], 1, &[]);
    let arrived = Baggage::decode(&baggage.encode()).unwrap_or_default();
    assert!(arrived.unpack(BAG).is_some_and(|rows| rows.len() == 1));
}

pub(crate) fn weave(query: Query) {
    let sum = || emit(&[0], &[AggregateKind::Sum]);
    let one = |steps| vec![advice(1, steps)];

    let advice = match query {
        Query::None => vec![],
        Query::Rejects => one(vec![filter(i64::MAX), sum()]),
        Query::Count => one(vec![emit(&[0], &[])]),
        Query::FilteredSum => one(vec![filter(-1), sum()]),
        Query::SumByTwo => one(vec![emit(&[0, 2], &[AggregateKind::Sum])]),
        Query::Histogram => one(vec![emit(&[0], &[AggregateKind::Histogram])]),
        Query::Join => one(vec![filter(-1), unpack(), emit(&[3], &[AggregateKind::Sum])]),
        Query::Pack => one(vec![pack(TemporalFilter::All)]),
        Query::PackFirst => one(vec![pack(TemporalFilter::First(1))]),
        Query::Two => [1, 2].map(|n| advice(n, vec![filter(-1), sum()])).to_vec(),
    };

    let problems = pivot_agent::weave(&advice);
    assert!(problems.is_empty(), "{problems:?}");
}
