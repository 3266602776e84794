//! One window of one query: its groups, whether it was shown, and what is stored of it.

use crate::agent_coverage::{AgentCoverage, AllAgentsReported};
use crate::agent_registry::AgentRegistry;
use crate::query_term::QueryTerm;
use crate::range_coverage::RangeCoverage;
use crate::store::{StoredWindow, WindowRecord};
use crate::time_range::TimeRange;
use crate::window_groups::WindowGroups;
use pivot_merge::MergedGroups;
use std::sync::Arc;

/// The most groups that are stored of a window apart, beyond twice as many as it has.
const STORED_APART: usize = 64;

/// One window while it is gathered, and after.
#[derive(Debug)]
pub(crate) struct Window {
    pub(crate) end_ns: i64,
    /// All that was reported for it and is merged.
    pub(crate) groups: Arc<WindowGroups>,
    /// Groups that were reported since the last commit began.
    pub(crate) staged: Option<WindowGroups>,
    /// The commit with which its first frame was made; 0 before.
    pub(crate) closed_batch: u64,
    /// Whether something came after its newest frame.
    pub(crate) late: bool,
    /// Groups that came after its newest frame, as history adds them to it.
    late_groups: Option<Arc<WindowGroups>>,
    /// The number of its next frame.
    pub(crate) revision: u32,
    /// The sequence of its newest frame; 0 before the first.
    pub(crate) sequence: u64,
    /// The agents of its newest frame.
    pub(crate) coverage: AgentCoverage,
    /// Agents that are forgotten and may have had rows of it: it will not be complete any more.
    pub(crate) missed_agents: u32,
    /// Whether its newest frame was made without some agent.
    pub(crate) is_incomplete: bool,
    /// Whether it has changed since the last commit began, apart from rows.
    pub(crate) is_changed: bool,
    /// About how many groups are stored of it, those included that later ones replace.
    pub(crate) stored_groups: usize,
}

impl Window {
    /// Makes an open window without rows.
    pub(crate) fn new(end_ns: i64, groups: Arc<WindowGroups>) -> Window {
        Window {
            end_ns,
            groups,
            staged: None,
            closed_batch: 0,
            late: false,
            late_groups: None,
            revision: 0,
            sequence: 0,
            coverage: AgentCoverage::default(),
            missed_agents: 0,
            is_incomplete: false,
            is_changed: true,
            stored_groups: 0,
        }
    }

    /// Whether its first frame was made.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed_batch > 0
    }

    /// Notes groups that came after it was closed.
    pub(crate) fn note_late(&mut self, groups: &Arc<WindowGroups>) {
        self.late = true;
        match &mut self.late_groups {
            Some(earlier) => Arc::make_mut(earlier).merge(groups),
            None => self.late_groups = Some(groups.clone()),
        }
    }

    /// Returns what is to be stored of rows that were merged into it: these, or all of its rows when so many were
    /// stored one after the other that they take up several times the room.
    pub(crate) fn rows_to_store(&mut self, start_ns: i64, merged: Arc<WindowGroups>) -> MergedRows {
        self.stored_groups += merged.size_in_groups().max(1);
        let start_ns = Some(start_ns);

        // A closed window stays as it is: part of its rows may be in the stored result since install.
        let size = self.groups.size_in_groups();
        if self.is_closed() || self.stored_groups < 2 * size + STORED_APART {
            return MergedRows { start_ns, groups: merged, is_whole_window: false };
        }
        self.stored_groups = size;
        MergedRows { start_ns, groups: self.groups.clone(), is_whole_window: true }
    }

    /// Makes its next frame's content.
    pub(crate) fn show(
        &mut self,
        time_range: TimeRange,
        coverage: AgentCoverage,
        time: RangeCoverage,
    ) -> ClosedWindow {
        let (groups, revision) = (self.groups.clone(), self.revision);
        // A frame that shows all groups for the first time adds all of them to history.
        let added = match (revision, self.late_groups.take()) {
            (0, _) => Some(groups.clone()),
            (_, late) => late,
        };
        self.is_incomplete = coverage.agents_heard() == AllAgentsReported::SomeMissing;
        self.coverage = coverage;

        self.is_changed = true;
        self.late = false;
        self.revision += 1;
        ClosedWindow { time_range, groups, added, revision, coverage, time }
    }

    /// Makes a window as it was stored.
    pub(crate) fn restore(stored: &StoredWindow, shape: &MergedGroups) -> Window {
        let WindowRecord { end_ns, closed_batch, revision, sequence, is_incomplete, .. } = stored.record;
        let WindowRecord { reporting, expected, missed_agents, .. } = stored.record;
        Window {
            closed_batch,
            revision,
            sequence,
            coverage: AgentCoverage { reporting, expected, lost: 0 },
            missed_agents,
            is_incomplete,
            is_changed: false,
            stored_groups: stored.stored_groups(shape),
            ..Window::new(end_ns, Arc::new(stored.groups(shape)))
        }
    }

    /// Returns its record.
    pub(crate) fn record(&self) -> WindowRecord {
        WindowRecord {
            end_ns: self.end_ns,
            closed_batch: self.closed_batch,
            revision: self.revision,
            sequence: self.sequence,
            is_incomplete: self.is_incomplete,
            reporting: self.coverage.reporting,
            expected: self.coverage.expected,
            is_forgotten: false,
            missed_agents: self.missed_agents,
        }
    }

    /// Returns whether it waits for nobody any more.
    pub(crate) fn may_close(
        &self,
        rules: WindowCloseRules<'_>,
        coverage: AgentCoverage,
        now_ns: i64,
    ) -> bool {
        // Before its end a window is not complete, even if nobody is expected to report it.
        let is_complete = !coverage.is_waiting() && now_ns >= self.end_ns;
        let has_waited = now_ns >= self.end_ns.saturating_add(rules.grace_ns);
        is_complete || has_waited || rules.close_all
    }
}

/// Rows that were merged into windows of one query.
#[derive(Debug)]
pub(crate) struct MergedRows {
    /// The start of the window; `None` for windows that are forgotten.
    pub(crate) start_ns: Option<i64>,
    pub(crate) groups: Arc<WindowGroups>,
    /// Whether these are all rows of the window, and not only those that were staged.
    pub(crate) is_whole_window: bool,
}

/// A window that is due to be shown.
#[derive(Debug)]
pub(crate) struct ClosedWindow {
    pub(crate) time_range: TimeRange,
    pub(crate) groups: Arc<WindowGroups>,
    /// Groups that came since its frame before; `None` if nothing has.
    pub(crate) added: Option<Arc<WindowGroups>>,
    /// 0 for its first frame, then one more for each.
    pub(crate) revision: u32,
    pub(crate) coverage: AgentCoverage,
    pub(crate) time: RangeCoverage,
}

/// When windows close.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WindowCloseRules<'r> {
    /// The agents that the query is about.
    pub(crate) term: QueryTerm<'r>,
    /// When the query was removed, if it is.
    pub(crate) removed_ns: Option<i64>,
    /// How long after its end a window waits for agents.
    pub(crate) grace_ns: i64,
    /// Whether all windows close now, because the query ends.
    pub(crate) close_all: bool,
    /// The commit that makes it durable.
    pub(crate) batch: u64,
    /// Whether agents are forgotten that may have had rows.
    pub(crate) misses_rows: bool,
    /// The length of the query's windows.
    pub(crate) every_ns: i64,
    /// When the query was installed.
    pub(crate) installed_ns: i64,
}

impl WindowCloseRules<'_> {
    /// Whether any agent could have reported something for a time range.
    pub(crate) fn has_witness(&self, registry: &AgentRegistry, time_range: TimeRange) -> bool {
        registry.has_witness(self.term, time_range)
    }
}
