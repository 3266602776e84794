//! The windows that frames in memory hold, as a source of tables: the newest of each query that is installed, or was not
//! long ago.

use super::window_source::{
    HistoryQuery, HistoryWindow, ObservedValues, WindowRevisions, WindowSource, WindowSourceError,
};
use crate::range_coverage::RangeCoverage;
use crate::shared_state::SharedState;
use crate::time_range::TimeRange;
use futures::future::BoxFuture;
use futures::stream::{BoxStream, StreamExt, iter};
use std::sync::Arc;

/// The windows in the frames of queries.
#[derive(Debug)]
pub(crate) struct ShownWindows {
    shared: Arc<SharedState>,
}

impl ShownWindows {
    /// Makes a source of what a frontend has in memory.
    pub(crate) fn new(shared: &Arc<SharedState>) -> ShownWindows {
        ShownWindows { shared: shared.clone() }
    }

    /// Returns the windows of a query that begin in a range, as readers of its frames have seen them.
    fn shown(&self, number: u32, starts: TimeRange, wanted: WindowRevisions) -> Vec<HistoryWindow> {
        let mut windows: Vec<HistoryWindow> = {
            let state = self.shared.lock();
            let Some(query) = state.query(number) else { return Vec::new() };
            let frames = query.frames.published();
            // The last frame of a query has an empty window.
            let within = frames.filter(|frame| {
                let start_ns = frame.window.start_ns;
                frame.window.length_ns() > 0 && (starts.start_ns..starts.end_ns).contains(&start_ns)
            });
            let windows = within.map(|frame| HistoryWindow {
                time_range: frame.window,
                revision: frame.revision,
                time: frame.result.scope.time,
                coverage: frame.coverage,
                heard: frame.result.scope.heard,
                groups: frame.result.groups.clone(),
            });
            windows.collect()
        };

        windows.sort_by_key(|window| (window.time_range.start_ns, window.revision));
        if wanted == WindowRevisions::Newest {
            // Of each run of one start the last stays.
            windows.reverse();
            windows.dedup_by_key(|window| window.time_range.start_ns);
            windows.reverse();
        }
        windows
    }
}

impl WindowSource for ShownWindows {
    fn queries(&self) -> BoxFuture<'_, Result<Vec<HistoryQuery>, WindowSourceError>> {
        let state = self.shared.lock();
        let queries = state.queries.iter().map(|query| HistoryQuery {
            number: query.definition.id.number,
            name: query.definition.name.clone(),
            output: query.definition.output.clone(),
        });
        let queries: Vec<HistoryQuery> = queries.collect();
        Box::pin(async { Ok(queries) })
    }

    fn observed(
        &self,
        query: &HistoryQuery,
    ) -> BoxFuture<'static, Result<ObservedValues, WindowSourceError>> {
        let all = TimeRange { start_ns: i64::MIN, end_ns: i64::MAX };
        let windows = self.shown(query.number, all, WindowRevisions::All);
        let output = query.output.clone();

        Box::pin(async move {
            let mut observed = ObservedValues::default();
            for window in &windows {
                observed.note(&output, window);
                tokio::task::consume_budget().await;
            }
            Ok(observed)
        })
    }

    fn windows(
        &self,
        query: &HistoryQuery,
        starts: TimeRange,
        wanted: WindowRevisions,
    ) -> BoxStream<'static, Result<HistoryWindow, WindowSourceError>> {
        iter(self.shown(query.number, starts, wanted).into_iter().map(Ok)).boxed()
    }

    fn covered(&self, query: &HistoryQuery, range: TimeRange) -> Option<RangeCoverage> {
        covered_time(&self.shared, query, range)
    }
}

/// Returns how much of a range of time a query was answered, if the frontend has it in memory.
pub(super) fn covered_time(
    shared: &SharedState,
    query: &HistoryQuery,
    range: TimeRange,
) -> Option<RangeCoverage> {
    let state = shared.lock();
    let query = state.query(query.number)?;
    let every_ns = query.definition.program.settings.every_ns;
    Some(query.windows.covered.of_range(range, every_ns, query.definition.installed_ns, &state.registry))
}
