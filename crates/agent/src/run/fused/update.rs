//! How fused advice adds a row to its group.

use crate::report::group_table::{GroupMut, PendingSum};
use crate::report::thread_table::QueryTable;
use crate::run::cells::{Cell, Cells};
use crate::run::compiled_emit::other_group;
use crate::run::fold::add_cell;
use crate::run::fused::plan::FusedAdvice;
use crate::run::ir::AggregateInput;
use pivot_advice::EvalErrors;

impl FusedAdvice {
    /// Adds a row that counts `n` times. Returns false if it may have left something out of line in `cells`.
    #[inline(always)]
    pub(super) fn add<const KEYS: usize>(
        &self,
        key: [Cell; KEYS],
        argument: Cell,
        n: u64,
        cells: &Cells,
        query_table: &mut QueryTable,
    ) -> bool {
        let groups = &mut query_table.groups;
        let is_added = match groups.find(&key) {
            Some(row) => match self.input {
                AggregateInput::SummableColumn(_) if n == 1 => {
                    groups.pending(row).is_some_and(|pending| pending.add(argument))
                }
                AggregateInput::None if n == 1 => groups.pending(row).is_some_and(PendingSum::count),
                AggregateInput::Column(_) => return self.add_to_row(row, argument, n, cells, query_table),
                _ => false,
            },
            None => false,
        };

        if !is_added {
            self.add_to_group(key, argument, n, cells, query_table);
        }
        is_added
    }

    /// Adds to the states of a group that is there.
    #[inline(never)]
    fn add_to_row(
        &self,
        row: usize,
        argument: Cell,
        n: u64,
        cells: &Cells,
        query_table: &mut QueryTable,
    ) -> bool {
        let QueryTable { report, groups, errors, .. } = query_table;
        if let Some(group) = groups.group_at(row) {
            report.emitted = report.emitted.saturating_add(n);
            fold_into(group, argument, n, cells, errors);
        }

        // The key is in line, or the row would not have been found.
        !argument.is_out_of_line()
    }

    /// Adds to a group that is not there yet or whose key is stored out of line, or adds what is no integer.
    #[cold]
    #[inline(never)]
    pub(super) fn add_to_group<const KEYS: usize>(
        &self,
        mut key: [Cell; KEYS],
        argument: Cell,
        n: u64,
        cells: &Cells,
        query_table: &mut QueryTable,
    ) {
        let QueryTable { report, groups, errors, .. } = query_table;
        report.emitted = report.emitted.saturating_add(n);

        let like = if let AggregateInput::SummableColumn(_) = self.input { argument } else { Cell::NULL };
        let group =
            groups.group_of(&mut key, like, cells).unwrap_or_else(|| other_group(&self.schema, report));
        fold_into(group, argument, n, cells, errors);
    }
}

/// Adds a row to a group: all aggregates are of the argument.
fn fold_into(group: GroupMut<'_>, argument: Cell, n: u64, cells: &Cells, errors: &mut EvalErrors) {
    *group.n = group.n.saturating_add(n);
    for state in group.states {
        add_cell(state, argument, n, cells, errors);
    }
}
