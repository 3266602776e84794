//! Adds a row to its group: where it is one, beside the states.

use crate::report::group_table::{GroupMut, PendingSum};
use crate::report::thread_table::QueryTable;
use crate::run::cells::{Cell, Cells};
use crate::run::compiled::{add_cell, other};
use crate::run::fused::plan::FusedAdvice;
use crate::run::ir::AggregateInput;
use pivot_advice::EvalErrors;

impl FusedAdvice {
    /// Adds a row that counts so many times. False if it may have left something elsewhere.
    #[inline(always)]
    pub(crate) fn add<const N: usize>(
        &self,
        key: [Cell; N],
        argument: Cell,
        n: u64,
        cells: &Cells,
        local: &mut QueryTable,
    ) -> bool {
        let is_added = match local.rows.find(&key) {
            Some(place) => match self.takes {
                AggregateInput::SummableColumn(_) if n == 1 => {
                    local.rows.pending(place).is_some_and(|plain| plain.add(argument))
                }
                AggregateInput::None if n == 1 => local.rows.pending(place).is_some_and(PendingSum::count),
                AggregateInput::Column(_) => return self.add_at(place, argument, n, cells, local),
                _ => false,
            },
            None => false,
        };
        if !is_added {
            self.add_anew(key, argument, n, cells, local);
        }
        is_added
    }

    /// Adds to the states of a group.
    #[inline(never)]
    fn add_at(&self, place: usize, argument: Cell, n: u64, cells: &Cells, local: &mut QueryTable) -> bool {
        let QueryTable { part, rows, errors, .. } = local;
        if let Some(group) = rows.at(place) {
            part.emitted = part.emitted.saturating_add(n);
            add_to(group, argument, n, cells, errors);
        }
        // The argument may lie elsewhere.
        !argument.is_out_of_line()
    }

    /// Adds to a group that is not there yet or whose key lies elsewhere, or what is no whole number.
    #[cold]
    #[inline(never)]
    pub(super) fn add_anew<const N: usize>(
        &self,
        mut key: [Cell; N],
        argument: Cell,
        n: u64,
        cells: &Cells,
        local: &mut QueryTable,
    ) {
        let QueryTable { part, rows, errors, .. } = local;
        part.emitted = part.emitted.saturating_add(n);
        let like = if let AggregateInput::SummableColumn(_) = self.takes { argument } else { Cell::NULL };
        let group = rows.group_of(&mut key, like, cells).unwrap_or_else(|| other(&self.shape, part));
        add_to(group, argument, n, cells, errors);
    }
}

fn add_to(group: GroupMut<'_>, argument: Cell, n: u64, cells: &Cells, errors: &mut EvalErrors) {
    *group.n = group.n.saturating_add(n);
    for state in group.states {
        add_cell(state, argument, n, cells, errors);
    }
}
