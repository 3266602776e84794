//! How compiled advice adds a row to the thread's groups.

use crate::report::group_table::{GroupMut, GroupTable};
use crate::report::query_report::QueryReport;
use crate::report::thread_table::QueryTable;
use crate::run::cells::{Cell, Cells};
use crate::run::ir::{AggregateInput, CompiledAdvice, GroupSchema};
use pivot_advice::{AggregateState, EvalErrors, Groups};

impl CompiledAdvice {
    /// Adds a row that counts `n` times. `unpacked` are the states that it brought along from a bag.
    #[inline(always)]
    pub(crate) fn emit(
        &self,
        n: u64,
        unpacked: &[AggregateState],
        cells: &mut Cells,
        query_table: &mut QueryTable,
        errors: &mut EvalErrors,
    ) {
        let QueryTable { report, groups, .. } = query_table;

        // Two advices of one query that do not agree: only a broken frontend sends them.
        if !groups.accepts(&self.schema) {
            report.emitted = report.emitted.saturating_add(n);
            report.loss.dropped = report.loss.dropped.saturating_add(n);
            return;
        }

        let argument = match self.input {
            AggregateInput::SummableColumn(column) => cells.get(column),
            _ => Cell::NULL,
        };
        if n == 1 && self.add_pending(argument, cells, groups) {
            return;
        }

        report.emitted = report.emitted.saturating_add(n);
        let group =
            groups.group(&self.keys, argument, cells).unwrap_or_else(|| other_group(&self.schema, report));
        *group.n = group.n.saturating_add(n);
        self.fold(n, unpacked, cells, group.states, errors);
    }

    /// Fast path: adds a row to the pending sum of its group. Returns false, with nothing done, if the group is not
    /// there yet or the row does not fit.
    #[inline(always)]
    fn add_pending(&self, argument: Cell, cells: &Cells, groups: &mut GroupTable) -> bool {
        if let AggregateInput::Column(_) | AggregateInput::Mixed = self.input {
            return false;
        }

        let pending = match self.keys[..] {
            [] => groups.find_pending(&[Cell::NULL]),
            [only] => groups.find_pending(&[cells.get(only)]),
            [first, second] => groups.find_pending(&[cells.get(first), cells.get(second)]),
            _ => None,
        };
        pending.is_some_and(|pending| match self.input {
            AggregateInput::SummableColumn(_) => pending.add(argument),
            _ => pending.count(),
        })
    }
}

/// Returns the one group for the rows of groups for which there is no room.
#[cold]
#[inline(never)]
pub(crate) fn other_group<'a>(schema: &GroupSchema, report: &'a mut QueryReport) -> GroupMut<'a> {
    let other = report.other.get_or_insert_with(|| Groups::new(0, &schema.aggregates)).entry(&[]);
    GroupMut { n: &mut other.n, states: &mut other.states }
}
