//! Checks an advice before it is woven. What passes here terminates, reads only what is bound, and
//! touches only its own query.

use crate::error::AgentError;
use pivot_advice::advice::MAX_INSTRUCTIONS;
use pivot_advice::codec::MAX_COLUMNS;
use pivot_advice::expr::MAX_DEPTH;
use pivot_advice::{
    Advice, AggregateCall, AggregateKind, BagKey, CallArgument, Expr, FinalColumn, Instruction, JoinKind,
    TemporalFilter, UnitedBag, UnpackedForm,
};

/// The most expressions, counting inner ones, that an advice may have.
const MAX_EXPRESSIONS: usize = 1 << 16;

/// The most tuples that First or MostRecent may keep.
const MAX_KEPT: u32 = 10_000;

/// Checks an advice. Returns what is wrong with it, if it cannot be woven anywhere.
pub fn verify(advice: &Advice) -> Result<(), AgentError> {
    let (last, steps) =
        advice.instructions.split_last().ok_or(AgentError::Malformed("it has no instructions"))?;
    if advice.instructions.len() > MAX_INSTRUCTIONS {
        return Err(AgentError::Limit { what: "instructions", limit: MAX_INSTRUCTIONS });
    }
    let mut bound = BoundColumns::default();
    steps.iter().try_for_each(|step| bound.step(advice, step))?;
    bound.end(advice, last)
}

/// Columns and states that earlier instructions have bound.
#[derive(Default)]
struct BoundColumns {
    columns: usize,
    /// The states of the row; none where a Distinct lost it.
    states: Vec<Option<AggregateKind>>,
    unpacked: bool,
    chosen: bool,
    expressions: usize,
}

impl BoundColumns {
    fn step(&mut self, advice: &Advice, step: &Instruction) -> Result<(), AgentError> {
        match step {
            Instruction::Observe { .. } if self.unpacked => {
                return Err(AgentError::Malformed("it observes after it unpacks"));
            }
            Instruction::Observe { .. } => self.columns += 1,
            Instruction::Filter { expr } => self.expr(expr)?,
            Instruction::Let { expr, .. } => {
                self.expr(expr)?;
                self.columns += 1;
            }
            Instruction::Unpack { bag, columns, aggregates, rows, matching, on, .. } => {
                own(advice, bag)?;
                limit("aggregates", aggregates.len(), MAX_COLUMNS)?;
                self.unpacked = true;
                unpacked(columns.len(), aggregates, rows)?;
                self.columns += columns.len();
                on.iter().chain(rows.distinct()).try_for_each(|over| self.expr(over))?;
                match (matching, rows) {
                    (JoinKind::Anti, _) => self.columns -= columns.len(),
                    (_, UnpackedForm::Rows) => self.states.extend(aggregates.iter().copied().map(Some)),
                    (_, UnpackedForm::Groups { .. }) => {}
                }
            }
            Instruction::UnpackUnion { columns, bags, matching, on, .. } => {
                limit("bags of a union", bags.len(), MAX_COLUMNS)?;
                self.unpacked = true;
                bags.iter().try_for_each(|united| self.united(advice, united, columns.len()))?;
                self.columns += columns.len();
                on.iter().try_for_each(|on| self.expr(on))?;
                if *matching == JoinKind::Anti {
                    self.columns -= columns.len();
                }
            }
            Instruction::Unnest { list, .. } => {
                self.column(*list)?;
                self.unpacked = true;
                self.columns += 1;
            }
            Instruction::Distinct { columns } => {
                columns.iter().try_for_each(|column| self.column(*column))?;
                self.states.iter_mut().for_each(|state| *state = None);
            }
            Instruction::Order { columns } => columns.iter().try_for_each(|column| self.column(*column))?,
            Instruction::Choose if self.chosen => return Err(AgentError::Malformed("it chooses twice")),
            Instruction::Choose => {
                if !self.states.iter().all(Option::is_none) {
                    return Err(AgentError::Malformed("it chooses among aggregates"));
                }
                self.chosen = true;
            }
            Instruction::Pack { .. } | Instruction::Emit { .. } => {
                return Err(AgentError::Malformed("a Pack or Emit is not the last instruction"));
            }
        }

        limit("columns", self.columns, 4 * MAX_COLUMNS)
    }

    fn end(&mut self, advice: &Advice, last: &Instruction) -> Result<(), AgentError> {
        let (keys, folds) = match last {
            Instruction::Pack { bag, keep, keys, folds } => {
                own(advice, bag)?;
                kept(*keep)?;
                if self.chosen && *keep == TemporalFilter::All {
                    return Err(AgentError::Malformed("it chooses and keeps everything"));
                }
                (keys, folds)
            }
            Instruction::Emit { .. } if self.chosen => {
                return Err(AgentError::Malformed("it chooses and emits"));
            }
            Instruction::Emit { keys, folds, .. } => (keys, folds),
            _ => return Err(AgentError::Malformed("it does not end in a Pack or Emit")),
        };

        limit("keys", keys.len(), MAX_COLUMNS)?;
        limit("aggregates", folds.len(), MAX_COLUMNS)?;
        keys.iter().try_for_each(|key| self.column(*key))?;
        folds.iter().try_for_each(|fold| self.fold(fold))
    }

    fn fold(&mut self, fold: &AggregateCall) -> Result<(), AgentError> {
        match &fold.input {
            CallArgument::Expr(expr) => self.expr(expr),
            CallArgument::State(index) => match self.states.get(usize::from(*index)) {
                None | Some(None) => Err(AgentError::Unbound { what: "state", index: *index }),
                Some(Some(aggregate)) if *aggregate != fold.aggregate => Err(AgentError::AggregateMismatch),
                Some(Some(_)) => Ok(()),
            },
        }
    }

    /// Checks one bag of a union. What is computed of its rows reads them alone.
    fn united(&mut self, advice: &Advice, united: &UnitedBag, columns: usize) -> Result<(), AgentError> {
        own(advice, &united.bag)?;
        limit("aggregates", united.aggregates.len(), MAX_COLUMNS)?;
        limit("columns", usize::from(united.width), MAX_COLUMNS)?;
        unpacked(usize::from(united.width), &united.aggregates, &united.rows)?;
        if united.values.len() != columns {
            return Err(AgentError::Malformed("a bag of a union has another number of columns"));
        }

        // The expressions count among all of the advice.
        let expressions = self.expressions;
        let columns = usize::from(united.width);
        let mut inside = BoundColumns { columns, expressions, ..BoundColumns::default() };
        let over = united.values.iter().chain(&united.having).chain(united.rows.distinct());
        over.into_iter().try_for_each(|expr| inside.expr(expr))?;
        self.expressions = inside.expressions;
        Ok(())
    }

    fn expr(&mut self, expr: &Expr) -> Result<(), AgentError> {
        // Depth first: the other two walk the whole expression.
        limit("levels of an expression", expr.depth(), MAX_DEPTH)?;
        self.expressions += expr.size();
        limit("expressions", self.expressions, MAX_EXPRESSIONS)?;
        let mut unbound = Ok(());
        expr.columns(&mut |index| unbound = std::mem::replace(&mut unbound, Ok(())).and(self.column(index)));
        unbound
    }

    fn column(&self, index: u16) -> Result<(), AgentError> {
        let bound = usize::from(index) < self.columns;
        if bound { Ok(()) } else { Err(AgentError::Unbound { what: "column", index }) }
    }
}

/// Checks that unpacking a bag, or a subquery over it, makes rows of so many columns. The row of the subquery is checked
/// like any other.
fn unpacked(columns: usize, bag: &[AggregateKind], rows: &UnpackedForm) -> Result<(), AgentError> {
    let UnpackedForm::Groups { width, keys, folds, finished, distinct } = rows else { return Ok(()) };
    limit("columns", distinct.len(), MAX_COLUMNS)?;
    limit("keys", keys.len(), MAX_COLUMNS)?;
    limit("aggregates", folds.len().max(finished.len()), MAX_COLUMNS)?;

    // The subquery reads the columns and states of the bag, and nothing of the row that it is joined with.
    let states = bag.iter().copied().map(Some).collect();
    let mut inside = BoundColumns { columns: usize::from(*width), states, ..BoundColumns::default() };
    keys.iter().try_for_each(|key| inside.column(*key))?;
    folds.iter().try_for_each(|fold| inside.fold(fold))?;
    let missing = |finished: &&FinalColumn| usize::from(finished.state) >= folds.len();
    if let Some(FinalColumn { state, .. }) = finished.iter().find(missing) {
        return Err(AgentError::Unbound { what: "state", index: *state });
    }

    // The keys, the count of rows, and the finished aggregates.
    match columns == keys.len() + 1 + finished.len() {
        true => Ok(()),
        false => Err(AgentError::Malformed("unpacked groups have another number of columns")),
    }
}

fn own(advice: &Advice, bag: &BagKey) -> Result<(), AgentError> {
    if bag.query == advice.query { Ok(()) } else { Err(AgentError::ForeignBag) }
}

fn kept(keep: TemporalFilter) -> Result<(), AgentError> {
    match keep {
        TemporalFilter::First(0) | TemporalFilter::MostRecent(0) => {
            Err(AgentError::Malformed("it keeps no tuple"))
        }
        TemporalFilter::First(n) | TemporalFilter::MostRecent(n) => {
            limit("kept tuples", n as usize, MAX_KEPT as usize)
        }
        TemporalFilter::All => Ok(()),
    }
}

fn limit(what: &'static str, count: usize, limit: usize) -> Result<(), AgentError> {
    if count <= limit { Ok(()) } else { Err(AgentError::Limit { what, limit }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pivot_advice::{EmitMode, QueryId, Value};

    fn advice(instructions: Vec<Instruction>) -> Advice {
        Advice { query: QueryId::new(1, 1), stage: 0, tracepoint: "T".into(), instructions }
    }

    fn observe() -> Instruction {
        Instruction::Observe { field: "x".into() }
    }

    fn emit(keys: Vec<u16>) -> Instruction {
        Instruction::Emit { keys, folds: vec![], form: EmitMode::Groups }
    }

    fn unpack(query: QueryId) -> Instruction {
        let bag = BagKey { query, stage: 1 };
        Instruction::Unpack {
            bag,
            alias: "a".into(),
            columns: vec!["k".into()],
            aggregates: vec![AggregateKind::Sum],
            rows: UnpackedForm::Rows,
            matching: JoinKind::Inner,
            on: None,
        }
    }

    fn check(instructions: Vec<Instruction>, expected: Result<(), AgentError>) {
        assert_eq!(verify(&advice(instructions)), expected);
    }

    #[test]
    fn what_binds_before_it_reads_is_accepted() {
        check(vec![observe(), unpack(QueryId::new(1, 1)), emit(vec![0])], Ok(()));
    }

    #[test]
    fn reading_what_is_not_bound_is_refused() {
        check(vec![observe(), emit(vec![1])], Err(AgentError::Unbound { what: "column", index: 1 }));
        let filter = Instruction::Filter { expr: Expr::Column(0) };
        check(vec![filter, observe(), emit(vec![])], Err(AgentError::Unbound { what: "column", index: 0 }));
    }

    #[test]
    fn an_advice_ends_in_its_only_pack_or_emit() {
        check(vec![], Err(AgentError::Malformed("it has no instructions")));
        check(vec![observe()], Err(AgentError::Malformed("it does not end in a Pack or Emit")));
        let twice = vec![emit(vec![]), emit(vec![])];
        check(twice, Err(AgentError::Malformed("a Pack or Emit is not the last instruction")));
    }

    #[test]
    fn a_bag_of_another_query_is_out_of_reach() {
        check(vec![unpack(QueryId::new(1, 2)), emit(vec![])], Err(AgentError::ForeignBag));
    }

    #[test]
    fn a_state_is_folded_by_its_own_aggregate() {
        let fold = |aggregate, index| Instruction::Emit {
            keys: vec![],
            folds: vec![AggregateCall { aggregate, input: CallArgument::State(index) }],
            form: EmitMode::Groups,
        };
        let with = |last| vec![unpack(QueryId::new(1, 1)), last];
        check(with(fold(AggregateKind::Sum, 0)), Ok(()));
        check(with(fold(AggregateKind::Max, 0)), Err(AgentError::AggregateMismatch));
        check(with(fold(AggregateKind::Sum, 1)), Err(AgentError::Unbound { what: "state", index: 1 }));
    }

    #[test]
    fn what_an_anti_join_binds_is_seen_by_its_condition_alone() {
        let anti = |on| match unpack(QueryId::new(1, 1)) {
            Instruction::Unpack { bag, alias, columns, aggregates, rows, .. } => {
                let matching = JoinKind::Anti;
                Instruction::Unpack { bag, alias, columns, aggregates, rows, matching, on: Some(on) }
            }
            other => other,
        };
        check(vec![observe(), anti(Expr::Column(1)), emit(vec![0])], Ok(()));
        let unbound = Err(AgentError::Unbound { what: "column", index: 1 });
        check(vec![observe(), anti(Expr::Column(0)), emit(vec![1])], unbound);
    }

    #[test]
    fn only_a_temporal_pack_chooses_and_a_state_does_not_survive_distinct() {
        let shape = |text| Err(AgentError::Malformed(text));
        check(vec![observe(), Instruction::Choose, emit(vec![0])], shape("it chooses and emits"));
        let among = vec![unpack(QueryId::new(1, 1)), Instruction::Choose, emit(vec![])];
        check(among, shape("it chooses among aggregates"));
        let fold = AggregateCall { aggregate: AggregateKind::Sum, input: CallArgument::State(0) };
        let last = Instruction::Emit { keys: vec![], folds: vec![fold], form: EmitMode::Groups };
        let lost = vec![unpack(QueryId::new(1, 1)), Instruction::Distinct { columns: vec![0] }, last];
        check(lost, Err(AgentError::Unbound { what: "state", index: 0 }));
    }

    #[test]
    fn groups_of_a_subquery_are_over_the_columns_of_their_bag() {
        let groups = |keys: Vec<u16>, columns: usize| match unpack(QueryId::new(1, 1)) {
            Instruction::Unpack { bag, alias, aggregates, matching, on, .. } => {
                let folds =
                    vec![AggregateCall { aggregate: AggregateKind::Sum, input: CallArgument::State(0) }];
                let finished = vec![FinalColumn { state: 0, finish: pivot_advice::FinalFunction::Plain }];
                let rows = UnpackedForm::Groups { width: 1, keys, folds, finished, distinct: vec![] };
                let columns = vec!["c".into(); columns];
                Instruction::Unpack { bag, alias, columns, aggregates, rows, matching, on }
            }
            other => other,
        };
        check(vec![groups(vec![0], 3), emit(vec![2])], Ok(()));
        check(vec![groups(vec![1], 3), emit(vec![])], Err(AgentError::Unbound { what: "column", index: 1 }));
        let wrong = AgentError::Malformed("unpacked groups have another number of columns");
        check(vec![groups(vec![0], 2), emit(vec![])], Err(wrong));
    }

    #[test]
    fn bags_of_a_union_are_computed_of_their_own_rows() {
        let union = |values: Vec<Expr>, having: Option<Expr>, matching| {
            let rows = UnpackedForm::Rows;
            let bag = BagKey { query: QueryId::new(1, 1), stage: 1 };
            let united = UnitedBag { bag, width: 2, aggregates: vec![], rows, having, values };
            Instruction::UnpackUnion {
                alias: "u".into(),
                columns: vec!["c".into()],
                bags: vec![united],
                matching,
                on: Some(Expr::Column(3)),
            }
        };
        let of =
            |values, having| vec![observe(), observe(), observe(), union(values, having, JoinKind::Inner)];
        let with = |mut steps: Vec<Instruction>, last| {
            steps.push(last);
            steps
        };
        check(with(of(vec![Expr::Column(1)], None), emit(vec![3])), Ok(()));

        let unbound = |index| Err(AgentError::Unbound { what: "column", index });
        check(with(of(vec![Expr::Column(2)], None), emit(vec![])), unbound(2));
        check(with(of(vec![Expr::Column(0)], Some(Expr::Column(2))), emit(vec![])), unbound(2));
        check(with(of(vec![Expr::Column(0)], None), emit(vec![4])), unbound(4));
        let anti = union(vec![Expr::Column(0)], None, JoinKind::Anti);
        check(vec![observe(), observe(), observe(), anti, emit(vec![3])], unbound(3));

        let wrong = AgentError::Malformed("a bag of a union has another number of columns");
        check(with(of(vec![], None), emit(vec![])), Err(wrong));
        let foreign = match union(vec![Expr::Column(0)], None, JoinKind::Left) {
            Instruction::UnpackUnion { alias, columns, mut bags, matching, on } => {
                bags[0].bag.query = QueryId::new(1, 2);
                Instruction::UnpackUnion { alias, columns, bags, matching, on }
            }
            other => other,
        };
        check(vec![foreign, emit(vec![])], Err(AgentError::ForeignBag));
    }

    #[test]
    fn depth_and_length_are_bounded() {
        let deep = (0..MAX_DEPTH).fold(Expr::Literal(Value::Null), |inner, _| {
            Expr::Unary(pivot_advice::UnaryOperator::IsNull, Box::new(inner))
        });
        let error = AgentError::Limit { what: "levels of an expression", limit: MAX_DEPTH };
        check(vec![Instruction::Filter { expr: deep }, emit(vec![])], Err(error));
        let long = std::iter::repeat_with(observe).take(MAX_INSTRUCTIONS).chain([emit(vec![])]).collect();
        check(long, Err(AgentError::Limit { what: "instructions", limit: MAX_INSTRUCTIONS }));
    }
}
