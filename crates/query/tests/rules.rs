//! The rules change what a query costs, and nothing else: any set of them gives the same result.
//!
//! Advice runs here over one request whose events happen one after the other, by the plainest
//! interpreter that follows the meaning of the instructions.

use pivot_advice::{
    Advice, Aggregate, BagKey, Errors, Exports, Field, Fold, Groups, Input, Instruction, Keep, QueryId,
    State, Type, Unpacked, Value,
};
use pivot_query::{Catalog, Options, Program, compile_with};
use proptest::prelude::*;
use std::collections::HashMap;

/// An event: its tracepoint, and the fields a, b and s.
type Event = (&'static str, u64, u64, &'static str);

const TRACEPOINTS: [&str; 3] = ["X", "Y", "E"];

const QUERIES: [&str; 21] = [
    "FROM e IN E JOIN x IN X ON x -> e GROUP BY x.s SELECT x.s, SUM(x.a), SUM(e.a), COUNT, AVG(x.b), MIN(x.a), COUNT(e.s)",
    "FROM e IN E JOIN x IN X ON x -> e JOIN y IN Y ON y -> e GROUP BY x.s, y.s SELECT COUNT, SUM(x.a), SUM(y.a), SUM(x.a * y.b)",
    "FROM e IN E JOIN x IN X ON x -> e JOIN y IN Y ON y -> x GROUP BY e.s SELECT SUM(x.a), SUM(y.a), SUM(x.a * y.b), MAX(y.b)",
    "FROM e IN E JOIN x IN X ON x -> e JOIN y IN Y ON y -> x WHERE x.a < e.a AND y.a != 1 AND y.b <= x.b SELECT SUM(y.a), SUM(x.a), COUNT",
    "FROM e IN E JOIN x IN X ON x -> e LET d = x.a - x.b LET f = d * e.a WHERE d > 0 SELECT SUM(d), SUM(f), SUM(x.a)",
    "FROM e IN E JOIN x IN X ON x -> e LET d = x.a - x.b WHERE d > 0 SELECT d, x.a, e.s",
    "FROM e IN E JOIN x IN First(X) ON x -> e WHERE x.a > 1 GROUP BY x.s SELECT COUNT, SUM(x.b)",
    "FROM e IN E JOIN x IN MostRecent 2 (X WHERE a > 1) ON x -> e WHERE x.b < 3 GROUP BY e.s SELECT COUNT, SUM(x.a), SUM(e.a)",
    "FROM e IN E JOIN x IN First 2 (X) ON x -> e JOIN y IN Y ON y -> x WHERE x.a > 0 AND y.a > 1 SELECT COUNT, SUM(y.b), SUM(x.b * y.a)",
    "FROM e IN E JOIN x IN X ON x -> e JOIN y IN MostRecent(Y) ON y -> x WHERE y.a > 1 AND y.b < x.b GROUP BY x.s SELECT COUNT, SUM(y.b), SUM(x.a)",
    "FROM e IN E JOIN x IN First(X WHERE a > 0) ON x -> e JOIN y IN First 2 (Y) ON y -> x WHERE y.a > 1 SELECT y.b, x.s, e.s",
    "FROM e IN E JOIN q IN (FROM x IN X GROUP BY x.s SELECT x.s, SUM(x.a) AS sum, MAX(x.b) AS max, COUNT AS n) ON q -> e WHERE q.n > 1 GROUP BY q.s SELECT COUNT, SUM(q.sum), MAX(q.sum / q.n)",
    "FROM e IN E JOIN q IN (FROM x IN X JOIN y IN Y ON y -> x WHERE y.a > x.b GROUP BY y.s SELECT SUM(x.a) + SUM(y.b) AS sum, COUNT) ON q -> e JOIN x IN X ON x -> e SELECT SUM(q.sum), SUM(q.sum * x.a), SUM(x.a), COUNT",
    "FROM e IN E JOIN q IN (FROM x IN X JOIN y IN MostRecent(Y) ON y -> x WHERE y.a != x.a SELECT x.a - y.a AS d, x.s) ON q -> e GROUP BY q.s SELECT AVG(q.d), COUNT, SUM(e.b)",
    "FROM e IN E JOIN one IN X ON one -> e JOIN two IN X ON two -> e WHERE one.a > 1 AND two.a > 1 GROUP BY one.s SELECT COUNT, SUM(one.b), SUM(two.b)",
    "FROM e IN X JOIN x IN X ON x -> e JOIN y IN X ON y -> x JOIN z IN X ON z -> e GROUP BY z.s SELECT COUNT, SUM(x.a), SUM(y.b), SUM(z.a)",
    "FROM e IN E, X JOIN x IN MostRecent 2 (X) ON x -> e JOIN y IN MostRecent 2 (X) ON y -> e SELECT x.a, y.b, e.s",
    "FROM e IN E JOIN x IN X ON x -> e GROUP BY x.a % 2, e.s SELECT e.s, x.a % 2 AS parity, SUM(x.a)",
    "FROM e IN E JOIN x IN First 2 ((FROM x IN X LET h = x.a * 2 WHERE h > 2 SELECT h, x.b) WHERE b < 3) ON x -> e JOIN y IN Y ON y -> x SELECT COUNT, SUM(x.h), SUM(y.a)",
    "FROM e IN E JOIN y IN Y ON y -> e JOIN x IN X ON x -> y WHERE x.b < 3 GROUP BY e.s SELECT SUM(x.a * y.b), SUM(x.a), MAX(x.a + e.a)",
    "FROM e IN E JOIN x IN X ON x -> e GROUP BY x.s, e.a SELECT x.s",
];

fn catalog() -> Catalog {
    let mut catalog = Catalog::default();
    for name in TRACEPOINTS {
        let fields = [("a", Type::U64), ("b", Type::U64), ("s", Type::String)];
        let fields = fields.map(|(name, ty)| Field { name: name.into(), ty }).to_vec();
        let tracepoint = name.into();
        catalog.add(&Exports { tracepoint, fields, file: String::new(), line: 1, module: String::new() });
    }
    catalog
}

fn compiled(query: &str, options: &Options) -> Program {
    compile_with(query, &catalog(), options).unwrap_or_else(|wrong| panic!("{query}: {wrong}"))
}

#[derive(Debug, Clone)]
struct Row {
    columns: Vec<Value>,
    n: u64,
    states: Vec<State>,
}

/// The tuples of a bag; a slot for each tuple that First or MostRecent keep, else one for all.
type Bag = Vec<Groups>;

#[derive(Default)]
struct Request {
    bags: HashMap<BagKey, Bag>,
    result: Option<Groups>,
}

impl Request {
    fn happen(&mut self, program: &[Advice], event: &Event) {
        for advice in program.iter().filter(|advice| advice.tracepoint == event.0) {
            let mut rows = vec![Row { columns: vec![], n: 1, states: vec![] }];
            let mut entered = None;
            for instruction in &advice.instructions {
                if matches!(instruction, Instruction::Unpack { .. } | Instruction::Pack { .. }) {
                    entered.get_or_insert(!rows.is_empty());
                }
                rows = self.step(instruction, rows, event, entered == Some(true));
            }
        }
    }

    fn step(
        &mut self,
        instruction: &Instruction,
        mut rows: Vec<Row>,
        event: &Event,
        entered: bool,
    ) -> Vec<Row> {
        match instruction {
            Instruction::Observe { field } => {
                rows.iter_mut().for_each(|row| row.columns.push(observed(event, field)));
            }
            Instruction::Let { expr, .. } => rows.iter_mut().for_each(|row| {
                let value = expr.eval(&row.columns, &mut Errors::default());
                row.columns.push(value);
            }),
            Instruction::Filter { expr } => {
                rows.retain(|row| expr.holds(&row.columns, &mut Errors::default()))
            }
            Instruction::Unpack { bag, rows: form, .. } => {
                let groups = self.bags.get(bag).cloned().unwrap_or_default();
                return rows.iter().flat_map(|row| joined(row, &groups, *form)).collect();
            }
            Instruction::Pack { bag, keep, keys, folds } => {
                let packed = grouped(&rows, keys, folds);
                put(self.bags.entry(*bag).or_default(), *keep, packed, entered);
            }
            Instruction::Emit { keys, folds, .. } => {
                let emitted = grouped(&rows, keys, folds);
                self.result.get_or_insert_with(|| emitted.empty_like()).merge(&emitted);
            }
        }
        rows
    }
}

fn observed(event: &Event, field: &str) -> Value {
    match field {
        "a" => Value::U64(event.1),
        "b" => Value::U64(event.2),
        _ => Value::str(event.3),
    }
}

fn put(bag: &mut Bag, keep: Keep, packed: Groups, entered: bool) {
    match keep {
        Keep::All => match bag.first_mut() {
            Some(all) => all.merge(&packed),
            None => bag.push(packed),
        },
        Keep::First(n) if entered && bag.len() < n as usize => bag.push(packed),
        Keep::MostRecent(n) if entered => {
            bag.push(packed);
            if bag.len() > n as usize {
                bag.remove(0);
            }
        }
        _ => {}
    }
}

fn grouped(rows: &[Row], keys: &[u16], folds: &[Fold]) -> Groups {
    let aggregates: Vec<Aggregate> = folds.iter().map(|fold| fold.aggregate).collect();
    let mut groups = Groups::new(keys.len(), &aggregates);
    for row in rows {
        let key: Vec<Value> = keys.iter().map(|key| row.columns[usize::from(*key)].clone()).collect();
        let states: Vec<State> = folds.iter().map(|fold| folded(row, fold)).collect();
        groups.entry(&key).merge(row.n, &states);
    }
    groups
}

fn folded(row: &Row, fold: &Fold) -> State {
    let mut errors = Errors::default();
    let mut state = fold.aggregate.empty();
    match &fold.input {
        Input::Expr(expr) => state.update(&expr.eval(&row.columns, &mut errors), row.n, &mut errors),
        Input::State(index) => state.merge(&row.states[usize::from(*index)]),
    }
    state
}

fn joined(row: &Row, bag: &Bag, form: Unpacked) -> Vec<Row> {
    let groups = bag.iter().flat_map(Groups::iter);
    let rows = groups.map(|group| {
        let mut row = row.clone();
        row.columns.extend(group.key.iter().cloned());
        if form == Unpacked::Groups {
            row.columns.push(Value::U64(group.n));
            row.columns.extend(group.states.iter().map(|state| state.finish(&mut Errors::default())));
            return row;
        }
        row.states.iter_mut().for_each(|state| state.scale(group.n));
        row.states.extend(group.states.iter().cloned().map(|mut state| {
            state.scale(row.n);
            state
        }));
        row.n *= group.n;
        row
    });
    rows.collect()
}

fn result(program: &Program, events: &[Event]) -> Option<Groups> {
    let advice = program.advice(QueryId::new(0, 1));
    let mut request = Request::default();
    events.iter().for_each(|event| request.happen(&advice, event));
    request.result.filter(|groups| !groups.is_empty())
}

fn check(query: &str, options: &Options, events: &[Event]) {
    let (naive, other) = (compiled(query, &Options::naive()), compiled(query, options));
    assert_eq!(naive.output, other.output, "{query}");
    let (expected, found) = (result(&naive, events), result(&other, events));
    assert_eq!(expected, found, "{query}\n{events:?}\n{}", other.explain());
}

fn event() -> impl Strategy<Value = Event> {
    (prop::sample::select(&TRACEPOINTS[..]), 0..4u64, 0..4u64, prop::sample::select(&["p", "q"][..]))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn all_rules_together_keep_the_result(events in prop::collection::vec(event(), 0..12)) {
        QUERIES.iter().for_each(|query| check(query, &Options::default(), &events));
    }

    #[test]
    fn any_set_of_rules_keeps_the_result(
        events in prop::collection::vec(event(), 0..12),
        on in prop::collection::vec(any::<bool>(), 5),
        query in prop::sample::select(&QUERIES[..]),
    ) {
        let rules = Options::rules().zip(on).filter(|(_, on)| *on);
        let options = rules.fold(Options::naive(), |options, (rule, _)| options.with(rule));
        check(query, &options, &events);
    }
}

/// The finished aggregates of the only group.
fn only(query: &str, events: &[Event]) -> (u64, Vec<Value>) {
    let groups = result(&compiled(query, &Options::default()), events);
    let groups = groups.unwrap_or_else(|| panic!("{query} has no result"));
    let group = groups.iter().next().unwrap_or_else(|| panic!("{query} has no group"));
    (group.n, group.states.iter().map(|state| state.finish(&mut Errors::default())).collect())
}

#[test]
fn several_tuples_with_equal_keys_count_each() {
    let events = [("X", 2, 0, "p"), ("X", 2, 0, "p"), ("X", 5, 0, "p"), ("E", 10, 0, "p")];
    let query = "FROM e IN E JOIN x IN X ON x -> e GROUP BY x.s SELECT COUNT, SUM(x.a), SUM(e.a)";
    assert_eq!(only(query, &events), (3, vec![Value::I64(9), Value::I64(30)]));
}

#[test]
fn first_keeps_its_slot_when_an_outer_condition_refuses_the_tuple() {
    let events = [("X", 1, 0, "p"), ("X", 3, 0, "p"), ("E", 0, 0, "p")];
    let query =
        |source: &str| format!("FROM e IN E JOIN x IN {source} ON x -> e WHERE x.a > 2 SELECT SUM(x.a)");
    assert_eq!(result(&compiled(&query("First(X)"), &Options::default()), &events), None);
    assert_eq!(only(&query("First(X WHERE a > 2)"), &events), (1, vec![Value::I64(3)]));
}

#[test]
fn a_chosen_tuple_without_rows_below_keeps_its_slot() {
    let events = [("X", 1, 0, "p"), ("Y", 1, 0, "p"), ("X", 3, 0, "p"), ("E", 0, 0, "p")];
    let query = "FROM e IN E JOIN x IN First(X) ON x -> e JOIN y IN Y ON y -> x SELECT COUNT";
    assert_eq!(result(&compiled(query, &Options::default()), &events), None);
}

#[test]
fn an_event_never_joins_with_itself() {
    let events = [("X", 1, 0, "p"), ("X", 2, 0, "p")];
    let query = "FROM e IN X JOIN x IN X ON x -> e SELECT SUM(x.a), SUM(e.a)";
    assert_eq!(only(query, &events), (1, vec![Value::I64(1), Value::I64(2)]));
}

#[test]
fn an_aggregating_source_gives_one_row_for_each_group() {
    let events = [("X", 1, 0, "p"), ("X", 2, 0, "p"), ("X", 7, 0, "q"), ("E", 0, 0, "p")];
    let query = "FROM e IN E JOIN q IN (FROM x IN X GROUP BY x.s SELECT SUM(x.a) AS sum, COUNT AS n) ON q -> e SELECT COUNT, SUM(q.sum), SUM(q.n)";
    assert_eq!(only(query, &events), (2, vec![Value::I64(10), Value::I64(3)]));
}
