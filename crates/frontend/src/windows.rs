//! The windows of one query: how they open, close, are revised and are forgotten.
//!
//! ```text
//!   first report for it         closed: its first frame, and it     later data: another frame
//!        │                      joins the cumulative result         of the window, `revision` + 1
//!        ▼                           ▼                                   ▼
//!      open ───────────────────▶ closed ──── late data ───────────▶ closed and late ─▶ closed
//!              everybody reported,   │
//!              or `grace` has passed │  MAX_CLOSED windows later
//!                                    ▼
//!                                forgotten: what still comes joins the cumulative result alone
//! ```
//!
//! A window **opens** with the first report that has something for it, or, if the query has a row also where
//! nothing matched ([`UnreportedWindows`]), when its time has come; and it **closes** as soon as its end
//! has passed and every expected agent has reported past it, or a *grace* time after its end, or early
//! when more than [`MAX_OPEN`] are open, or when the query ends. Only closed windows are part of the
//! cumulative since install, so that no frame tells of rows whose window is still open.
//!
//! A window is **partial** if an agent was missing when its newest frame was made, if anything was lost on the
//! way, or if rows found no group of their own. An agent that is late makes a revision of it, also if it has no
//! rows. A cumulative result is partial while any of its windows is.
//!
//! Windows hold their groups behind an `Arc`: a frame shares them, and late data copies them only if a
//! frame that somebody may still read holds them.

use crate::agent_registry::{AgentCoverage, AgentRegistry, AllAgentsReported};
use crate::covered_time::{CoveredTime, RangeCoverage};
use crate::time_range::TimeRange;
use crate::window_groups::WindowGroups;
use pivot_advice::Groups;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The most closed windows that are kept for late data.
const MAX_CLOSED: usize = 60;

/// The windows of a query that are made even if nobody reports rows for them: all since it was installed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct UnreportedWindows {
    /// The length of a window.
    pub(crate) every_ns: i64,
    /// The start of the next one.
    pub(crate) next_start_ns: i64,
}

/// The most windows of one query that are open at once; older ones close early.
const MAX_OPEN: usize = 600;

/// How often closed windows that an agent has not reported are looked at again.
const RECHECK_NS: i64 = 1_000_000_000;

/// One window while it is gathered, and after.
#[derive(Debug)]
struct Window {
    end_ns: i64,
    /// All that was reported for it.
    groups: Arc<WindowGroups>,
    /// Whether its first frame was made.
    closed: bool,
    /// Whether something came after its newest frame.
    late: bool,
    /// The number of its next frame.
    revision: u32,
    /// Whether its newest frame was made without some agent.
    is_incomplete: bool,
}

impl Window {
    /// Returns whether it waits for nobody any more.
    fn may_close(&self, rules: WindowCloseRules<'_>, heard: AllAgentsReported, now_ns: i64) -> bool {
        // Before its end a window is not complete, even if nobody is expected to report it.
        let is_complete = heard == AllAgentsReported::All && now_ns >= self.end_ns;
        let has_waited = now_ns >= self.end_ns.saturating_add(rules.grace_ns);
        is_complete || has_waited || rules.close_all
    }
}

/// The windows of one query, and what the closed ones add up to.
#[derive(Debug)]
pub(crate) struct QueryWindows {
    /// By their start.
    windows: BTreeMap<i64, Window>,
    /// The sum of all windows that were shown, and of what came for forgotten ones.
    cumulative: Arc<WindowGroups>,
    /// How many windows were forgotten that some agent has not reported.
    forgotten_incomplete: u64,
    /// When closed windows were last looked at for reports that have come since.
    rechecked_ns: i64,
    /// When which agent answered the query.
    pub(crate) covered: CoveredTime,
    /// The start of the first window that anything was reported for.
    first_start_ns: i64,
    /// The start of the newest window that was forgotten.
    forgotten_ns: i64,
    /// The agents of the window that was shown last.
    coverage: AgentCoverage,
    /// The windows to come that need no report; `None` if a window without rows is not worth a frame.
    unreported: Option<UnreportedWindows>,
    /// The groups of all windows that nobody reported rows in: one table, however many they are.
    nothing: Arc<WindowGroups>,
}

/// A window that is due to be shown.
#[derive(Debug)]
pub(crate) struct ClosedWindow {
    pub(crate) time_range: TimeRange,
    pub(crate) groups: Arc<WindowGroups>,
    /// 0 for its first frame, then one more for each.
    pub(crate) revision: u32,
    pub(crate) coverage: AgentCoverage,
    pub(crate) time: RangeCoverage,
}

/// When windows close.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WindowCloseRules<'r> {
    /// The generation that installed the query.
    pub(crate) installed: u64,
    /// The generation that removed the query, if it is removed.
    pub(crate) removed: Option<u64>,
    /// When the query was removed, if it is.
    pub(crate) removed_ns: Option<i64>,
    /// How long after its end a window waits for agents.
    pub(crate) grace_ns: i64,
    /// Whether all windows close now, because the query ends.
    pub(crate) close_all: bool,
    /// The length of the query's windows.
    pub(crate) every_ns: i64,
    /// When the query was installed.
    pub(crate) installed_ns: i64,
    /// The tracepoints of the query.
    pub(crate) tracepoints: &'r [String],
}

impl WindowCloseRules<'_> {
    /// Whether any agent could have reported something for a time range.
    fn has_witness(&self, registry: &AgentRegistry, time_range: TimeRange) -> bool {
        registry.has_witness(self.installed, self.removed, time_range, self.tracepoints)
    }
}

impl QueryWindows {
    /// Makes the windows of a query whose groups have the given shape.
    pub(crate) fn new(shape: &Groups, unreported: Option<UnreportedWindows>) -> QueryWindows {
        QueryWindows {
            windows: BTreeMap::new(),
            cumulative: Arc::new(WindowGroups::new(shape)),
            forgotten_incomplete: 0,
            rechecked_ns: i64::MIN,
            covered: CoveredTime::default(),
            first_start_ns: i64::MAX,
            forgotten_ns: i64::MIN,
            coverage: AgentCoverage::default(),
            unreported,
            nothing: Arc::new(WindowGroups { is_answered: true, ..WindowGroups::new(shape) }),
        }
    }

    /// Returns the groups of all windows that were shown.
    pub(crate) fn cumulative(&self) -> &Arc<WindowGroups> {
        &self.cumulative
    }

    /// Returns how many of the windows that were shown some agent has not reported until now.
    pub(crate) fn incomplete_windows(&self) -> u64 {
        let incomplete = self.windows.values().filter(|window| window.is_incomplete).count() as u64;
        self.forgotten_incomplete.saturating_add(incomplete)
    }

    /// Returns the time from the first window of the query to an end: from when the first agent answered it, though no
    /// window may have rows for that time.
    pub(crate) fn cumulative_time_range(&self, end_ns: i64, every_ns: i64) -> TimeRange {
        let first_ns = self.covered.first_ns().unwrap_or(i64::MAX);
        let first = TimeRange { start_ns: first_ns, end_ns: first_ns }.aligned_to(every_ns);
        TimeRange { start_ns: self.first_start_ns.min(first.start_ns).min(end_ns), end_ns }
    }

    /// Returns the agents of the window that was shown last.
    pub(crate) fn coverage(&self) -> AgentCoverage {
        self.coverage
    }

    /// Returns the end of the latest window, or 0 if there is none.
    pub(crate) fn latest_end_ns(&self) -> i64 {
        self.windows.values().map(|window| window.end_ns).max().unwrap_or(0)
    }

    /// Merges what an agent reports for a time range, which lies between multiples of the query's window
    /// length.
    ///
    /// `before_cumulative_changes` is called before the cumulative result changes: whoever else holds it and
    /// lets go of it then spares a copy of all its groups.
    pub(crate) fn add(
        &mut self,
        time_range: TimeRange,
        groups: &WindowGroups,
        before_cumulative_changes: impl FnOnce(),
    ) {
        self.first_start_ns = self.first_start_ns.min(time_range.start_ns);

        // The rows of a forgotten window are no longer known, so no revision of it could be right.
        if time_range.start_ns <= self.forgotten_ns {
            before_cumulative_changes();
            Arc::make_mut(&mut self.cumulative).merge(groups);
            return;
        }

        let window = self.window(time_range);
        window.end_ns = window.end_ns.max(time_range.end_ns);
        Arc::make_mut(&mut window.groups).merge(groups);

        if window.closed {
            window.late = true;
            before_cumulative_changes();
            Arc::make_mut(&mut self.cumulative).merge(groups);
        }
    }

    /// Makes a window without rows, which an agent was to report and has not, unless there is one or was one.
    pub(crate) fn open(&mut self, time_range: TimeRange) {
        if time_range.start_ns > self.forgotten_ns {
            self.first_start_ns = self.first_start_ns.min(time_range.start_ns);
            self.window(time_range);
        }
    }

    fn window(&mut self, time_range: TimeRange) -> &mut Window {
        let shape = &self.cumulative.groups;
        self.windows.entry(time_range.start_ns).or_insert_with(|| Window {
            end_ns: time_range.end_ns,
            groups: Arc::new(WindowGroups::new(shape)),
            closed: false,
            late: false,
            revision: 0,
            is_incomplete: false,
        })
    }

    /// Counts the undecided rows of all windows as uncertain. Windows that were shown are revised. About
    /// `before_cumulative_changes` see [`QueryWindows::add`].
    pub(crate) fn settle_undecided(&mut self, before_cumulative_changes: impl FnOnce()) {
        for window in self.windows.values_mut().filter(|window| window.groups.loss.undecided > 0) {
            Arc::make_mut(&mut window.groups).loss.settle_undecided();
            window.late |= window.closed;
        }
        if self.cumulative.loss.undecided > 0 {
            before_cumulative_changes();
            Arc::make_mut(&mut self.cumulative).loss.settle_undecided();
        }
    }

    /// Closes the windows that are due, and returns them and those that late data has changed, in the
    /// order of their starts. About `before_cumulative_changes` see [`QueryWindows::add`].
    pub(crate) fn close_due(
        &mut self,
        rules: WindowCloseRules<'_>,
        registry: &AgentRegistry,
        now_ns: i64,
        mut before_cumulative_changes: impl FnMut(),
    ) -> Vec<ClosedWindow> {
        self.open_unreported(rules, now_ns);
        let open = self.windows.values().filter(|window| !window.closed).count();
        let mut surplus = open.saturating_sub(MAX_OPEN);
        let mut due = Vec::new();
        let rechecks = self.is_recheck_due(rules, now_ns);

        for (&start_ns, window) in &mut self.windows {
            let is_settled = window.closed && !window.late;
            if is_settled && !(window.is_incomplete && rechecks) {
                continue;
            }
            let time_range = TimeRange { start_ns, end_ns: window.end_ns };
            let coverage = registry.coverage(rules.installed, rules.removed, time_range);

            // An agent that had nothing to say of a window has reported past it meanwhile.
            let heard = coverage.agents_heard();
            if is_settled && heard == AllAgentsReported::SomeMissing {
                continue;
            }
            if !window.closed {
                if !(window.may_close(rules, heard, now_ns) || surplus > 0) {
                    continue;
                }
                surplus = surplus.saturating_sub(1);
                window.closed = true;

                // Without an agent that has the tracepoints nobody has said that nothing happened.
                if window.groups.is_empty() && !rules.has_witness(registry, time_range) {
                    continue;
                }
                self.first_start_ns = self.first_start_ns.min(start_ns);
                before_cumulative_changes();
                Arc::make_mut(&mut self.cumulative).merge(&window.groups);
            }

            window.is_incomplete = heard == AllAgentsReported::SomeMissing;
            self.coverage = coverage;
            due.push(ClosedWindow {
                time_range,
                groups: window.groups.clone(),
                revision: window.revision,
                coverage,
                time: self.covered.of_range(time_range, rules.every_ns, rules.installed_ns, registry),
            });
            window.late = false;
            window.revision += 1;
        }

        self.forget_oldest_closed();
        due
    }

    /// Returns whether closed windows are to be looked at again now for reports that have come since.
    fn is_recheck_due(&mut self, rules: WindowCloseRules<'_>, now_ns: i64) -> bool {
        let is_due = rules.close_all || now_ns.saturating_sub(self.rechecked_ns) >= RECHECK_NS;
        if is_due {
            self.rechecked_ns = now_ns;
        }
        is_due
    }

    /// Opens the windows whose time has come and that nobody has reported rows for, if the query has a row there.
    fn open_unreported(&mut self, rules: WindowCloseRules<'_>, now_ns: i64) {
        let Some(UnreportedWindows { every_ns, next_start_ns }) = self.unreported else { return };

        // The window in which the query ends is not over then, and is made only when all of them are.
        let removed_ns = rules.removed_ns.unwrap_or(i64::MAX);
        let begins_before = match rules.close_all {
            true => removed_ns.min(now_ns),
            false => removed_ns.min(now_ns.saturating_sub(every_ns).saturating_add(1)),
        };
        let due = begins_before.saturating_sub(next_start_ns).max(0);
        let count = due / every_ns + i64::from(due % every_ns > 0);

        // After a long sleep of this process only as many are made as may be open.
        let first = count.saturating_sub(MAX_OPEN as i64).max(0);
        for number in first..count {
            let start_ns = next_start_ns.saturating_add(every_ns.saturating_mul(number));
            if start_ns > self.forgotten_ns {
                self.windows.entry(start_ns).or_insert_with(|| Window {
                    end_ns: start_ns.saturating_add(every_ns),
                    groups: self.nothing.clone(),
                    closed: false,
                    late: false,
                    revision: 0,
                    is_incomplete: false,
                });
            }
        }
        let next_start_ns = next_start_ns.saturating_add(every_ns.saturating_mul(count));
        self.unreported = Some(UnreportedWindows { every_ns, next_start_ns });
    }

    /// Forgets the oldest closed windows beyond the number that is kept for late data.
    fn forget_oldest_closed(&mut self) {
        let closed: Vec<i64> =
            self.windows.iter().filter(|(_, window)| window.closed).map(|(start_ns, _)| *start_ns).collect();

        let surplus = closed.len().saturating_sub(MAX_CLOSED);
        for start_ns in &closed[..surplus] {
            let forgotten = self.windows.remove(start_ns);
            self.forgotten_incomplete += u64::from(forgotten.is_some_and(|window| window.is_incomplete));
            self.forgotten_ns = self.forgotten_ns.max(*start_ns);
        }
    }
}
