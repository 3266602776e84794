//! Reading windows of a query: the sum of their additions, from all files and from the store, in the order of their starts.
//!
//! ```text
//! file 1   w1  w2  w2 w3 ──┐
//! file 2         w2  w4 ───┼──▶ by the least start ──▶ w1, w2, w3, …    memory: one batch of each file that overlaps,
//! store             w4 w5 ─┘                                            and one window
//! ```

use super::delta_file_reader::DeltaFileReader;
use super::error::HistoryError;
use super::file_store::FileStore;
use super::kept_query::KeptQuery;
use crate::agent_coverage::AgentCoverage;
use crate::range_coverage::RangeCoverage;
use crate::store::{DeltaKey, HistorySnapshot, WindowDeltaRecord};
use crate::time_range::TimeRange;
use crate::window_delta::{WindowDelta, WindowState};
use crate::window_groups::WindowGroups;
use pivot_merge::MergedGroups;
use std::sync::Arc;

/// One window of a query.
#[derive(Debug, Clone)]
pub(crate) struct KeptWindow {
    pub(crate) time_range: TimeRange,
    /// The number of additions that came after the first, each of which changed it.
    pub(crate) revision: u32,
    pub(crate) coverage: AgentCoverage,
    pub(crate) time: RangeCoverage,
    /// Whether agents are missing that have not reported it later either.
    pub(crate) misses_agents: bool,
    pub(crate) groups: Arc<WindowGroups>,
}

/// The states of a window that a reader wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WantedRevisions {
    /// The newest.
    Newest,
    /// Each of them.
    All,
}

/// The windows of a query that begin in a range.
pub(crate) struct WindowReader {
    query: KeptQuery,
    shape: MergedGroups,
    starts: TimeRange,
    files: FileStore,
    /// Files that are not open yet, the next one last.
    later: Vec<WaitingFile>,
    open: Vec<DeltaSource>,
    completed: Vec<TimeRange>,
    wanted: WantedRevisions,
    /// The window that is added up.
    window: Option<WindowSum>,
}

impl std::fmt::Debug for WindowReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WindowReader").field("query", &self.query.number).finish_non_exhaustive()
    }
}

/// A file that has something of the range.
#[derive(Debug)]
struct WaitingFile {
    start_ns: i64,
    path: String,
}

/// A source of additions, with the one that comes next.
struct DeltaSource {
    next: (DeltaKey, WindowDelta),
    rest: RestOfSource,
}

enum RestOfSource {
    File { reader: Box<DeltaFileReader>, path: String },
    Store(std::collections::btree_map::IntoIter<DeltaKey, WindowDeltaRecord>),
}

impl WindowReader {
    /// Makes a reader of what there is at the moment of a snapshot.
    pub(crate) fn new(
        query: KeptQuery,
        starts: TimeRange,
        snapshot: &HistorySnapshot,
        files: FileStore,
        wanted: WantedRevisions,
    ) -> Result<WindowReader, HistoryError> {
        // Of older windows a part may be there that came late: it is not what they were.
        let horizon_ns = snapshot.horizon_ns(query.number)?;
        let starts = TimeRange { start_ns: starts.start_ns.max(horizon_ns), ..starts };
        let mut later: Vec<WaitingFile> = snapshot
            .files_of(query.number)?
            .into_iter()
            .filter(|(_, file)| file.start_ns < starts.end_ns && file.end_ns > starts.start_ns)
            .map(|(path, file)| WaitingFile { start_ns: file.start_ns, path })
            .collect();
        later.sort_by_key(|file| std::cmp::Reverse(file.start_ns));

        let shape = query.shape();
        let mut rest = RestOfSource::Store(snapshot.deltas(query.number, starts)?.into_iter());
        let in_store = rest.next(&shape)?.map(|next| DeltaSource { next, rest });
        let open = in_store.into_iter().collect();
        let completed = snapshot.completed(query.number)?;
        Ok(WindowReader { query, shape, starts, files, later, open, completed, wanted, window: None })
    }

    /// Returns the next window, or `None` behind the last. To be called where blocking is allowed, within a runtime.
    pub(crate) fn next(&mut self) -> Result<Option<KeptWindow>, HistoryError> {
        loop {
            self.open_files()?;
            let least = (0..self.open.len()).min_by_key(|i| self.open[*i].next.0);
            let Some(least) = least else {
                let last = self.window.take().filter(|_| self.wanted == WantedRevisions::Newest);
                return Ok(last.map(|window| window.kept(&self.completed)));
            };

            let start_ns = self.open[least].next.0.start_ns;
            let is_other = self.window.as_ref().is_some_and(|window| window.time_range.start_ns != start_ns);
            if is_other && self.wanted == WantedRevisions::Newest {
                return Ok(self.window.take().map(|window| window.kept(&self.completed)));
            }
            if is_other {
                self.window = None;
            }

            let (key, delta) = self.advance(least)?;
            let window = self.window.get_or_insert_with(|| WindowSum::new(key, &delta, &self.shape));
            window.add(&delta);
            if self.wanted == WantedRevisions::All {
                return Ok(Some(window.clone().kept(&self.completed)));
            }
        }
    }

    /// Takes the next addition of a source.
    fn advance(&mut self, source: usize) -> Result<(DeltaKey, WindowDelta), HistoryError> {
        match self.open[source].rest.next(&self.shape)? {
            Some(next) => Ok(std::mem::replace(&mut self.open[source].next, next)),
            None => Ok(self.open.swap_remove(source).next),
        }
    }

    /// Opens the files that may have something of the window that comes next.
    fn open_files(&mut self) -> Result<(), HistoryError> {
        loop {
            let next_ns = self.open.iter().map(|source| source.next.0.start_ns).min();
            let due = self.later.pop_if(|file| next_ns.is_none_or(|next_ns| file.start_ns <= next_ns));
            let Some(file) = due else { return Ok(()) };

            let content = tokio::runtime::Handle::current().block_on(self.files.get(&file.path))?;
            let reader = DeltaFileReader::new(self.query.number, &self.shape, self.starts, content);
            let reader = Box::new(reader.map_err(|error| error.of_file(&file.path))?);
            let mut rest = RestOfSource::File { reader, path: file.path };
            if let Some(next) = rest.next(&self.shape)? {
                self.open.push(DeltaSource { next, rest });
            }
        }
    }
}

impl RestOfSource {
    fn next(&mut self, shape: &MergedGroups) -> Result<Option<(DeltaKey, WindowDelta)>, HistoryError> {
        match self {
            RestOfSource::File { reader, path } => reader.next().map_err(|error| error.of_file(path)),
            RestOfSource::Store(deltas) => {
                Ok(deltas.next().map(|(key, record)| (key, record.delta(key.start_ns, shape))))
            }
        }
    }
}

/// A window as far as its additions are read.
#[derive(Debug, Clone)]
struct WindowSum {
    time_range: TimeRange,
    groups: WindowGroups,
    state: Option<WindowState>,
    additions: u32,
}

impl WindowSum {
    fn new(key: DeltaKey, first: &WindowDelta, shape: &MergedGroups) -> WindowSum {
        let time_range = TimeRange { start_ns: key.start_ns, end_ns: first.window.end_ns };
        WindowSum { time_range, groups: WindowGroups::new(shape), state: None, additions: 0 }
    }

    fn add(&mut self, delta: &WindowDelta) {
        self.additions += 1;
        self.time_range.end_ns = self.time_range.end_ns.max(delta.window.end_ns);
        self.groups.merge(&delta.added);

        // Counts of a state are those of the whole window, where later ones may have settled earlier ones.
        if let Some(state) = &delta.state {
            self.groups.emitted = state.totals.emitted;
            self.groups.loss = state.totals.loss;
            self.groups.outside = state.totals.outside.clone();
            self.groups.is_answered = state.totals.is_answered;
            self.state = Some(state.clone());
        }
    }

    fn kept(self, completed: &[TimeRange]) -> KeptWindow {
        let WindowSum { time_range, groups, state, additions } = self;
        let all = RangeCoverage {
            covered_ns: time_range.length_ns(),
            length_ns: time_range.length_ns(),
            agents_late: 0,
        };
        let (coverage, time) =
            state.map_or((AgentCoverage::default(), all), |state| (state.coverage, state.time));

        let is_completed = completed.iter().any(|range| time_range.within(*range) == Some(time_range));
        KeptWindow {
            time_range,
            revision: additions.saturating_sub(1),
            coverage,
            time,
            misses_agents: coverage.reporting < coverage.expected && !is_completed,
            groups: Arc::new(groups),
        }
    }
}
