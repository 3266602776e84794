//! A straight routine with a happened-before join: the rows of the bag are added one by one, and of each only
//! the columns that are keys or taken in are looked at.

use crate::limits::MAX_ROWS;
use crate::report::thread_table::QueryTable;
use crate::run::cells::{Cell, Cells};
use crate::run::compiled::unpack_merged;
use crate::run::fused::plan::{FusedAdvice, FusedJoin, FusedKey};
use crate::run::sample;
use pivot_advice::Groups;
use pivot_baggage::{Baggage, CompleteRows, ValueRef, with_current};

/// An event that meets one row of the bag after the other.
pub(crate) struct FusedEvent<'a, const N: usize> {
    pub(crate) straight: &'a FusedAdvice,
    pub(crate) keys: [&'a FusedKey; N],
    pub(crate) key: [Cell; N],
    pub(crate) argument: Cell,
    pub(crate) cells: &'a mut Cells,
    pub(crate) local: &'a mut QueryTable,
}

impl FusedJoin {
    /// Adds the rows of an event. False, and nothing was done, if its request is one of a sample.
    #[inline(always)]
    pub(crate) fn run<const N: usize>(&self, mut event: FusedEvent<'_, N>) -> bool {
        let is_done = with_current(|baggage| {
            let Some(baggage) = baggage else { return true };
            if !sample::keeps_all(baggage) {
                return false;
            }
            let mut joining = FusedJoinRows { joined: self, event: &mut event, rows: 0 };
            match baggage.unpack_decoded(self.bag) {
                Some(groups) => joining.groups(groups),
                None => joining.others(baggage),
            }
            true
        });
        event.cells.end();
        is_done
    }
}

struct FusedJoinRows<'a, 'b, const N: usize> {
    joined: &'a FusedJoin,
    event: &'a mut FusedEvent<'b, N>,
    rows: usize,
}

impl<const N: usize> FusedJoinRows<'_, '_, N> {
    /// With rows that nobody has taken apart, or that lie in several places.
    #[inline(never)]
    fn others(&mut self, baggage: &Baggage) {
        let FusedJoin { bag, width, aggregates, .. } = self.joined;
        match baggage.unpack_complete(*bag) {
            Some(CompleteRows::Decoded(groups)) => self.groups(groups),
            Some(CompleteRows::Encoded(rows)) if rows.fits(*width, aggregates) => {
                rows.each(self, FusedJoinRows::see, |joining, n, _| joining.end(n));
            }
            Some(CompleteRows::Encoded(_)) => self.event.local.errors.0 += 1,
            None => {
                let merged = unpack_merged(baggage, *bag, &mut self.event.local.part.loss);
                merged.iter().for_each(|groups| self.groups(groups));
            }
        }
    }

    #[inline(always)]
    fn groups(&mut self, groups: &Groups) {
        let FusedJoin { width, aggregates, argument, .. } = self.joined;
        if groups.keys() != *width || groups.aggregates() != &aggregates[..] {
            self.event.local.errors.0 += 1;
            return;
        }
        for group in groups {
            for (key, cell) in self.event.keys.iter().zip(&mut self.event.key) {
                if let FusedKey::Unpacked(column) = key
                    && let Some(value) = group.key.get(*column)
                {
                    *cell = self.event.cells.part(ValueRef::from(value));
                }
            }
            if let Some(value) = argument.and_then(|column| group.key.get(column)) {
                self.event.argument = self.event.cells.part(ValueRef::from(value));
            }
            self.end(group.n);
        }
    }

    /// Looks at one of the columns of a row.
    #[inline(always)]
    fn see(&mut self, column: usize, part: ValueRef<'_>) {
        let is_it = |key: &&FusedKey| matches!(key, FusedKey::Unpacked(mine) if *mine == column);
        if !self.event.keys.iter().any(is_it) && self.joined.argument != Some(column) {
            return;
        }
        let cell = self.event.cells.part(part);
        for (key, place) in self.event.keys.iter().zip(&mut self.event.key) {
            if is_it(key) {
                *place = cell;
            }
        }
        if self.joined.argument == Some(column) {
            self.event.argument = cell;
        }
    }

    /// Adds a row of which everything was seen.
    #[inline(always)]
    fn end(&mut self, n: u64) {
        if self.rows == MAX_ROWS {
            let dropped = &mut self.event.local.part.loss.dropped;
            *dropped = dropped.saturating_add(n);
            return;
        }
        self.rows += 1;
        let FusedEvent { straight, key, argument, cells, local, .. } = &mut *self.event;
        straight.add(*key, *argument, n, cells, local);
    }
}
