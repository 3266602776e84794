//! A straight routine with a happened-before join: the rows of the bag are added one by one, and of each only
//! the columns that are keys or taken in are looked at.

use crate::cells::{Cell, Cells};
use crate::compile::{Join, Plainly};
use crate::interpret::MAX_ROWS;
use crate::routine::{Fields, Local};
use crate::sample;
use crate::straight::{Key, Keys, Straight};
use pivot_advice::{Aggregate, BagKey, Groups};
use pivot_baggage::{Baggage, Part, Whole, with_current};

/// The join of a straight routine.
#[derive(Debug)]
pub(crate) struct Joined {
    bag: BagKey,
    width: usize,
    aggregates: Vec<Aggregate>,
    /// The column of the bag that the aggregates are of.
    argument: Option<usize>,
}

impl Joined {
    /// None of a join that asks more of its rows.
    pub(crate) fn of(join: &Join, plainly: Plainly) -> Option<Joined> {
        let argument = match plainly {
            Plainly::Of(column) => join.column(column),
            Plainly::Counted | Plainly::Never => None,
        };
        let (bag, width, aggregates) = (join.bag, join.width, join.aggregates.clone());
        (join.on.is_none() && join.steps.is_empty()).then_some(Joined { bag, width, aggregates, argument })
    }
}

impl Straight {
    /// Runs it over one event. False, and nothing was done, if its request is one of a sample.
    #[inline(never)]
    pub(crate) fn run_joined(
        &self,
        joined: &Joined,
        fields: Fields<'_>,
        cells: &mut Cells,
        local: &mut Local,
    ) -> bool {
        let errors = local.errors.0;
        let Some(argument) = self.begins(fields, cells, local) else { return true };
        let is_done = match &self.keys {
            Keys::One(only) => {
                let key = [only.ask(fields, cells)];
                Joining { straight: self, joined, keys: [only], key, argument, rows: 0, cells, local }.run()
            }
            Keys::Two(first, second) => {
                let key = [first.ask(fields, cells), second.ask(fields, cells)];
                let keys = [first, second];
                Joining { straight: self, joined, keys, key, argument, rows: 0, cells, local }.run()
            }
        };
        cells.end();
        if !is_done {
            local.errors.0 = errors;
        }
        is_done
    }
}

/// An event with one row of the bag after the other.
struct Joining<'a, const N: usize> {
    straight: &'a Straight,
    joined: &'a Joined,
    keys: [&'a Key; N],
    key: [Cell; N],
    argument: Cell,
    rows: usize,
    cells: &'a mut Cells,
    local: &'a mut Local,
}

impl<const N: usize> Joining<'_, N> {
    #[inline(always)]
    fn run(mut self) -> bool {
        with_current(|baggage| {
            let Some(baggage) = baggage else { return true };
            if !sample::keeps_all(baggage) {
                return false;
            }
            match baggage.unpack_whole(self.joined.bag) {
                Some(Whole::Groups(groups)) => self.groups(groups),
                Some(Whole::Encoded(rows)) if rows.fits(self.joined.width, &self.joined.aggregates) => {
                    rows.each(&mut self, Joining::see, |joining, n, _| joining.end(n));
                }
                Some(Whole::Encoded(_)) => self.local.errors.0 += 1,
                None => self.merged(baggage),
            }
            true
        })
    }

    /// With the rows that several bags of the baggage have together.
    #[cold]
    #[inline(never)]
    fn merged(&mut self, baggage: &Baggage) {
        let merged = baggage.unpack(self.joined.bag);
        // Asked afterwards: bytes that cannot be read are found out when they are unpacked.
        let loss = &mut self.local.part.loss;
        loss.truncated = loss.truncated.saturating_add(u64::from(baggage.lacks(self.joined.bag)));
        if let Some(groups) = &merged {
            self.groups(groups);
        }
    }

    #[inline(always)]
    fn groups(&mut self, groups: &Groups) {
        let Joined { width, aggregates, argument, .. } = self.joined;
        if groups.keys() != *width || groups.aggregates() != &aggregates[..] {
            self.local.errors.0 += 1;
            return;
        }
        for group in groups {
            for (key, cell) in self.keys.iter().zip(&mut self.key) {
                if let Key::Unpacked(column) = key
                    && let Some(value) = group.key.get(*column)
                {
                    *cell = self.cells.part(Part::of(value));
                }
            }
            if let Some(value) = argument.and_then(|column| group.key.get(column)) {
                self.argument = self.cells.part(Part::of(value));
            }
            self.end(group.n);
        }
    }

    /// Looks at one of the columns of a row.
    #[inline(always)]
    fn see(&mut self, column: usize, part: Part<'_>) {
        let is_it = |key: &&Key| matches!(key, Key::Unpacked(mine) if *mine == column);
        if !self.keys.iter().any(is_it) && self.joined.argument != Some(column) {
            return;
        }
        let cell = self.cells.part(part);
        for (key, place) in self.keys.iter().zip(&mut self.key) {
            if is_it(key) {
                *place = cell;
            }
        }
        if self.joined.argument == Some(column) {
            self.argument = cell;
        }
    }

    /// Adds a row of which everything was seen.
    #[inline(always)]
    fn end(&mut self, n: u64) {
        if self.rows == MAX_ROWS {
            let dropped = &mut self.local.part.loss.dropped;
            *dropped = dropped.saturating_add(n);
            return;
        }
        self.rows += 1;
        self.straight.add(self.key, self.argument, n, self.cells, self.local);
    }
}
