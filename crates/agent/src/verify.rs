//! Checks an advice before it is woven. What passes here terminates, reads only what is bound, and
//! touches only its own query.

use crate::error::AgentError;
use pivot_advice::codec::MAX_COLUMNS;
use pivot_advice::expr::MAX_DEPTH;
use pivot_advice::program::MAX_INSTRUCTIONS;
use pivot_advice::{Advice, Aggregate, BagKey, Expr, Fold, Input, Instruction, Keep, Unpacked};

/// The most expressions, counting inner ones, that an advice may have.
const MAX_EXPRESSIONS: usize = 1 << 16;

/// The most tuples that First or MostRecent may keep.
const MAX_KEPT: u32 = 10_000;

/// Accepts an advice that can be woven.
pub fn verify(advice: &Advice) -> Result<(), AgentError> {
    let (last, steps) =
        advice.instructions.split_last().ok_or(AgentError::Shape("it has no instructions"))?;
    if advice.instructions.len() > MAX_INSTRUCTIONS {
        return Err(AgentError::Limit { what: "instructions", limit: MAX_INSTRUCTIONS });
    }
    let mut bound = Bound::default();
    steps.iter().try_for_each(|step| bound.step(advice, step))?;
    bound.end(advice, last)
}

/// What earlier instructions have bound.
#[derive(Default)]
struct Bound {
    columns: usize,
    states: Vec<Aggregate>,
    unpacked: bool,
    expressions: usize,
}

impl Bound {
    fn step(&mut self, advice: &Advice, step: &Instruction) -> Result<(), AgentError> {
        match step {
            Instruction::Observe { .. } if self.unpacked => {
                return Err(AgentError::Shape("it observes after it unpacks"));
            }
            Instruction::Observe { .. } => self.columns += 1,
            Instruction::Filter { expr } => self.expr(expr)?,
            Instruction::Let { expr, .. } => {
                self.expr(expr)?;
                self.columns += 1;
            }
            Instruction::Unpack { bag, columns, aggregates, rows, .. } => {
                own(advice, bag)?;
                limit("aggregates", aggregates.len(), MAX_COLUMNS)?;
                self.unpacked = true;
                self.columns += columns.len();
                match rows {
                    Unpacked::Rows => self.states.extend(aggregates),
                    Unpacked::Groups if columns.len() <= aggregates.len() => {
                        return Err(AgentError::Shape("unpacked groups have too few columns"));
                    }
                    Unpacked::Groups => {}
                }
            }
            Instruction::Pack { .. } | Instruction::Emit { .. } => {
                return Err(AgentError::Shape("a Pack or Emit is not the last instruction"));
            }
        }
        limit("columns", self.columns, 4 * MAX_COLUMNS)
    }

    fn end(&mut self, advice: &Advice, last: &Instruction) -> Result<(), AgentError> {
        let (keys, folds) = match last {
            Instruction::Pack { bag, keep, keys, folds } => {
                own(advice, bag)?;
                kept(*keep)?;
                (keys, folds)
            }
            Instruction::Emit { keys, folds, .. } => (keys, folds),
            _ => return Err(AgentError::Shape("it does not end in a Pack or Emit")),
        };
        limit("keys", keys.len(), MAX_COLUMNS)?;
        limit("aggregates", folds.len(), MAX_COLUMNS)?;
        keys.iter().try_for_each(|key| self.column(*key))?;
        folds.iter().try_for_each(|fold| self.fold(fold))
    }

    fn fold(&mut self, fold: &Fold) -> Result<(), AgentError> {
        match &fold.input {
            Input::Expr(expr) => self.expr(expr),
            Input::State(index) => match self.states.get(usize::from(*index)) {
                None => Err(AgentError::Unbound { what: "state", index: *index }),
                Some(aggregate) if *aggregate != fold.aggregate => Err(AgentError::AggregateMismatch),
                Some(_) => Ok(()),
            },
        }
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

fn own(advice: &Advice, bag: &BagKey) -> Result<(), AgentError> {
    if bag.query == advice.query { Ok(()) } else { Err(AgentError::ForeignBag) }
}

fn kept(keep: Keep) -> Result<(), AgentError> {
    match keep {
        Keep::First(0) | Keep::MostRecent(0) => Err(AgentError::Shape("it keeps no tuple")),
        Keep::First(n) | Keep::MostRecent(n) => limit("kept tuples", n as usize, MAX_KEPT as usize),
        Keep::All => Ok(()),
    }
}

fn limit(what: &'static str, count: usize, limit: usize) -> Result<(), AgentError> {
    if count <= limit { Ok(()) } else { Err(AgentError::Limit { what, limit }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pivot_advice::{Form, QueryId, Value};

    fn advice(instructions: Vec<Instruction>) -> Advice {
        Advice { query: QueryId::new(1, 1), stage: 0, tracepoint: "T".into(), instructions }
    }

    fn observe() -> Instruction {
        Instruction::Observe { field: "x".into() }
    }

    fn emit(keys: Vec<u16>) -> Instruction {
        Instruction::Emit { keys, folds: vec![], form: Form::Groups }
    }

    fn unpack(query: QueryId) -> Instruction {
        let bag = BagKey { query, stage: 1 };
        let aggregates = vec![Aggregate::Sum];
        Instruction::Unpack { bag, alias: "a".into(), columns: vec![], aggregates, rows: Unpacked::Rows }
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
        check(vec![], Err(AgentError::Shape("it has no instructions")));
        check(vec![observe()], Err(AgentError::Shape("it does not end in a Pack or Emit")));
        let twice = vec![emit(vec![]), emit(vec![])];
        check(twice, Err(AgentError::Shape("a Pack or Emit is not the last instruction")));
    }

    #[test]
    fn a_bag_of_another_query_is_out_of_reach() {
        check(vec![unpack(QueryId::new(1, 2)), emit(vec![])], Err(AgentError::ForeignBag));
    }

    #[test]
    fn a_state_is_folded_by_its_own_aggregate() {
        let fold = |aggregate, index| Instruction::Emit {
            keys: vec![],
            folds: vec![Fold { aggregate, input: Input::State(index) }],
            form: Form::Groups,
        };
        let with = |last| vec![unpack(QueryId::new(1, 1)), last];
        check(with(fold(Aggregate::Sum, 0)), Ok(()));
        check(with(fold(Aggregate::Max, 0)), Err(AgentError::AggregateMismatch));
        check(with(fold(Aggregate::Sum, 1)), Err(AgentError::Unbound { what: "state", index: 1 }));
    }

    #[test]
    fn depth_and_length_are_bounded() {
        let deep = (0..MAX_DEPTH).fold(Expr::Literal(Value::Null), |inner, _| {
            Expr::Unary(pivot_advice::Unary::IsNull, Box::new(inner))
        });
        let error = AgentError::Limit { what: "levels of an expression", limit: MAX_DEPTH };
        check(vec![Instruction::Filter { expr: deep }, emit(vec![])], Err(error));
        let long = std::iter::repeat_with(observe).take(MAX_INSTRUCTIONS).chain([emit(vec![])]).collect();
        check(long, Err(AgentError::Limit { what: "instructions", limit: MAX_INSTRUCTIONS }));
    }
}
