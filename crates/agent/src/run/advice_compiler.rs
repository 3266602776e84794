//! From a linked advice to a routine: the form in which most advice runs.
//!
//! A routine observes a field only when a step reads it, so a condition that fails early leaves the rest
//! of the event alone. It has at most one Unpack, whose rows go through the steps behind it one by one.
//! What needs more than that is interpreted.

use crate::report::group_table::PendingSum;
use crate::run::cell_expr::CellExpr;
use crate::run::cells::Cell;
use crate::run::ir::{
    AggregateArgument, AggregateInput, BagJoin, CompiledAdvice, CompiledStep, GroupSchema, GroupSchemas,
    RowSink,
};
use crate::weave::name_linker::{FieldSource, LinkedAdvice};
use pivot_advice::{AggregateCall, CallArgument, Expr, Instruction, JoinKind, TemporalFilter, UnpackMode};

impl CompiledAdvice {
    /// None if the advice needs more than this.
    pub(crate) fn of(linked: &LinkedAdvice, shapes: &mut GroupSchemas) -> Option<CompiledAdvice> {
        let (last, steps) = linked.advice.instructions.split_last()?;
        let (end, keys, folds) = match last {
            Instruction::Emit { keys, folds, .. } => (RowSink::Emit, keys, folds),
            Instruction::Pack { bag, keep, keys, folds } => (RowSink::Pack(*bag, *keep), keys, folds),
            _ => return None,
        };
        let mut schedule = Schedule::default();
        let mut sources = linked.sources.iter();
        for (at, step) in steps.iter().enumerate() {
            if let Instruction::Unpack { .. } = step {
                // Behind it the baggage is in use, and no field may be asked for any more.
                let later = reads(&steps[at..], keys, folds);
                later.into_iter().for_each(|column| schedule.need(column));
            }
            schedule.step(step, &mut sources)?;
        }
        reads(&[], keys, folds).into_iter().for_each(|column| schedule.need(column));
        if schedule.join.is_some()
            && matches!(end, RowSink::Pack(_, TemporalFilter::First(_) | TemporalFilter::MostRecent(_)))
        {
            return None;
        }
        Some(CompiledAdvice {
            steps: schedule.steps,
            join: schedule.join,
            columns: schedule.columns,
            keys: keys.iter().map(|key| usize::from(*key)).collect(),
            arguments: folds.iter().map(AggregateArgument::of).collect(),
            shape: shapes.the_one(GroupSchema {
                query: linked.advice.query,
                keys: keys.len(),
                aggregates: folds.iter().map(|fold| fold.aggregate).collect(),
            }),
            takes: AggregateInput::of(folds),
            end,
        })
    }
}

impl AggregateInput {
    fn of(folds: &[AggregateCall]) -> AggregateInput {
        let column = |fold: &AggregateCall| match fold.input {
            CallArgument::Expr(Expr::Column(column)) => Some(usize::from(column)),
            _ => None,
        };
        match folds.first().map(column) {
            None => AggregateInput::None,
            Some(Some(first)) if folds.iter().all(|fold| column(fold) == Some(first)) => {
                let plainly = folds.iter().all(|fold| PendingSum::serves(fold.aggregate));
                if plainly { AggregateInput::SummableColumn(first) } else { AggregateInput::Column(first) }
            }
            Some(_) => AggregateInput::Mixed,
        }
    }
}

/// The columns that steps read.
fn reads(steps: &[Instruction], keys: &[u16], folds: &[AggregateCall]) -> Vec<u16> {
    let mut read = Vec::new();
    let mut expr = |expr: &Expr| expr.columns(&mut |column| read.push(column));
    for step in steps {
        match step {
            Instruction::Let { expr: x, .. } | Instruction::Filter { expr: x } => expr(x),
            Instruction::Unpack { on: Some(on), .. } => expr(on),
            _ => {}
        }
    }
    for fold in folds {
        if let CallArgument::Expr(x) = &fold.input {
            expr(x);
        }
    }
    read.extend(keys);
    read
}

/// Puts steps in an order in which each finds what it reads.
#[derive(Default)]
struct Schedule {
    /// What was not needed yet.
    observes: Vec<(usize, FieldSource)>,
    steps: Vec<CompiledStep>,
    join: Option<BagJoin>,
    columns: usize,
}

impl Schedule {
    /// Observes what is needed for the first time.
    fn need(&mut self, column: u16) {
        let column = usize::from(column);
        if let Some(at) = self.observes.iter().position(|(observed, _)| *observed == column) {
            let (column, source) = self.observes.remove(at);
            self.steps.push(match source {
                FieldSource::Exported(index) => CompiledStep::Observe(column, index),
                FieldSource::Default(field) => CompiledStep::Default(column, field),
                FieldSource::Missing => CompiledStep::Let(column, Box::new(CellExpr::Constant(Cell::NULL))),
            });
        }
    }

    fn push(&mut self, step: CompiledStep) {
        match &mut self.join {
            Some(join) => join.steps.push(step),
            None => self.steps.push(step),
        }
    }

    fn filter(&mut self, code: CellExpr) {
        match (code, self.steps.last_mut()) {
            (CellExpr::Within(column, range), Some(last)) if self.join.is_none() => match *last {
                CompiledStep::Observe(observed, index) if observed == column => {
                    *last = CompiledStep::Test(column, index, range)
                }
                _ => self.push(CompiledStep::Within(column, range)),
            },
            (CellExpr::Within(column, range), _) => self.push(CompiledStep::Within(column, range)),
            (code, _) => self.push(CompiledStep::Filter(Box::new(code))),
        }
    }

    fn code(&mut self, expr: &Expr) -> CellExpr {
        expr.columns(&mut |column| self.need(column));
        CellExpr::of(expr)
    }

    fn step<'a>(
        &mut self,
        step: &Instruction,
        sources: &mut impl Iterator<Item = &'a FieldSource>,
    ) -> Option<()> {
        match step {
            Instruction::Observe { .. } => self.observes.push((self.columns, *sources.next()?)),
            Instruction::Let { expr, .. } => {
                let code = self.code(expr);
                self.push(CompiledStep::Let(self.columns, Box::new(code)));
            }
            Instruction::Filter { expr } => {
                let code = self.code(expr);
                self.filter(code);
                return Some(());
            }
            Instruction::Unpack { bag, columns, aggregates, rows, matching, on, .. } => {
                let plain = *rows == UnpackMode::Rows && *matching == JoinKind::Inner && self.join.is_none();
                let (first, width, aggregates) = (self.columns, columns.len(), aggregates.clone());
                let (on, steps) = (on.as_ref().map(CellExpr::of), Vec::new());
                self.join = plain.then_some(BagJoin { bag: *bag, first, width, aggregates, on, steps });
                self.columns += width;
                return plain.then_some(());
            }
            _ => return None,
        }
        self.columns += 1;
        Some(())
    }
}

impl AggregateArgument {
    fn of(fold: &AggregateCall) -> AggregateArgument {
        match &fold.input {
            CallArgument::Expr(Expr::Column(column)) => AggregateArgument::Column(usize::from(*column)),
            CallArgument::Expr(expr) => AggregateArgument::Code(Box::new(CellExpr::of(expr))),
            CallArgument::State(state) => AggregateArgument::State(usize::from(*state)),
        }
    }
}
