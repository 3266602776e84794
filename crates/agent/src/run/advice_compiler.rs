//! Compiles a linked advice, or declines: then it is interpreted.
//!
//! Compiled advice has at most one Unpack, an inner join with the bag's rows as they are, and what follows it goes over
//! the joined rows one by one. No field is observed after the Unpack, because the baggage is in use by then and a field
//! expression may want it.

use crate::report::group_table::PendingSum;
use crate::run::cell_expr::CellExpr;
use crate::run::cells::Cell;
use crate::run::ir::{
    AggregateArgument, AggregateInput, BagJoin, CompiledAdvice, CompiledStep, GroupSchema, RowSink,
    SchemaInterner,
};
use crate::weave::name_linker::{FieldSource, LinkedAdvice};
use crate::weave::query_budgets;
use pivot_advice::{AggregateCall, CallArgument, Expr, Instruction, JoinKind, TemporalFilter, UnpackedForm};

/// Compiles an advice, or returns `None` if only the interpreter can run it.
pub(crate) fn compile(linked: &LinkedAdvice, schemas: &mut SchemaInterner) -> Option<CompiledAdvice> {
    let (last, steps) = linked.advice.instructions.split_last()?;
    let (sink, keys, folds) = match last {
        Instruction::Emit { keys, folds, .. } => (RowSink::Emit, keys, folds),
        Instruction::Pack { bag, keep, keys, folds } => (RowSink::Pack(*bag, *keep), keys, folds),
        _ => return None,
    };

    let mut schedule = StepScheduler::default();
    let mut sources = linked.sources.iter();
    for (at, step) in steps.iter().enumerate() {
        if let Instruction::Unpack { .. } = step {
            schedule.observe_all(&columns_read(&steps[at..], keys, folds));
        }
        schedule.step(step, &mut sources)?;
    }
    schedule.observe_all(&columns_read(&[], keys, folds));

    // A temporal bag chooses among the joined rows, which the interpreter does.
    let is_temporal =
        matches!(sink, RowSink::Pack(_, TemporalFilter::First(_) | TemporalFilter::MostRecent(_)));
    if schedule.join.is_some() && is_temporal {
        return None;
    }

    let schema = GroupSchema {
        query: linked.advice.query,
        keys: keys.len(),
        aggregates: folds.iter().map(|fold| fold.aggregate).collect(),
        max_groups: query_budgets::max_groups(linked.advice.query),
    };
    Some(CompiledAdvice {
        steps: schedule.steps,
        join: schedule.join,
        columns: schedule.columns,
        keys: keys.iter().map(|key| usize::from(*key)).collect(),
        arguments: folds.iter().map(AggregateArgument::of_fold).collect(),
        input: AggregateInput::of_folds(folds),
        schema: schemas.intern(schema),
        sink,
    })
}

impl AggregateInput {
    fn of_folds(folds: &[AggregateCall]) -> AggregateInput {
        let Some(first) = folds.first() else { return AggregateInput::None };
        let Some(column) = folded_column(first) else { return AggregateInput::Mixed };

        if folds.iter().any(|fold| folded_column(fold) != Some(column)) {
            AggregateInput::Mixed
        } else if folds.iter().all(|fold| PendingSum::serves(fold.aggregate)) {
            AggregateInput::SummableColumn(column)
        } else {
            AggregateInput::Column(column)
        }
    }
}

/// Returns the column that an aggregate is of, or `None` if it is of something else.
fn folded_column(fold: &AggregateCall) -> Option<usize> {
    match fold.input {
        CallArgument::Expr(Expr::Column(column)) => Some(usize::from(column)),
        _ => None,
    }
}

impl AggregateArgument {
    fn of_fold(fold: &AggregateCall) -> AggregateArgument {
        match &fold.input {
            CallArgument::Expr(Expr::Column(column)) => AggregateArgument::Column(usize::from(*column)),
            CallArgument::Expr(expr) => AggregateArgument::Expr(Box::new(CellExpr::compile(expr))),
            CallArgument::State(state) => AggregateArgument::State(usize::from(*state)),
        }
    }
}

/// Returns the columns that steps, keys and aggregates read.
fn columns_read(steps: &[Instruction], keys: &[u16], folds: &[AggregateCall]) -> Vec<u16> {
    let mut read = Vec::new();
    let mut add = |expr: &Expr| expr.columns(&mut |column| read.push(column));

    for step in steps {
        match step {
            Instruction::Let { expr, .. } | Instruction::Filter { expr } => add(expr),
            Instruction::Unpack { on: Some(on), .. } => add(on),
            _ => {}
        }
    }
    for fold in folds {
        if let CallArgument::Expr(expr) = &fold.input {
            add(expr);
        }
    }

    read.extend(keys);
    read
}

/// An Observe whose column no step has read so far.
struct PendingObserve {
    column: usize,
    source: FieldSource,
}

/// Puts steps in an order in which each finds what it reads, and fields are observed as late as can be.
#[derive(Default)]
struct StepScheduler {
    pending: Vec<PendingObserve>,
    steps: Vec<CompiledStep>,
    join: Option<BagJoin>,
    columns: usize,
}

impl StepScheduler {
    /// Appends one instruction. Returns `None` if only the interpreter can run it.
    fn step<'a>(
        &mut self,
        step: &Instruction,
        sources: &mut impl Iterator<Item = &'a FieldSource>,
    ) -> Option<()> {
        match step {
            Instruction::Observe { .. } => {
                self.pending.push(PendingObserve { column: self.columns, source: *sources.next()? });
                self.columns += 1;
            }
            Instruction::Let { expr, .. } => {
                let expr = Box::new(self.compile(expr));
                self.push(CompiledStep::Let { column: self.columns, expr });
                self.columns += 1;
            }
            Instruction::Filter { expr } => {
                let condition = self.compile(expr);
                self.filter(condition);
            }
            Instruction::Unpack { bag, columns, aggregates, rows, matching, on, .. } => {
                if *rows != UnpackedForm::Rows || *matching != JoinKind::Inner || self.join.is_some() {
                    return None;
                }
                self.join = Some(BagJoin {
                    bag: *bag,
                    first: self.columns,
                    width: columns.len(),
                    aggregates: aggregates.clone(),
                    on: on.as_ref().map(CellExpr::compile),
                    steps: Vec::new(),
                });
                self.columns += columns.len();
            }
            _ => return None,
        }

        Some(())
    }

    fn compile(&mut self, expr: &Expr) -> CellExpr {
        expr.columns(&mut |column| self.observe(column));
        CellExpr::compile(expr)
    }

    fn observe_all(&mut self, columns: &[u16]) {
        columns.iter().for_each(|column| self.observe(*column));
    }

    /// Observes what a column stands for, if that was not done yet.
    fn observe(&mut self, column: u16) {
        let column = usize::from(column);
        let Some(at) = self.pending.iter().position(|pending| pending.column == column) else { return };

        self.steps.push(match self.pending.remove(at).source {
            FieldSource::Exported(field) => CompiledStep::Observe { column, field },
            FieldSource::Default(field) => CompiledStep::ObserveDefault { column, field },
            FieldSource::Missing => {
                CompiledStep::Let { column, expr: Box::new(CellExpr::Constant(Cell::NULL)) }
            }
        });
    }

    fn push(&mut self, step: CompiledStep) {
        match &mut self.join {
            Some(join) => join.steps.push(step),
            None => self.steps.push(step),
        }
    }

    /// Appends a condition. One on the field that was observed just now becomes one step with the observation.
    fn filter(&mut self, condition: CellExpr) {
        let CellExpr::InRange(column, range) = condition else {
            return self.push(CompiledStep::Filter(Box::new(condition)));
        };

        if self.join.is_none()
            && let Some(last) = self.steps.last_mut()
            && let CompiledStep::Observe { column: observed, field } = *last
            && observed == column
        {
            *last = CompiledStep::ObserveInRange { column, field, range };
            return;
        }
        self.push(CompiledStep::InRange { column, range });
    }
}
