//! What one thread has gathered since the last drain: a table per query.
//!
//! Every query has an index, the same in all threads, that weaving hands out. The index of a query that is gone goes
//! to another one; what a thread had gathered for the first is then put aside until the drain.

use crate::report::group_table::GroupTable;
use crate::report::query_report::QueryReport;
use crate::run::cells::Cells;
use pivot_advice::{BagKey, EvalErrors, Groups, QueryCost, QueryId, TemporalFilter};

/// A pack that waits until all advice of its event has run.
#[derive(Debug)]
pub(crate) struct DeferredPack {
    pub(crate) bag: BagKey,
    pub(crate) keep: TemporalFilter,
    /// One table for each tuple of a temporal bag, otherwise one table.
    pub(crate) tuples: Vec<Groups>,
}

/// The packs of one event, in the order in which its advice ran.
pub(crate) type DeferredPacks = Vec<DeferredPack>;

/// What one thread has gathered for one query.
#[derive(Debug)]
pub(crate) struct QueryTable {
    /// The query's id, as one number.
    pub(crate) query: u64,
    /// What interpreted advice emits, and what everything cost.
    pub(crate) report: QueryReport,
    /// What compiled and fused advice emits.
    pub(crate) groups: GroupTable,
    /// Evaluation errors of fused advice.
    pub(crate) errors: EvalErrors,
}

/// What one thread has gathered for all queries.
#[derive(Debug, Default)]
pub(crate) struct ThreadTable {
    by_index: Vec<QueryTable>,
    /// Tables of queries whose indexes others have taken over since the last drain.
    replaced: Vec<QueryTable>,
    /// Space for the columns of an event.
    pub(crate) cells: Cells,
    /// Empty between events.
    pub(crate) deferred: DeferredPacks,
}

impl ThreadTable {
    /// Returns the table of a query.
    #[inline(always)]
    pub(crate) fn query_table(&mut self, index: usize, query: u64) -> &mut QueryTable {
        self.parts(index, query).0
    }

    /// Returns the table of a query, space for an event, and where its packs may wait.
    #[inline(always)]
    pub(crate) fn parts(
        &mut self,
        index: usize,
        query: u64,
    ) -> (&mut QueryTable, &mut Cells, &mut DeferredPacks) {
        if self.by_index.get(index).is_none_or(|table| table.query != query) {
            self.take_index(index, query);
        }
        (&mut self.by_index[index], &mut self.cells, &mut self.deferred)
    }

    /// Returns the table at an index and space for an event, or `None` unless the table is that of the schema at this
    /// address. A schema belongs to one query, so this is also a check for the query.
    #[inline(always)]
    pub(crate) fn prepared(
        &mut self,
        index: usize,
        schema_address: usize,
    ) -> Option<(&mut QueryTable, &mut Cells)> {
        let table = self.by_index.get_mut(index)?;
        table.groups.has_schema_at(schema_address).then_some((table, &mut self.cells))
    }

    /// Begins a table at an index that was free or another query's.
    #[cold]
    #[inline(never)]
    fn take_index(&mut self, index: usize, query: u64) {
        while self.by_index.len() <= index {
            self.by_index.push(QueryTable::new(0));
        }

        let before = std::mem::replace(&mut self.by_index[index], QueryTable::new(query));
        if !before.is_empty() {
            self.replaced.push(before);
        }
    }

    /// Returns the report of every query to which an event came.
    pub(crate) fn into_reports(self) -> impl Iterator<Item = (QueryId, QueryReport)> {
        self.replaced
            .into_iter()
            .chain(self.by_index)
            .filter(|table| !table.is_empty())
            .map(|table| (QueryId::from_u64(table.query), table.into_report()))
    }
}

impl QueryTable {
    pub(crate) fn new(query: u64) -> QueryTable {
        let (report, groups) = (QueryReport::empty(), GroupTable::new());
        QueryTable { query, report, groups, errors: EvalErrors::default() }
    }

    /// Returns whether no event came here.
    fn is_empty(&self) -> bool {
        self.report.cost == QueryCost::default()
            && self.report.is_empty()
            && self.groups.is_empty()
            && self.errors.0 == 0
    }

    pub(crate) fn into_report(self) -> QueryReport {
        let mut report = self.report;
        report.count_errors(self.errors.0);
        report.emitted = report.emitted.saturating_add(self.groups.pending_rows());
        if let Some(groups) = self.groups.into_groups() {
            report.merge_groups(groups);
        }
        report
    }
}
