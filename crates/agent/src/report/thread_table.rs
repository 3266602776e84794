//! What one thread has gathered since the last drain.

use crate::report::group_table::GroupTable;
use crate::report::query_report::QueryReport;
use crate::run::cells::Cells;
use pivot_advice::{BagKey, EvalErrors, Groups, QueryCost, QueryId, TemporalFilter};

/// Packs of an event that come after all its advice.
pub(crate) type DeferredPacks = Vec<(BagKey, TemporalFilter, Vec<Groups>)>;

/// What runs of one query in one thread add to.
#[derive(Debug)]
pub(crate) struct QueryTable {
    pub(crate) query: u64,
    pub(crate) part: QueryReport,
    /// The groups of routines.
    pub(crate) rows: GroupTable,
    /// What went wrong in straight routines.
    pub(crate) errors: EvalErrors,
}

/// What one thread has gathered: each query's part at the place that weaving gave it.
#[derive(Debug, Default)]
pub(crate) struct ThreadTable {
    parts: Vec<QueryTable>,
    /// QueryReports of queries whose places others have taken over since the last drain.
    replaced: Vec<QueryTable>,
    pub(crate) cells: Cells,
    /// What an event packs when all its advice has run: it does not happen before itself.
    pub(crate) later: DeferredPacks,
}

impl ThreadTable {
    /// A query's part, space for an event, and its packs.
    #[inline(always)]
    pub(crate) fn local(
        &mut self,
        place: usize,
        query: u64,
    ) -> (&mut QueryTable, &mut Cells, &mut DeferredPacks) {
        if self.parts.get(place).is_none_or(|local| local.query != query) {
            self.take_place(place, query);
        }
        (&mut self.parts[place], &mut self.cells, &mut self.later)
    }

    /// The same if the query's part is there and has rows of the shape at this address, which is no other query's.
    #[inline(always)]
    pub(crate) fn known(&mut self, place: usize, shape: usize) -> Option<(&mut QueryTable, &mut Cells)> {
        let local = self.parts.get_mut(place)?;
        local.rows.is_at(shape).then_some((local, &mut self.cells))
    }

    #[cold]
    #[inline(never)]
    fn take_place(&mut self, place: usize, query: u64) {
        while self.parts.len() <= place {
            self.parts.push(QueryTable::new(0));
        }
        let before = std::mem::replace(&mut self.parts[place], QueryTable::new(query));
        if !before.is_empty() {
            self.replaced.push(before);
        }
    }

    pub(crate) fn into_parts(self) -> impl Iterator<Item = (QueryId, QueryReport)> {
        let all = self.replaced.into_iter().chain(self.parts);
        all.filter(|local| !local.is_empty()).map(|local| (QueryId::from_u64(local.query), local.into_part()))
    }
}

impl QueryTable {
    pub(crate) fn new(query: u64) -> QueryTable {
        QueryTable {
            query,
            part: QueryReport::empty(),
            rows: GroupTable::new(),
            errors: EvalErrors::default(),
        }
    }

    /// Whether no event was here.
    fn is_empty(&self) -> bool {
        self.part.cost == QueryCost::default()
            && self.part.is_empty()
            && self.rows.is_empty()
            && self.errors.0 == 0
    }

    pub(crate) fn into_part(self) -> QueryReport {
        let mut part = self.part;
        part.loss.errors = part.loss.errors.saturating_add(self.errors.0);
        part.emitted = part.emitted.saturating_add(self.rows.uncounted());
        if let Some(groups) = self.rows.into_groups() {
            part.merge_groups(groups);
        }
        part
    }
}
