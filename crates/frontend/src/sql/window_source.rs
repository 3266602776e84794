//! Where the windows of queries come from: what tables of queries are made of.

use super::column_type::{ObservedTypes, is_open};
use crate::agent_coverage::{AgentCoverage, AllAgentsReported};
use crate::range_coverage::RangeCoverage;
use crate::select::finish;
use crate::time_range::TimeRange;
use crate::window_groups::WindowGroups;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use pivot_advice::EvalErrors;
use pivot_query::OutputPlan;
use std::fmt::Debug;
use std::sync::Arc;

/// An error of a source: its message says what cannot be read, and why.
pub(crate) type WindowSourceError = Box<dyn std::error::Error + Send + Sync>;

/// Closed windows of queries.
pub(crate) trait WindowSource: Debug + Send + Sync {
    /// Returns the queries of which there are windows, or could be.
    fn queries(&self) -> BoxFuture<'_, Result<Vec<HistoryQuery>, WindowSourceError>>;

    /// Returns the types of the values that a query has had.
    fn observed(&self, query: &HistoryQuery)
    -> BoxFuture<'static, Result<ObservedValues, WindowSourceError>>;

    /// Returns the windows of a query that begin in a range of time, in the order of their starts; revisions of one window
    /// follow each other.
    fn windows(
        &self,
        query: &HistoryQuery,
        starts: TimeRange,
        wanted: WindowRevisions,
    ) -> BoxStream<'static, Result<HistoryWindow, WindowSourceError>>;

    /// Returns how much of a range of time a query was answered, or `None` if no more is known than its windows say.
    fn covered(&self, query: &HistoryQuery, range: TimeRange) -> Option<RangeCoverage>;
}

/// The states of a window that are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WindowRevisions {
    /// The newest one.
    Newest,
    /// Each that was shown.
    All,
}

/// A query of which there are windows.
#[derive(Debug, Clone)]
pub(crate) struct HistoryQuery {
    pub(crate) number: u32,
    /// May be empty. Of several with one name the newest is meant by it.
    pub(crate) name: String,
    pub(crate) output: Arc<OutputPlan>,
}

/// The types of the values of a query, as far as windows have them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ObservedValues {
    /// Of each column of its SELECT. Those of a column whose type the compiler knows need not be told.
    pub(crate) columns: Vec<ObservedTypes>,
    /// Of each key of its groups.
    pub(crate) keys: Vec<ObservedTypes>,
}

impl ObservedValues {
    /// Adds the types of others of the same query.
    pub(super) fn union(&mut self, others: &ObservedValues) {
        for (mine, theirs) in [(&mut self.columns, &others.columns), (&mut self.keys, &others.keys)] {
            mine.resize(mine.len().max(theirs.len()), ObservedTypes::default());
            mine.iter_mut().zip(theirs).for_each(|(types, more)| types.0 |= more.0);
        }
    }

    /// Adds the types of a window. Columns are computed if their types are not known.
    pub(crate) fn note(&mut self, output: &OutputPlan, window: &HistoryWindow) {
        self.columns.resize(output.columns.len(), ObservedTypes::default());
        self.keys.resize(output.keys.len(), ObservedTypes::default());
        if !has_open_types(output) {
            return;
        }

        let open: Vec<usize> = (0..output.columns.len()).filter(|i| is_open(output.columns[*i].ty)).collect();
        let mut errors = EvalErrors::default();
        for group in finish(&window.groups, output, window.seconds(), &mut errors) {
            for (types, key) in self.keys.iter_mut().zip(&group.values) {
                types.note(key);
            }
            for column in &open {
                self.columns[*column].note(&output.columns[*column].expr.eval(&group.values, &mut errors));
            }
        }
    }
}

/// Whether values must tell the type of a column or a key.
pub(super) fn has_open_types(output: &OutputPlan) -> bool {
    let columns = output.columns.iter().map(|column| column.ty);
    columns.chain(output.keys.iter().map(|key| key.ty)).any(is_open)
}

/// A window of a query that has closed.
#[derive(Debug, Clone)]
pub(crate) struct HistoryWindow {
    pub(crate) time_range: TimeRange,
    /// 0, and one more for each change by late rows.
    pub(crate) revision: u32,
    /// How much of it the query was answered.
    pub(crate) time: RangeCoverage,
    pub(crate) coverage: AgentCoverage,
    /// Whether all agents have reported it.
    pub(crate) heard: AllAgentsReported,
    pub(crate) groups: Arc<WindowGroups>,
}

impl HistoryWindow {
    /// Whether anything is missing from it: agents, rows, or groups of their own for some rows.
    pub(crate) fn is_partial(&self) -> bool {
        self.heard == AllAgentsReported::SomeMissing
            || self.time.agents_late > 0
            || !self.groups.loss.is_zero()
            || self.groups.rows_in_other() > 0
    }

    /// Returns the length of the time that it covers, in seconds: what rates are per second of.
    pub(crate) fn seconds(&self) -> f64 {
        self.time.covered_ns as f64 / 1e9
    }
}
