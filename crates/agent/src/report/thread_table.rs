//! What one thread has gathered since the last drain.

use crate::report::cost::Cost;
use crate::report::group_table::Rows;
use crate::report::query_report::Part;
use crate::run::cells::Cells;
use pivot_advice::{BagKey, Errors, Groups, Keep, QueryId};

/// Packs of an event that come after all its advice.
pub(crate) type Packed = Vec<(BagKey, Keep, Vec<Groups>)>;

/// What runs of one query in one thread add to.
#[derive(Debug)]
pub(crate) struct Local {
    pub(crate) query: u64,
    pub(crate) part: Part,
    /// The groups of routines.
    pub(crate) rows: Rows,
    /// What went wrong in straight routines.
    pub(crate) errors: Errors,
}

/// What one thread has gathered: each query's part at the place that weaving gave it.
#[derive(Debug, Default)]
pub(crate) struct Table {
    parts: Vec<Local>,
    /// Parts of queries whose places others have taken over since the last drain.
    replaced: Vec<Local>,
    pub(crate) cells: Cells,
    /// What an event packs when all its advice has run: it does not happen before itself.
    pub(crate) later: Packed,
}

impl Table {
    /// A query's part, space for an event, and its packs.
    #[inline(always)]
    pub(crate) fn local(&mut self, place: usize, query: u64) -> (&mut Local, &mut Cells, &mut Packed) {
        if self.parts.get(place).is_none_or(|local| local.query != query) {
            self.take_place(place, query);
        }
        (&mut self.parts[place], &mut self.cells, &mut self.later)
    }

    /// The same if the query's part is there and has rows of the shape at this address, which is no other query's.
    #[inline(always)]
    pub(crate) fn known(&mut self, place: usize, shape: usize) -> Option<(&mut Local, &mut Cells)> {
        let local = self.parts.get_mut(place)?;
        local.rows.is_at(shape).then_some((local, &mut self.cells))
    }

    #[cold]
    #[inline(never)]
    fn take_place(&mut self, place: usize, query: u64) {
        while self.parts.len() <= place {
            self.parts.push(Local::new(0));
        }
        let before = std::mem::replace(&mut self.parts[place], Local::new(query));
        if !before.is_empty() {
            self.replaced.push(before);
        }
    }

    pub(crate) fn into_parts(self) -> impl Iterator<Item = (QueryId, Part)> {
        let all = self.replaced.into_iter().chain(self.parts);
        all.filter(|local| !local.is_empty()).map(|local| (QueryId::from_u64(local.query), local.into_part()))
    }
}

impl Local {
    pub(crate) fn new(query: u64) -> Local {
        Local { query, part: Part::empty(), rows: Rows::new(), errors: Errors::default() }
    }

    /// Whether no event was here.
    fn is_empty(&self) -> bool {
        self.part.cost == Cost::default()
            && self.part.is_empty()
            && self.rows.is_empty()
            && self.errors.0 == 0
    }

    pub(crate) fn into_part(self) -> Part {
        let mut part = self.part;
        part.loss.errors = part.loss.errors.saturating_add(self.errors.0);
        part.emitted = part.emitted.saturating_add(self.rows.uncounted());
        if let Some(groups) = self.rows.into_groups() {
            part.merge_groups(groups);
        }
        part
    }
}
