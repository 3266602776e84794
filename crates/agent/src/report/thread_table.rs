//! What one thread has gathered since the last drain: a table per query.
//!
//! ```text
//!   ThreadTable
//!     by_index   [ 0: query 1.4 ][ 1: query 2.1 ][ 2: none yet ]     one QueryTable each
//!                       │
//!                       ├─ groups   rows of compiled and fused advice, keys as cells
//!                       ├─ report   rows of interpreted advice, losses, cost
//!                       └─ errors   of fused advice
//!     replaced   [ query 1.3, which had index 0 ]                    until the drain
//!     cells, deferred                                                buffers of the running event
//! ```
//!
//! Weaving gives every query an index, the same in all threads, so an event finds the table of its query by one
//! array access and one comparison. When a query is gone, its index may go to another one. A thread learns that at
//! the first event of the new query, and puts what it has gathered for the old one aside.
//!
//! Two of these belong to every thread, see [`thread_slot`](crate::report::thread_slot): only the thread touches
//! the one that events add to, so nothing here is shared or locked.

use crate::report::group_table::GroupTable;
use crate::report::query_report::QueryReport;
use crate::run::cells::Cells;
use crate::weave::query_budgets;
use pivot_advice::{BagKey, EvalErrors, Groups, QueryCost, QueryId, TemporalFilter};

/// A pack that waits until all advice of its event has run.
#[derive(Debug)]
pub(crate) struct DeferredPack {
    /// The bag to pack into.
    pub(crate) bag: BagKey,
    /// The choice of tuples that the bag keeps.
    pub(crate) keep: TemporalFilter,
    /// One table for each tuple if the bag keeps the first or last ones, otherwise one table of all.
    pub(crate) tuples: Vec<Groups>,
}

/// The packs of one event, in the order in which its advice ran.
pub(crate) type DeferredPacks = Vec<DeferredPack>;

/// The rows and costs that one thread has gathered for one query.
#[derive(Debug)]
pub(crate) struct QueryTable {
    /// The query's id as one number; 0 if the index has belonged to no query yet.
    pub(crate) query: u64,
    /// The rows that interpreted advice emits, and the losses and costs of all executors.
    pub(crate) report: QueryReport,
    /// The rows that compiled and fused advice emits.
    pub(crate) groups: GroupTable,
    /// Evaluation errors of fused advice, which does not touch the report for them.
    pub(crate) errors: EvalErrors,
}

/// The tables of all queries in one thread, and the buffers of its events.
#[derive(Debug, Default)]
pub(crate) struct ThreadTable {
    /// The tables of queries, by the index that weaving gave to the query.
    by_index: Vec<QueryTable>,
    /// Tables of queries whose indexes others have taken over since the last drain.
    replaced: Vec<QueryTable>,
    /// The columns of the running event.
    pub(crate) cells: Cells,
    /// The packs of the running event that wait for its end; empty between events.
    pub(crate) deferred: DeferredPacks,
}

impl ThreadTable {
    /// Returns the table of a query.
    #[inline(always)]
    pub(crate) fn query_table(&mut self, index: usize, query: u64) -> &mut QueryTable {
        self.parts(index, query).0
    }

    /// Returns the table of a query, the columns of the running event, and the list of its deferred packs.
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

    /// Returns the table at an index and the columns of the running event, or `None` if the table does not have the
    /// schema at this address. A schema belongs to one query, so this check includes that of the query.
    #[inline(always)]
    pub(crate) fn prepared(
        &mut self,
        index: usize,
        schema_address: usize,
    ) -> Option<(&mut QueryTable, &mut Cells)> {
        let table = self.by_index.get_mut(index)?;
        table.groups.has_schema_at(schema_address).then_some((table, &mut self.cells))
    }

    /// Puts a new table at an index that was unused or belonged to another query.
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
    /// Returns an empty table.
    pub(crate) fn new(query: u64) -> QueryTable {
        let (report, groups) = (QueryReport::empty(), GroupTable::new());
        QueryTable { query, report, groups, errors: EvalErrors::default() }
    }

    /// Returns whether no event of the query came to this thread.
    fn is_empty(&self) -> bool {
        self.report.cost == QueryCost::default()
            && self.report.is_empty()
            && self.groups.is_empty()
            && self.errors.0 == 0
    }

    /// Merges what the executors have gathered in their different forms into one report.
    pub(crate) fn into_report(self) -> QueryReport {
        let mut report = self.report;
        report.limit_groups(query_budgets::max_groups(QueryId::from_u64(self.query)));
        report.count_errors(self.errors.0);

        // Rows in pending sums were counted only there, to spare the fast path a second counter.
        report.emitted = report.emitted.saturating_add(self.groups.pending_rows());
        if let Some(groups) = self.groups.into_groups() {
            report.merge_groups(groups);
        }
        report
    }
}
