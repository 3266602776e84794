//! Adds a row to the states of a group.

use crate::run::cells::{Cell, Cells};
use crate::run::ir::{AggregateArgument, CompiledAdvice};
use pivot_advice::{AggregateState, EvalErrors};

impl CompiledAdvice {
    /// Adds a row that counts `n` times to the states of its group. `unpacked` are the states that the row brought
    /// along from a bag.
    #[inline(always)]
    pub(crate) fn fold(
        &self,
        n: u64,
        unpacked: &[AggregateState],
        cells: &mut Cells,
        states: &mut [AggregateState],
        errors: &mut EvalErrors,
    ) {
        for (state, argument) in states.iter_mut().zip(&self.arguments) {
            argument.add_to(state, n, unpacked, cells, errors);
        }
    }
}

impl AggregateArgument {
    #[inline(always)]
    fn add_to(
        &self,
        state: &mut AggregateState,
        n: u64,
        unpacked: &[AggregateState],
        cells: &mut Cells,
        errors: &mut EvalErrors,
    ) {
        let cell = match self {
            AggregateArgument::Column(column) => cells.get(*column),
            AggregateArgument::Expr(expr) => expr.eval(cells, errors),
            AggregateArgument::State(index) => {
                if let Some(theirs) = unpacked.get(*index) {
                    state.merge(theirs);
                }
                return;
            }
        };

        add_cell(state, cell, n, cells, errors);
    }
}

/// Adds a cell that counts `n` times to a state.
#[inline(always)]
pub(crate) fn add_cell(
    state: &mut AggregateState,
    cell: Cell,
    n: u64,
    cells: &Cells,
    errors: &mut EvalErrors,
) {
    let added = n == 1 && cell.as_integer().is_some_and(|x| state.add_integer(x));
    if !added {
        add_value(state, cell, n, cells, errors);
    }
}

#[inline(never)]
fn add_value(state: &mut AggregateState, cell: Cell, n: u64, cells: &Cells, errors: &mut EvalErrors) {
    state.update(&cells.value(cell), n, errors);
}
