//! The happened-before join of fused advice: the rows of the bag are added one by one, and of each only the columns
//! that are keys or the argument are decoded.

use crate::limits::MAX_ROWS;
use crate::report::thread_table::QueryTable;
use crate::run::cells::{Cell, Cells};
use crate::run::compiled_join::unpack_merged;
use crate::run::fused::plan::{FusedAdvice, FusedJoinPlan, FusedKey};
use crate::run::sample;
use pivot_advice::Groups;
use pivot_baggage::{BagRows, Baggage, ValueRef, with_current};

/// An event whose row is completed by every row of the bag in turn.
pub(super) struct FusedJoinEvent<'a, const KEYS: usize> {
    pub(super) advice: &'a FusedAdvice,
    pub(super) keys: [&'a FusedKey; KEYS],
    /// The values of the keys, of which the event gave some and each unpacked row gives the others.
    pub(super) key: [Cell; KEYS],
    pub(super) argument: Cell,
    pub(super) cells: &'a mut Cells,
    pub(super) query_table: &'a mut QueryTable,
}

/// A join on its way through the rows of a bag.
struct FusedJoinProgress<'a, 'b, const KEYS: usize> {
    join: &'a FusedJoinPlan,
    event: &'a mut FusedJoinEvent<'b, KEYS>,
    added: usize,
}

impl FusedJoinPlan {
    /// Adds the joined rows of an event. Returns false, with nothing recorded, outside any request, and if the baggage
    /// says that not all requests are kept, or that this one has been answered.
    #[inline(always)]
    pub(super) fn run<const KEYS: usize>(&self, mut event: FusedJoinEvent<'_, KEYS>) -> bool {
        let is_done = with_current(|baggage| {
            let Some(baggage) = baggage else { return false };
            if !sample::is_ordinary(baggage) {
                return false;
            }

            let mut rows = FusedJoinProgress { join: self, event: &mut event, added: 0 };
            match baggage.unpack_decoded(self.bag) {
                Some(groups) => rows.add_groups(groups),
                None => rows.add_encoded_or_merged(baggage),
            }
            true
        });
        event.cells.end();
        is_done
    }
}

impl<const KEYS: usize> FusedJoinProgress<'_, '_, KEYS> {
    /// Adds the rows of a bag that nobody has decoded yet, or that is in several instances.
    #[inline(never)]
    fn add_encoded_or_merged(&mut self, baggage: &Baggage) {
        let FusedJoinPlan { bag, width, aggregates, .. } = self.join;
        match baggage.unpack_complete(*bag) {
            Some(BagRows::Decoded(groups)) => self.add_groups(groups),
            Some(BagRows::Encoded(rows)) if rows.fits(*width, aggregates) => {
                rows.each(self, FusedJoinProgress::set_column, |rows, n, _| rows.end_row(n));
            }
            Some(BagRows::Encoded(_)) => self.event.query_table.errors.0 += 1,
            None => {
                let merged = unpack_merged(baggage, *bag, &mut self.event.query_table.report.loss);
                merged.iter().for_each(|groups| self.add_groups(groups));
            }
        }
    }

    #[inline(always)]
    fn add_groups(&mut self, groups: &Groups) {
        let FusedJoinPlan { width, aggregates, argument, .. } = self.join;
        if groups.keys() != *width || groups.aggregates() != &aggregates[..] {
            self.event.query_table.errors.0 += 1;
            return;
        }

        // By key and not by column, as `set_column` would: these columns can be had in any order.
        for group in groups {
            for (key, cell) in self.event.keys.iter().zip(&mut self.event.key) {
                if let FusedKey::Unpacked(column) = key
                    && let Some(value) = group.key.get(*column)
                {
                    *cell = self.event.cells.hold_ref(ValueRef::from(value));
                }
            }
            if let Some(value) = argument.and_then(|column| group.key.get(column)) {
                self.event.argument = self.event.cells.hold_ref(ValueRef::from(value));
            }
            self.end_row(group.n);
        }
    }

    /// Takes one of the columns of an encoded row, if it is a key or the argument.
    #[inline(always)]
    fn set_column(&mut self, column: usize, value: ValueRef<'_>) {
        let is_argument = self.join.argument == Some(column);
        if !is_argument && !self.event.keys.iter().any(|key| key.is_unpacked(column)) {
            return;
        }

        let cell = self.event.cells.hold_ref(value);
        for (key, key_cell) in self.event.keys.iter().zip(&mut self.event.key) {
            if key.is_unpacked(column) {
                *key_cell = cell;
            }
        }
        if is_argument {
            self.event.argument = cell;
        }
    }

    /// Adds a row of which all columns have been seen.
    #[inline(always)]
    fn end_row(&mut self, n: u64) {
        if self.added == MAX_ROWS {
            let dropped = &mut self.event.query_table.report.loss.dropped;
            *dropped = dropped.saturating_add(n);
            return;
        }
        self.added += 1;

        let FusedJoinEvent { advice, key, argument, cells, query_table, .. } = &mut *self.event;
        advice.add(*key, *argument, n, cells, query_table);
    }
}

impl FusedKey {
    #[inline(always)]
    fn is_unpacked(&self, column: usize) -> bool {
        matches!(self, FusedKey::Unpacked(mine) if *mine == column)
    }
}
