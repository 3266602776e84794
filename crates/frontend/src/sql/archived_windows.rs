//! The windows that history keeps, as a source of tables: past and live ones alike, since a window is in history with the
//! commit that shows it.

use super::observed_cache::ObservedCache;
use super::shown_windows::covered_time;
use super::window_source::{
    HistoryQuery, HistoryWindow, ObservedValues, WindowRevisions, WindowSource, WindowSourceError,
    has_open_types,
};
use crate::agent_coverage::AllAgentsReported;
use crate::history::{Archive, KeptQuery, KeptWindow, WantedRevisions};
use crate::range_coverage::RangeCoverage;
use crate::shared_state::SharedState;
use crate::time_range::TimeRange;
use futures::future::{BoxFuture, FutureExt};
use futures::stream::{BoxStream, StreamExt, once};
use std::sync::Arc;

/// The windows in the history of a frontend.
#[derive(Debug)]
pub(crate) struct ArchivedWindows {
    shared: Arc<SharedState>,
    /// All queries, as they were when this was made.
    queries: Vec<KeptQuery>,
    observed: Arc<ObservedCache>,
}

impl ArchivedWindows {
    /// Makes a source of what history has, or returns `None` if the frontend keeps none.
    pub(crate) async fn new(
        shared: &Arc<SharedState>,
        observed: &Arc<ObservedCache>,
    ) -> Result<Option<ArchivedWindows>, WindowSourceError> {
        if shared.archive().is_none() {
            return Ok(None);
        }
        // The store is on a disk, which may take its time.
        let reader = shared.clone();
        let queries = tokio::task::spawn_blocking(move || reader.archive().map(Archive::queries)).await?;
        let queries = queries.transpose()?.unwrap_or_default();
        Ok(Some(ArchivedWindows { shared: shared.clone(), queries, observed: observed.clone() }))
    }
}

impl WindowSource for ArchivedWindows {
    fn queries(&self) -> BoxFuture<'_, Result<Vec<HistoryQuery>, WindowSourceError>> {
        let queries = self.queries.iter().map(|query| HistoryQuery {
            number: query.number,
            name: query.name.clone(),
            output: query.output.clone(),
        });
        let queries: Vec<HistoryQuery> = queries.collect();
        async { Ok(queries) }.boxed()
    }

    fn observed(
        &self,
        query: &HistoryQuery,
    ) -> BoxFuture<'static, Result<ObservedValues, WindowSourceError>> {
        let output = query.output.clone();
        if !has_open_types(&output) {
            return async { Ok(ObservedValues::default()) }.boxed();
        }

        let (cache, number) = (self.observed.clone(), query.number);
        let (start_ns, mut observed) = cache.begin(number);
        let unknown = TimeRange { start_ns, end_ns: i64::MAX };
        let mut windows = self.windows(query, unknown, WindowRevisions::Newest);
        async move {
            while let Some(window) = windows.next().await {
                let window = window?;
                observed.note(&output, &window);
                cache.note(number, window.time_range.start_ns, &observed);
            }
            Ok(observed)
        }
        .boxed()
    }

    fn windows(
        &self,
        query: &HistoryQuery,
        starts: TimeRange,
        wanted: WindowRevisions,
    ) -> BoxStream<'static, Result<HistoryWindow, WindowSourceError>> {
        let wanted = match wanted {
            WindowRevisions::Newest => WantedRevisions::Newest,
            WindowRevisions::All => WantedRevisions::All,
        };
        let kept = self.queries.iter().find(|kept| kept.number == query.number).cloned();
        let (Some(archive), Some(kept)) = (self.shared.archive(), kept) else {
            let gone: WindowSourceError = format!("history does not know query {}", query.number).into();
            return once(async { Err(gone) }).boxed();
        };

        let windows = archive.windows(kept, starts, wanted);
        windows.map(|window| Ok(history_window(window?))).boxed()
    }

    fn covered(&self, query: &HistoryQuery, range: TimeRange) -> Option<RangeCoverage> {
        covered_time(&self.shared, query, range)
    }
}

fn history_window(window: KeptWindow) -> HistoryWindow {
    let KeptWindow { time_range, revision, coverage, time, misses_agents, groups } = window;
    let heard = if misses_agents { AllAgentsReported::SomeMissing } else { AllAgentsReported::All };
    HistoryWindow { time_range, revision, time, coverage, heard, groups }
}
