//! The happened-before join of compiled advice: the event's row is completed by every row of a bag in turn.

use crate::limits::MAX_ROWS;
use crate::report::thread_table::QueryTable;
use crate::run::cells::Cells;
use crate::run::ir::BagJoin;
use pivot_advice::{AggregateState, BagKey, EvalErrors, Groups, LossCounts};
use pivot_baggage::{BagRows, Baggage, ValueRef};
use std::borrow::Cow;

/// A row that the join made, with what the advice may use beside it.
pub(crate) struct JoinedRow<'a> {
    /// How often the row counts.
    pub(crate) n: u64,
    /// The states that it brought along from the bag.
    pub(crate) states: &'a [AggregateState],
    pub(crate) cells: &'a mut Cells,
    pub(crate) query_table: &'a mut QueryTable,
    pub(crate) errors: &'a mut EvalErrors,
}

/// A join on its way through the rows of a bag. The columns of a row are set one by one before the row ends.
struct CompiledJoinProgress<'a, F> {
    join: &'a BagJoin,
    matched: usize,
    cells: &'a mut Cells,
    query_table: &'a mut QueryTable,
    errors: &'a mut EvalErrors,
    each: F,
}

impl BagJoin {
    /// Calls `each` with every row that the join makes and that passes the steps after it.
    #[inline(always)]
    pub(crate) fn for_each_row(
        &self,
        baggage: &Baggage,
        cells: &mut Cells,
        query_table: &mut QueryTable,
        errors: &mut EvalErrors,
        each: impl FnMut(JoinedRow<'_>),
    ) {
        let mut rows = CompiledJoinProgress { join: self, matched: 0, cells, query_table, errors, each };

        // Rows that are still encoded are read in place; a bag of several instances has to be merged first.
        match baggage.unpack_complete(self.bag) {
            Some(BagRows::Encoded(encoded)) if encoded.fits(self.width, &self.aggregates) => {
                encoded.each(&mut rows, CompiledJoinProgress::set_column, CompiledJoinProgress::end_row);
            }
            Some(BagRows::Decoded(groups)) => rows.add_groups(groups),
            Some(BagRows::Encoded(_)) => rows.errors.0 += 1,
            None => {
                let merged = unpack_merged(baggage, self.bag, &mut rows.query_table.report.loss);
                merged.iter().for_each(|groups| rows.add_groups(groups));
            }
        }
    }
}

impl<F: FnMut(JoinedRow<'_>)> CompiledJoinProgress<'_, F> {
    fn add_groups(&mut self, groups: &Groups) {
        // A bag of another shape: only a broken frontend has it packed.
        if groups.keys() != self.join.width || *groups.aggregates() != *self.join.aggregates {
            self.errors.0 += 1;
            return;
        }

        for group in groups {
            for (column, value) in group.key.iter().enumerate() {
                self.set_column(column, ValueRef::from(value));
            }
            self.end_row(group.n, &group.states);
        }
    }

    /// Sets one of the bag's columns.
    #[inline(always)]
    fn set_column(&mut self, column: usize, value: ValueRef<'_>) {
        let cell = self.cells.hold_ref(value);
        self.cells.set(self.join.first + column, cell);
    }

    /// Ends a row of which all columns are set.
    #[inline(always)]
    fn end_row(&mut self, n: u64, states: &[AggregateState]) {
        let CompiledJoinProgress { join, matched, cells, query_table, errors, each } = self;
        if join.on.as_ref().is_some_and(|on| !on.holds(cells, errors)) {
            return;
        }

        if *matched == MAX_ROWS {
            let dropped = &mut query_table.report.loss.dropped;
            *dropped = dropped.saturating_add(n);
            return;
        }
        *matched += 1;

        if join.steps.iter().all(|step| step.passes(cells, errors)) {
            each(JoinedRow { n, states, cells, query_table, errors });
        }
    }
}

/// Returns the rows that several instances of a bag have together. Counts it if some are missing, and counts the rows if
/// they were chosen while some may have been.
#[cold]
#[inline(never)]
pub(crate) fn unpack_merged<'a>(
    baggage: &'a Baggage,
    bag: BagKey,
    loss: &mut LossCounts,
) -> Option<Cow<'a, Groups>> {
    let merged = baggage.unpack(bag);
    // Asked afterwards: bytes that cannot be read are found out when they are unpacked.
    let is_incomplete = baggage.is_incomplete(bag);
    loss.truncated = loss.truncated.saturating_add(u64::from(is_incomplete));

    if let Some(chosen) = merged.as_deref().filter(|_| baggage.has_doubtful_choice(bag)) {
        let kept = if is_incomplete { &mut loss.uncertain } else { &mut loss.undecided };
        *kept = kept.saturating_add(chosen.rows());
    }
    merged
}
