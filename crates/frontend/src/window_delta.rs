//! What history gets of a window: all of its groups when it is shown for the first time, and later those that were added.
//!
//! ```text
//! first frame    added: all groups            state: revision 0, 3 of 3 agents, losses of the whole window
//! late rows      added: what came since       state: revision 1, …
//! forgotten      added: what came since       no state: what the window lacks is as it was, and what the rows say
//! ```
//!
//! So the groups of a window are the sum of its deltas, in the order of the commits that brought them, and what it lacks is
//! in the newest state.

use crate::agent_coverage::{AgentCoverage, AllAgentsReported};
use crate::range_coverage::RangeCoverage;
use crate::time_range::TimeRange;
use crate::window_groups::WindowGroups;
use std::sync::Arc;

/// An addition to one window of a query, or to what is known of it.
#[derive(Debug, Clone)]
pub(crate) struct WindowDelta {
    pub(crate) window: TimeRange,
    /// The groups that are added.
    pub(crate) added: Arc<WindowGroups>,
    /// The state of the window as a whole; `None` if that is as before.
    pub(crate) state: Option<WindowState>,
}

/// The state of a window as a whole, apart from groups: how complete it is.
#[derive(Debug, Clone)]
pub(crate) struct WindowState {
    /// 0 for the first frame of the window, then one more for each.
    pub(crate) revision: u32,
    pub(crate) coverage: AgentCoverage,
    pub(crate) time: RangeCoverage,
    /// Losses and counts of the whole window; its groups are not looked at.
    pub(crate) totals: Arc<WindowGroups>,
}

impl WindowState {
    /// Whether anything is missing from the window: agents, rows, or groups of their own for some rows.
    pub(crate) fn is_partial(&self) -> bool {
        self.coverage.agents_heard() == AllAgentsReported::SomeMissing
            || self.time.agents_late > 0
            || !self.totals.loss.is_zero()
            || self.totals.rows_in_other() > 0
    }
}
