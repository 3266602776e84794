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
//! has passed and every expected agent has reported past it, or a *grace* time after its end, or when the query
//! ends. Only closed windows are part of the
//! cumulative since install, so that no frame tells of rows whose window is still open.
//!
//! A window is **partial** if an agent was missing when its newest frame was made, if anything was lost on the
//! way, or if rows found no group of their own. An agent that is late makes a revision of it, also if it has no
//! rows. A cumulative result is partial while any of its windows is.
//!
//! Reported groups are **staged** first. When a commit begins, all staged groups are merged into their windows at once.
//! So a commit has the difference to the one before at hand, as a table, and no frame shows a row that is not stored.
//!
//! Windows hold their groups behind an `Arc`: a frame shares them, and late data copies them only if a
//! frame that somebody may still read holds them.

use crate::agent_coverage::{AgentCoverage, AllAgentsReported};
use crate::agent_registry::AgentRegistry;
use crate::covered_time::CoveredTime;
use crate::forgotten_rows::{ForgottenRows, NewsOfForgotten, TakenRows};
use crate::incomplete_time::{IncompleteRange, IncompleteTime};
use crate::store::{
    ChangedRows, FoldedTotal, IncompleteRangeRecord, ResultRecord, StateChanges, StoredQuery, StoredRowsKey,
    WindowRecord,
};
use crate::time_range::TimeRange;
use crate::unreported_windows::UnreportedWindows;
use crate::window::{ClosedWindow, MergedRows, Window, WindowCloseRules};
use crate::window_groups::WindowGroups;
use pivot_merge::MergedGroups;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The most closed windows that are kept for late data.
const MAX_CLOSED: usize = 60;

/// The most windows that are made at once although nobody has reported rows for them.
const MAX_UNREPORTED: i64 = 600;

/// How many forgotten windows are stored before the result since install is stored with them in it.
const MAX_STORED_FORGOTTEN: usize = 60;

/// How often closed windows that an agent has not reported are looked at again.
const RECHECK_NS: i64 = 1_000_000_000;

/// The windows of one query, and what the closed ones add up to.
#[derive(Debug)]
pub(crate) struct QueryWindows {
    /// By their start.
    windows: BTreeMap<i64, Window>,
    /// Groups that were reported for forgotten windows, or belong to none, since the last commit began.
    staged_for_forgotten: ForgottenRows,
    /// News of forgotten windows since history last took them.
    news_of_forgotten: NewsOfForgotten,
    /// The starts of forgotten windows that are stored apart from the result since install.
    stored_forgotten: Vec<i64>,
    /// Windows that were forgotten since the last commit began.
    changed_forgotten: Vec<(i64, WindowRecord)>,
    /// The sum of all windows that were shown, and of what came for forgotten ones.
    cumulative: Arc<WindowGroups>,
    /// Forgotten windows that some agent has not reported.
    forgotten_incomplete: IncompleteTime,
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

impl QueryWindows {
    /// Makes the windows of a query whose groups have the given shape.
    pub(crate) fn new(shape: &MergedGroups, unreported: Option<UnreportedWindows>) -> QueryWindows {
        QueryWindows {
            windows: BTreeMap::new(),
            staged_for_forgotten: ForgottenRows::default(),
            news_of_forgotten: NewsOfForgotten::default(),
            stored_forgotten: Vec::new(),
            changed_forgotten: Vec::new(),
            cumulative: Arc::new(WindowGroups::new(shape)),
            forgotten_incomplete: IncompleteTime::default(),
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
        self.forgotten_incomplete.windows().saturating_add(incomplete)
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

    /// Returns the end of the latest window, or `None` if there was none.
    pub(crate) fn latest_end_ns(&self) -> Option<i64> {
        self.windows.values().map(|window| window.end_ns).max()
    }

    /// Returns how many windows were not shown yet.
    pub(crate) fn open_count(&self) -> usize {
        self.windows.values().filter(|window| !window.is_closed()).count()
    }

    /// Returns how many groups were staged.
    pub(crate) fn staged_groups(&self) -> usize {
        let staged = self.windows.values().filter_map(|window| window.staged.as_ref());
        staged.chain(self.staged_for_forgotten.tables()).map(WindowGroups::size_in_groups).sum()
    }

    /// Returns where to add what an agent reports for a time range, which lies between multiples of the query's window
    /// length. It stays there until [`QueryWindows::merge_staged`] is called.
    pub(crate) fn stage(&mut self, time_range: TimeRange) -> &mut WindowGroups {
        self.first_start_ns = self.first_start_ns.min(time_range.start_ns);
        let nothing = || WindowGroups::new(&self.cumulative.groups);

        // The rows of a forgotten window are no longer known, so no revision of it could be right.
        if time_range.start_ns <= self.forgotten_ns {
            return self.staged_for_forgotten.of_window(time_range, nothing);
        }
        let window = self
            .windows
            .entry(time_range.start_ns)
            .or_insert_with(|| Window::new(time_range.end_ns, Arc::new(nothing())));
        window.end_ns = window.end_ns.max(time_range.end_ns);
        window.staged.get_or_insert_with(nothing)
    }

    /// Takes what belongs to the result since install and to no window, until [`QueryWindows::merge_staged`] is called.
    pub(crate) fn stage_outside_windows(&mut self, groups: &WindowGroups) {
        let nothing = || WindowGroups::new(&self.cumulative.groups);
        self.staged_for_forgotten.outside(nothing).merge(groups);
    }

    /// Merges all that was staged, and returns it.
    ///
    /// `before_cumulative_changes` is called before the cumulative result changes: whoever else holds it and
    /// lets go of it then spares a copy of all its groups.
    pub(crate) fn merge_staged(&mut self, mut before_cumulative_changes: impl FnMut()) -> Vec<MergedRows> {
        let mut merged = Vec::new();

        if let Some(TakenRows { all, of_windows }) = self.staged_for_forgotten.take() {
            before_cumulative_changes();
            Arc::make_mut(&mut self.cumulative).merge(&all);
            merged.push(MergedRows { start_ns: None, groups: Arc::new(all), is_whole_window: false });
            self.news_of_forgotten.late.extend(of_windows);
        }
        for (&start_ns, window) in &mut self.windows {
            let Some(groups) = window.staged.take().map(Arc::new) else { continue };

            // Most windows get all their rows within one commit, and then share them.
            if window.groups.is_empty() && !window.groups.is_answered {
                window.groups = groups.clone();
            } else {
                Arc::make_mut(&mut window.groups).merge(&groups);
            }
            if window.is_closed() {
                window.note_late(&groups);
                before_cumulative_changes();
                Arc::make_mut(&mut self.cumulative).merge(&groups);
            }
            window.is_changed = true;
            merged.push(window.rows_to_store(start_ns, groups));
        }
        merged
    }

    /// Notes that an agent is forgotten that may have had rows in a time range which nobody has seen.
    pub(crate) fn miss(&mut self, unreported: TimeRange) {
        for (&start_ns, window) in &mut self.windows {
            if unreported.within(TimeRange { start_ns, end_ns: window.end_ns }).is_some() {
                window.missed_agents += 1;
                window.is_changed = true;
            }
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
        self.windows
            .entry(time_range.start_ns)
            .or_insert_with(|| Window::new(time_range.end_ns, Arc::new(WindowGroups::new(shape))))
    }

    /// Counts the undecided rows of all windows as uncertain. Windows that were shown are revised. About
    /// `before_cumulative_changes` see [`QueryWindows::add`].
    pub(crate) fn settle_undecided(&mut self, before_cumulative_changes: impl FnOnce()) {
        for window in self.windows.values_mut() {
            if let Some(staged) = &mut window.staged {
                staged.loss.settle_undecided();
            }
            if window.groups.loss.undecided > 0 {
                Arc::make_mut(&mut window.groups).loss.settle_undecided();
                window.late |= window.is_closed();
            }
        }

        self.staged_for_forgotten.settle_undecided();
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
        let mut due = Vec::new();
        let rechecks = self.is_recheck_due(rules, now_ns);
        // Of an agent that is forgotten nobody knows any more which windows it has not reported.
        if rechecks && !rules.misses_rows && self.drop_complete(rules, registry) {
            before_cumulative_changes();
        }

        for (&start_ns, window) in &mut self.windows {
            let is_settled = window.is_closed() && !window.late;
            if is_settled && !(window.is_incomplete && rechecks) {
                continue;
            }
            let time_range = TimeRange { start_ns, end_ns: window.end_ns };
            let mut coverage =
                registry.coverage(rules.term, time_range, now_ns.saturating_sub(rules.grace_ns));
            coverage.expected += window.missed_agents;
            coverage.lost += window.missed_agents;

            // An agent that had nothing to say of a window has reported past it meanwhile.
            let heard = coverage.agents_heard();
            if is_settled && heard == AllAgentsReported::SomeMissing {
                continue;
            }
            if !window.is_closed() {
                if !window.may_close(rules, coverage, now_ns) {
                    continue;
                }
                window.closed_batch = rules.batch;
                window.is_changed = true;

                // Without an agent that has the tracepoints nobody has said that nothing happened.
                if window.groups.is_empty() && !rules.has_witness(registry, time_range) {
                    continue;
                }
                self.first_start_ns = self.first_start_ns.min(start_ns);
                before_cumulative_changes();
                Arc::make_mut(&mut self.cumulative).merge(&window.groups);
            }

            self.coverage = coverage;
            let time = self.covered.of_range(time_range, rules.every_ns, rules.installed_ns, registry);
            due.push(window.show(time_range, coverage, time));
        }

        self.forget_oldest_closed();
        due
    }

    /// Notes the sequence of the frame of a window.
    pub(crate) fn set_sequence(&mut self, start_ns: i64, sequence: u64) {
        if let Some(window) = self.windows.get_mut(&start_ns) {
            window.sequence = sequence;
        }
    }

    /// Adds what has changed of the windows to the changes of a commit.
    pub(crate) fn collect_changes(
        &mut self,
        query: u32,
        batch: u64,
        merged: Vec<MergedRows>,
        changes: &mut StateChanges,
    ) {
        for MergedRows { start_ns, groups, is_whole_window } in merged {
            let key = StoredRowsKey { query, start_ns, batch };
            changes.rows.push(ChangedRows { key, groups, replaces_earlier: is_whole_window });
        }
        for (start_ns, window) in &mut self.windows {
            if std::mem::take(&mut window.is_changed) {
                changes.windows.insert((query, *start_ns), window.record());
            }
        }
        for (start_ns, record) in self.changed_forgotten.drain(..) {
            changes.windows.insert((query, start_ns), record);
        }

        // The result since install is large and changes with every window, so it is stored once for many of them.
        if self.stored_forgotten.len() >= MAX_STORED_FORGOTTEN {
            let contains = std::mem::take(&mut self.stored_forgotten);
            let groups = self.cumulative.clone();
            changes.totals.insert(query, FoldedTotal { batch, groups, contains });
        }
    }

    /// Fills in what is stored of the results apart from rows.
    pub(crate) fn fill_record(&self, record: &mut ResultRecord) {
        record.first_start_ns = self.first_start_ns;
        record.forgotten_ns = self.forgotten_ns;
        let incomplete = self.forgotten_incomplete.ranges.iter();
        record.forgotten_incomplete = incomplete.map(IncompleteRangeRecord::from).collect();
        record.reporting = self.coverage.reporting;
        record.expected = self.coverage.expected;
        record.next_unreported_ns = self.unreported.map(|unreported| unreported.next_start_ns);
    }

    /// Makes the windows as they were stored, with groups of the given shape.
    pub(crate) fn restore(
        shape: &MergedGroups,
        unreported: Option<UnreportedWindows>,
        stored: &StoredQuery,
    ) -> QueryWindows {
        let record = &stored.result;
        let mut windows = QueryWindows::new(shape, unreported);
        windows.cumulative = Arc::new(stored.cumulative(shape));
        windows.first_start_ns = record.first_start_ns;
        windows.forgotten_ns = record.forgotten_ns;
        windows.forgotten_incomplete.ranges =
            record.forgotten_incomplete.iter().map(IncompleteRange::from).collect();
        windows.coverage = AgentCoverage { reporting: record.reporting, expected: record.expected, lost: 0 };
        windows.covered = CoveredTime::restore(&stored.woven);
        if let (Some(unreported), Some(next_start_ns)) = (&mut windows.unreported, record.next_unreported_ns)
        {
            unreported.next_start_ns = next_start_ns;
        }

        for (start_ns, stored) in &stored.windows {
            if stored.record.is_forgotten {
                windows.stored_forgotten.push(*start_ns);
            } else {
                windows.windows.insert(*start_ns, Window::restore(stored, shape));
            }
        }
        windows
    }

    /// Returns the windows that have a frame, as they were shown last, in the order of their frames' sequences.
    pub(crate) fn shown(
        &self,
        rules: WindowCloseRules<'_>,
        registry: &AgentRegistry,
    ) -> Vec<(u64, ClosedWindow)> {
        let mut shown = Vec::new();
        for (&start_ns, window) in self.windows.iter().filter(|(_, window)| window.sequence > 0) {
            let time_range = TimeRange { start_ns, end_ns: window.end_ns };
            let closed = ClosedWindow {
                time_range,
                groups: window.groups.clone(),
                added: None,
                revision: window.revision.saturating_sub(1),
                coverage: window.coverage,
                time: self.covered.of_range(time_range, rules.every_ns, rules.installed_ns, registry),
            };
            shown.push((window.sequence, closed));
        }

        shown.sort_by_key(|(sequence, _)| *sequence);
        shown
    }

    /// Drops forgotten windows from those that lack an agent if the agent has reported them since. Returns whether there
    /// were any.
    fn drop_complete(&mut self, rules: WindowCloseRules<'_>, registry: &AgentRegistry) -> bool {
        let completed = self.forgotten_incomplete.drop_complete(|range| {
            registry.coverage(rules.term, range, i64::MAX).agents_heard() == AllAgentsReported::All
        });
        let has_completed = !completed.is_empty();
        self.news_of_forgotten.completed.extend(completed);
        has_completed
    }

    /// Takes what history has to know of forgotten windows: rows that came for them, and times that all agents have reported.
    pub(crate) fn take_news_of_forgotten(&mut self) -> NewsOfForgotten {
        std::mem::take(&mut self.news_of_forgotten)
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

        // After a long sleep of this process only the newest are made.
        let first = count.saturating_sub(MAX_UNREPORTED).max(0);
        for number in first..count {
            let start_ns = next_start_ns.saturating_add(every_ns.saturating_mul(number));
            if start_ns > self.forgotten_ns {
                let end_ns = start_ns.saturating_add(every_ns);
                let nothing = &self.nothing;
                self.windows.entry(start_ns).or_insert_with(|| Window::new(end_ns, nothing.clone()));
            }
        }
        let next_start_ns = next_start_ns.saturating_add(every_ns.saturating_mul(count));
        self.unreported = Some(UnreportedWindows { every_ns, next_start_ns });
    }

    /// Forgets the oldest closed windows beyond the number that is kept for late data.
    fn forget_oldest_closed(&mut self) {
        let closed: Vec<i64> = self
            .windows
            .iter()
            .filter(|(_, window)| window.is_closed())
            .map(|(start_ns, _)| *start_ns)
            .collect();

        let surplus = closed.len().saturating_sub(MAX_CLOSED);
        for start_ns in &closed[..surplus] {
            let Some(forgotten) = self.windows.remove(start_ns) else { continue };
            if forgotten.is_incomplete {
                self.forgotten_incomplete.add(TimeRange { start_ns: *start_ns, end_ns: forgotten.end_ns });
            }
            self.forgotten_ns = self.forgotten_ns.max(*start_ns);
            self.stored_forgotten.push(*start_ns);
            self.changed_forgotten
                .push((*start_ns, WindowRecord { is_forgotten: true, ..forgotten.record() }));
        }
    }
}
