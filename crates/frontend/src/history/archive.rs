//! The history of a running frontend: where it is, and what is done for it from time to time.

use super::compaction::merge_files;
use super::error::HistoryError;
use super::file_store::FileStore;
use super::kept_query::KeptQuery;
use super::manifest::publish;
use super::options::HistoryOptions;
use super::reader::{KeptWindow, WantedRevisions, WindowReader};
use super::retention::{RetentionRules, delete_removed, delete_unknown, expire};
use super::writer::{ALWAYS, take_to_files};
use crate::store::{HistoryChanges, Store};
use crate::time_range::TimeRange;
use futures::stream::{BoxStream, StreamExt};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio_stream::wrappers::ReceiverStream;

/// The folder of the data directory in which files are kept unless the settings say otherwise.
const FOLDER: &str = "history";

/// The most bytes of windows in the store before they are put into files, however young they are.
const MAX_STORED_BYTES: usize = 64 << 20;

/// How often files are looked for that nobody knows.
const UNKNOWN_FILES: Duration = Duration::from_secs(3_600);

/// The most windows that are read ahead of who wants them.
const READ_AHEAD: usize = 4;

/// The history of a frontend.
#[derive(Debug)]
pub(crate) struct Archive {
    store: Arc<Store>,
    files: FileStore,
    options: HistoryOptions,
    progress: Mutex<ArchiveProgress>,
}

/// The windows that are kept of one query, and their size.
#[derive(Debug)]
pub(crate) struct KeptWindows {
    pub(crate) query: KeptQuery,
    /// From the start of the first window to the end of the last; `None` without any.
    pub(crate) range: Option<TimeRange>,
    pub(crate) files: u64,
    /// Of all files.
    pub(crate) bytes: u64,
}

/// The times of the last maintenance, and how it went.
#[derive(Debug)]
struct ArchiveProgress {
    taken: Instant,
    looked_for_unknown: Option<Instant>,
    problem: Option<String>,
}

impl Archive {
    /// Opens the history of a frontend whose store is in a directory.
    pub(crate) fn open(
        store: Arc<Store>,
        data: &Path,
        frontend: u32,
        options: HistoryOptions,
    ) -> Result<Archive, HistoryError> {
        let location = match &options.location {
            Some(location) => location.clone(),
            None => data.join(FOLDER).to_string_lossy().into_owned(),
        };

        let files = FileStore::open(&location, frontend)?;
        let progress = ArchiveProgress { taken: Instant::now(), looked_for_unknown: None, problem: None };
        Ok(Archive { store, files, options, progress: Mutex::new(progress) })
    }

    /// Returns the place of the files, for people.
    pub(crate) fn location(&self) -> &str {
        &self.files.location
    }

    /// Returns what is wrong with history, or `None` if it was well when something was last done for it.
    pub(crate) fn problem(&self) -> Option<String> {
        self.progress().problem.clone()
    }

    fn progress(&self) -> std::sync::MutexGuard<'_, ArchiveProgress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does what is due: puts windows into files, merges files, and removes what is not kept any more. `installed` are
    /// queries whose windows are still to come.
    pub(crate) async fn maintain(&self, installed: &BTreeSet<u32>, now_ns: i64) -> Result<(), HistoryError> {
        let done = self.do_what_is_due(installed, now_ns).await;
        self.progress().problem = done.as_ref().err().map(ToString::to_string);
        done
    }

    async fn do_what_is_due(&self, installed: &BTreeSet<u32>, now_ns: i64) -> Result<(), HistoryError> {
        let mut changed = 0;
        if self.is_taking_due()? {
            changed += take_to_files(&self.store, &self.files).await?;
            changed += merge_files(&self.store, &self.files, now_ns).await?;
            self.progress().taken = Instant::now();
        }

        let rules = RetentionRules { keep_ns: self.keep_ns(), keep_bytes: self.options.keep_bytes };
        changed += expire(&self.store, rules, installed, now_ns).await?;
        if changed > 0 {
            publish(&self.store, &self.files, now_ns).await?;
        }

        // Behind the manifest, which does not name them any more.
        delete_removed(&self.store, &self.files, now_ns).await?;
        let looked = self.progress().looked_for_unknown;
        if looked.is_none_or(|at| at.elapsed() >= UNKNOWN_FILES) {
            delete_unknown(&self.store, &self.files).await?;
            self.progress().looked_for_unknown = Some(Instant::now());
        }
        Ok(())
    }

    /// Whether windows are to be put into files now.
    fn is_taking_due(&self) -> Result<bool, HistoryError> {
        let bytes = self.store.history()?.delta_bytes()?;
        let bytes: usize = bytes.values().sum();
        let is_old = self.progress().taken.elapsed() >= self.options.file_after;
        Ok(bytes > 0 && (is_old || bytes >= MAX_STORED_BYTES))
    }

    /// Returns how long windows are kept of queries that do not say it themselves, in nanoseconds.
    pub(crate) fn keep_ns(&self) -> i64 {
        i64::try_from(self.options.keep.as_nanos()).unwrap_or(i64::MAX)
    }

    /// Returns what is kept of each query, in the order of their numbers.
    pub(crate) fn kept(&self) -> Result<Vec<KeptWindows>, HistoryError> {
        let snapshot = self.store.history()?;
        let mut kept = Vec::new();
        for (number, record) in snapshot.queries()? {
            let query = KeptQuery::new(number, record)?;
            let files = snapshot.files_of(number)?;
            let in_files =
                files.values().map(|file| TimeRange { start_ns: file.start_ns, end_ns: file.end_ns });
            let in_store = snapshot.delta_starts(number)?;
            let in_store = in_store
                .map(|starts| TimeRange { end_ns: starts.end_ns.saturating_add(query.every_ns), ..starts });

            let range = in_files.chain(in_store).reduce(TimeRange::around);
            let horizon_ns = snapshot.horizon_ns(number)?;
            let range =
                range.and_then(|range| range.within(TimeRange { start_ns: horizon_ns, end_ns: i64::MAX }));
            let bytes = files.values().map(|file| file.bytes).sum();
            kept.push(KeptWindows { query, range, files: files.len() as u64, bytes });
        }
        Ok(kept)
    }

    /// Forgets the windows of a query that begin before a time.
    pub(crate) fn forget(&self, number: u32, now_ns: i64) -> Result<(), HistoryError> {
        let snapshot = self.store.history()?;
        let deltas = snapshot.deltas(number, ALWAYS)?;

        let changes = HistoryChanges {
            removed: snapshot.files_of(number)?.into_keys().map(|path| (number, path)).collect(),
            horizons: BTreeMap::from([(number, now_ns)]),
            taken: deltas.into_keys().map(|key| (key.query, key.start_ns, key.batch)).collect(),
            now_ns,
            ..HistoryChanges::default()
        };
        Ok(self.store.change_history(&changes)?)
    }

    /// Returns the queries of which there may be windows, in the order of their numbers.
    pub(crate) fn queries(&self) -> Result<Vec<KeptQuery>, HistoryError> {
        let queries = self.store.history()?.queries()?;
        queries.into_iter().map(|(number, record)| KeptQuery::new(number, record)).collect()
    }

    /// Returns the windows of a query that begin in a range, in the order of their starts. They are read on a thread of its
    /// own, which ends when the stream is dropped. To be called within a runtime.
    pub(crate) fn windows(
        &self,
        query: KeptQuery,
        starts: TimeRange,
        wanted: WantedRevisions,
    ) -> BoxStream<'static, Result<KeptWindow, HistoryError>> {
        let (sender, receiver) = tokio::sync::mpsc::channel(READ_AHEAD);
        let (store, files) = (self.store.clone(), self.files.clone());

        tokio::task::spawn_blocking(move || {
            let snapshot = store.history().map_err(HistoryError::from);
            let mut reader = match snapshot
                .and_then(|snapshot| WindowReader::new(query, starts, &snapshot, files, wanted))
            {
                Ok(reader) => reader,
                Err(error) => {
                    // Whoever asked may be gone.
                    let _ = sender.blocking_send(Err(error));
                    return;
                }
            };
            while let Some(window) = reader.next().transpose() {
                let is_last = window.is_err();
                if sender.blocking_send(window).is_err() || is_last {
                    return;
                }
            }
        });
        ReceiverStream::new(receiver).boxed()
    }
}
