//! What a query adds to history with a commit.

use crate::forgotten_rows::NewsOfForgotten;
use crate::installed_query::InstalledQuery;
use crate::store::{DeltaKey, HistoryNews};
use crate::window::ClosedWindow;
use crate::window_delta::{WindowDelta, WindowState};
use crate::window_groups::WindowGroups;
use std::sync::Arc;

impl InstalledQuery {
    /// Adds what is new of a window that is shown to history.
    pub(crate) fn add_to_history(&self, window: &ClosedWindow, batch: u64, news: &mut HistoryNews) {
        if !self.definition.has_history() {
            return;
        }

        let ClosedWindow { time_range, groups, added, revision, coverage, time } = window;
        let delta = WindowDelta {
            window: *time_range,
            added: added.clone().unwrap_or_else(|| Arc::new(WindowGroups::new(&groups.groups))),
            state: Some(WindowState {
                revision: *revision,
                coverage: *coverage,
                time: *time,
                totals: groups.clone(),
            }),
        };
        let key = DeltaKey { query: self.definition.id.number, start_ns: time_range.start_ns, batch };
        news.deltas.insert(key, delta);
    }

    /// Adds what has become known of forgotten windows to history.
    pub(crate) fn add_forgotten_to_history(&mut self, batch: u64, news: &mut HistoryNews) {
        let query = self.definition.id.number;
        let NewsOfForgotten { late, completed } = self.windows.take_news_of_forgotten();
        if !self.definition.has_history() {
            return;
        }
        for (window, added) in late {
            let key = DeltaKey { query, start_ns: window.start_ns, batch };
            news.deltas.insert(key, WindowDelta { window, added, state: None });
        }
        news.completed.extend(completed.into_iter().map(|range| (query, range)));
    }
}
