//! Runs compiled advice over one event, in two halves: [`observe`](CompiledAdvice::observe) evaluates fields, which
//! are user code, and [`finish`](CompiledAdvice::finish) uses the baggage, which user code must not meet borrowed.
//!
//! It does to every event exactly what the [interpreter](crate::run::interpreter) does; tests hold both to that.

use crate::report::thread_table::{DeferredPacks, QueryTable};
use crate::run::cells::{Cells, FieldReader};
use crate::run::ir::{BagJoin, CompiledAdvice, CompiledStep, RowSink};
use crate::site::default_field::default_cell;
use pivot_advice::{EvalErrors, Groups, JoinSide};
use pivot_baggage::Baggage;

impl CompiledAdvice {
    /// Runs the steps before the join. Returns false if the event is rejected.
    #[inline(always)]
    pub(crate) fn observe(
        &self,
        tracepoint: &'static str,
        fields: FieldReader<'_>,
        cells: &mut Cells,
        errors: &mut EvalErrors,
    ) -> bool {
        cells.begin(self.columns);

        for step in &self.steps {
            match step {
                CompiledStep::Observe { column, field } => {
                    let cell = fields(*field, cells);
                    cells.set(*column, cell);
                }
                CompiledStep::ObserveInRange { column, field, range } => {
                    let cell = fields(*field, cells);
                    cells.set(*column, cell);
                    if !range.holds(cell, cells, errors) {
                        return false;
                    }
                }
                CompiledStep::ObserveDefault { column, field } => {
                    let cell = default_cell(*field, tracepoint, cells);
                    cells.set(*column, cell);
                }
                step => {
                    if !step.passes(cells, errors) {
                        return false;
                    }
                }
            }
        }
        true
    }

    /// Runs the join and what follows it, then emits or packs. With `deferred` given, packs are left there. Returns
    /// what a request was needed for if there is none.
    #[inline(always)]
    pub(crate) fn finish(
        &self,
        baggage: Option<&mut Baggage>,
        cells: &mut Cells,
        query_table: &mut QueryTable,
        deferred: Option<&mut DeferredPacks>,
        errors: &mut EvalErrors,
    ) -> Option<JoinSide> {
        let (bag, keep) = match (&self.join, self.sink) {
            (None, RowSink::Emit) => {
                self.emit(1, &[], cells, query_table, errors);
                return None;
            }
            (Some(join), RowSink::Emit) => {
                let Some(baggage) = baggage else { return Some(JoinSide::Unpacks) };
                self.emit_joined(join, baggage, cells, query_table, errors);
                return None;
            }
            (_, RowSink::Pack(bag, keep)) => (bag, keep),
        };

        let Some(baggage) = baggage else {
            if self.join.is_some() {
                return Some(JoinSide::Unpacks);
            }
            // The expressions are evaluated nevertheless, because their errors count.
            self.single_row(cells, errors);
            return Some(JoinSide::Packs);
        };

        let cost = &mut query_table.report.cost;
        match (&self.join, deferred) {
            (None, None) => self.pack_row(baggage, bag, keep, cells, cost, errors),
            (None, deferred) => {
                let row = self.single_row(cells, errors);
                self.pack_groups(row, baggage, bag, keep, cost, deferred);
            }
            (Some(join), deferred) => {
                let truncated = query_table.report.loss.truncated;
                let rows = self.joined_rows(join, baggage, cells, query_table, errors);

                // Rows may be missing: whoever finds none in the bag must not take that for a fact.
                if query_table.report.loss.truncated != truncated {
                    baggage.mark_incomplete(bag, &self.empty_groups());
                }
                if let Some(rows) = rows {
                    let cost = &mut query_table.report.cost;
                    self.pack_groups(rows, baggage, bag, keep, cost, deferred);
                }
            }
        }
        None
    }

    #[inline(never)]
    fn emit_joined(
        &self,
        join: &BagJoin,
        baggage: &Baggage,
        cells: &mut Cells,
        query_table: &mut QueryTable,
        errors: &mut EvalErrors,
    ) {
        join.for_each_row(baggage, cells, query_table, errors, |row| {
            self.emit(row.n, row.states, row.cells, row.query_table, row.errors);
        });
    }

    /// Returns the groups of the joined rows, or `None` if there is no such row.
    #[inline(never)]
    fn joined_rows(
        &self,
        join: &BagJoin,
        baggage: &Baggage,
        cells: &mut Cells,
        query_table: &mut QueryTable,
        errors: &mut EvalErrors,
    ) -> Option<Groups> {
        let mut rows = None;

        join.for_each_row(baggage, cells, query_table, errors, |row| {
            let group = rows.get_or_insert_with(|| self.empty_groups()).entry(&self.key(row.cells));
            group.n = group.n.saturating_add(row.n);
            self.fold(row.n, row.states, row.cells, &mut group.states, row.errors);
        });
        rows
    }
}
