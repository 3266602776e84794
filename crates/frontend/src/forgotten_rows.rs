//! Rows that are reported for windows which are no longer known, until they are merged.
//!
//! They join the result since install, and history: there the window still is, and gets them as one more revision.

use crate::time_range::TimeRange;
use crate::window_groups::WindowGroups;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Rows of forgotten windows that were reported since the last commit began.
#[derive(Debug, Default)]
pub(crate) struct ForgottenRows {
    /// By the start of the window.
    of_windows: BTreeMap<i64, LateRows>,
    /// Rows and losses that belong to no window.
    outside: Option<WindowGroups>,
}

/// Rows that came for one window after it was forgotten.
#[derive(Debug)]
struct LateRows {
    end_ns: i64,
    groups: WindowGroups,
}

/// Rows that were staged for forgotten windows.
#[derive(Debug)]
pub(crate) struct TakenRows {
    /// All of it together.
    pub(crate) all: WindowGroups,
    /// The part of each window.
    pub(crate) of_windows: Vec<(TimeRange, Arc<WindowGroups>)>,
}

/// News of windows that came after they were forgotten.
#[derive(Debug, Default)]
pub(crate) struct NewsOfForgotten {
    /// Groups that were merged, for each window.
    pub(crate) late: Vec<(TimeRange, Arc<WindowGroups>)>,
    /// Times that all agents have reported.
    pub(crate) completed: Vec<TimeRange>,
}

impl ForgottenRows {
    /// Returns where to add rows of a window; `nothing` makes an empty table of the query's shape.
    pub(crate) fn of_window(
        &mut self,
        window: TimeRange,
        nothing: impl FnOnce() -> WindowGroups,
    ) -> &mut WindowGroups {
        let late = self.of_windows.entry(window.start_ns);
        let late = late.or_insert_with(|| LateRows { end_ns: window.end_ns, groups: nothing() });
        late.end_ns = late.end_ns.max(window.end_ns);
        &mut late.groups
    }

    /// Returns where to add what belongs to no window; `nothing` makes an empty table of the query's shape.
    pub(crate) fn outside(&mut self, nothing: impl FnOnce() -> WindowGroups) -> &mut WindowGroups {
        self.outside.get_or_insert_with(nothing)
    }

    /// Returns all tables.
    pub(crate) fn tables(&self) -> impl Iterator<Item = &WindowGroups> {
        self.of_windows.values().map(|late| &late.groups).chain(&self.outside)
    }

    /// Counts undecided rows as uncertain.
    pub(crate) fn settle_undecided(&mut self) {
        let of_windows = self.of_windows.values_mut().map(|late| &mut late.groups);
        of_windows.chain(&mut self.outside).for_each(|groups| groups.loss.settle_undecided());
    }

    /// Takes everything, or returns `None` if there is nothing.
    pub(crate) fn take(&mut self) -> Option<TakenRows> {
        let ForgottenRows { of_windows, outside } = std::mem::take(self);
        let mut all = outside;
        let mut parts = Vec::new();

        for (start_ns, LateRows { end_ns, groups }) in of_windows {
            match &mut all {
                Some(all) => all.merge(&groups),
                None => all = Some(groups.clone()),
            }
            parts.push((TimeRange { start_ns, end_ns }, Arc::new(groups)));
        }
        Some(TakenRows { all: all?, of_windows: parts })
    }
}
