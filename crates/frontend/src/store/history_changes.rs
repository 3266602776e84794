//! Changes that history makes in the store, each in a transaction of its own.

use super::history_records::HistoryFileRecord;
use std::collections::BTreeMap;

/// The place of a file of history.
pub(crate) type FileKey = (u32, String);

/// The place of an addition to a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct DeltaKey {
    pub(crate) query: u32,
    pub(crate) start_ns: i64,
    /// The commit that brought it.
    pub(crate) batch: u64,
}

/// Changes of which files there are and of what is in none yet: all of them or none.
#[derive(Debug, Default)]
pub(crate) struct HistoryChanges {
    /// Files that are complete, by query and path.
    pub(crate) added: BTreeMap<FileKey, HistoryFileRecord>,
    /// Files that are not needed any more; they stay for readers that have begun.
    pub(crate) removed: Vec<FileKey>,
    /// By query, the time before which windows are not complete any more; it only rises.
    pub(crate) horizons: BTreeMap<u32, i64>,
    /// The places of additions to windows that are in files now: query, start and commit.
    pub(crate) taken: Vec<(u32, i64, u64)>,
    /// Removed files that are deleted now.
    pub(crate) deleted: Vec<String>,
    /// Queries of which nothing is kept any more.
    pub(crate) forgotten_queries: Vec<u32>,
    /// Completed times that are forgotten: query, start and end.
    pub(crate) forgotten_times: Vec<(u32, i64, i64)>,
    /// The time, from which on removed files are not needed.
    pub(crate) now_ns: i64,
}

impl HistoryChanges {
    /// Whether there is nothing to change.
    pub(crate) fn is_empty(&self) -> bool {
        let HistoryChanges { added, removed, horizons, taken, deleted, .. } = self;
        let HistoryChanges { forgotten_queries, forgotten_times, .. } = self;
        let no_files = added.is_empty() && removed.is_empty() && deleted.is_empty();
        no_files
            && horizons.is_empty()
            && taken.is_empty()
            && forgotten_queries.is_empty()
            && forgotten_times.is_empty()
    }
}
