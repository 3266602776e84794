//! The changes of the state since the commit before, with everything that the store needs to write them.

use super::history_changes::DeltaKey;
use super::history_records::HistoryQueryRecord;
use super::records::{
    AgentProgress, AgentRecord, DepartedRecord, FrontendRecord, QueryRecord, ResultRecord, WindowRecord,
};
use crate::known_exports::ExportedSet;
use crate::time_range::TimeRange;
use crate::window_delta::WindowDelta;
use crate::window_groups::WindowGroups;
use pivot_advice::WovenTime;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Changes that one commit makes durable, all or none of them.
///
/// Maps have the newest record of each thing. Groups are shared with the state, so collecting changes costs little;
/// they are encoded when they are committed.
#[derive(Debug, Default)]
pub(crate) struct StateChanges {
    pub(crate) frontend: Option<FrontendRecord>,
    /// By incarnation.
    pub(crate) agents: BTreeMap<u64, ChangedAgent>,
    /// By incarnation.
    pub(crate) progress: BTreeMap<u64, AgentProgress>,
    /// Incarnations that are forgotten.
    pub(crate) forgotten_agents: BTreeSet<u64>,
    /// By incarnation: agents of which the highest sequence is kept alone; `None` for those of which it is not any more.
    pub(crate) departed: BTreeMap<u64, Option<DepartedRecord>>,
    /// By number.
    pub(crate) queries: BTreeMap<u32, QueryRecord>,
    /// By the number of the query.
    pub(crate) results: BTreeMap<u32, ResultRecord>,
    /// Numbers of queries that are forgotten with all that belongs to them.
    pub(crate) forgotten_queries: BTreeSet<u32>,
    /// By query and incarnation.
    pub(crate) woven: BTreeMap<(u32, u64), WovenTime>,
    /// By query and start.
    pub(crate) windows: BTreeMap<(u32, i64), WindowRecord>,
    pub(crate) rows: Vec<ChangedRows>,
    /// By the number of the query.
    pub(crate) totals: BTreeMap<u32, FoldedTotal>,
    pub(crate) history: HistoryNews,
}

/// Additions to history.
#[derive(Debug, Default)]
pub(crate) struct HistoryNews {
    /// By number.
    pub(crate) queries: BTreeMap<u32, HistoryQueryRecord>,
    pub(crate) deltas: BTreeMap<DeltaKey, WindowDelta>,
    /// Times of forgotten windows that all agents have reported in the end, each with the query's number.
    pub(crate) completed: Vec<(u32, TimeRange)>,
}

impl HistoryNews {
    fn is_empty(&self) -> bool {
        self.queries.is_empty() && self.deltas.is_empty() && self.completed.is_empty()
    }
}

/// An agent whose description has changed.
#[derive(Debug)]
pub(crate) struct ChangedAgent {
    pub(crate) record: AgentRecord,
    pub(crate) exports: Arc<ExportedSet>,
}

/// The place of some rows in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StoredRowsKey {
    pub(crate) query: u32,
    /// The start of the window; `None` for rows whose window is forgotten.
    pub(crate) start_ns: Option<i64>,
    /// The commit that writes them.
    pub(crate) batch: u64,
}

/// Rows of a window.
#[derive(Debug)]
pub(crate) struct ChangedRows {
    pub(crate) key: StoredRowsKey,
    pub(crate) groups: Arc<WindowGroups>,
    /// Whether they are all rows of the window and replace those of earlier commits.
    pub(crate) replaces_earlier: bool,
}

/// A result since install with everything up to a commit.
#[derive(Debug)]
pub(crate) struct FoldedTotal {
    pub(crate) batch: u64,
    pub(crate) groups: Arc<WindowGroups>,
    /// The starts of forgotten windows, which are in it and need not be stored any more.
    pub(crate) contains: Vec<i64>,
}

impl StateChanges {
    /// Whether there is nothing to commit.
    pub(crate) fn is_empty(&self) -> bool {
        let StateChanges { frontend, agents, progress, forgotten_agents, departed, queries, results, .. } =
            self;
        let StateChanges { forgotten_queries, woven, windows, rows, totals, history, .. } = self;

        let no_agents =
            agents.is_empty() && progress.is_empty() && forgotten_agents.is_empty() && departed.is_empty();
        let no_queries = queries.is_empty() && results.is_empty() && forgotten_queries.is_empty();
        let no_rows = woven.is_empty() && windows.is_empty() && rows.is_empty() && totals.is_empty();
        frontend.is_none() && no_agents && no_queries && no_rows && history.is_empty()
    }
}
