//! Reading and changing the tables of history.

use super::database::Store;
use super::history_changes::{DeltaKey, FileKey, HistoryChanges};
use super::history_records::{HistoryFileRecord, HistoryQueryRecord, WindowDeltaRecord};
use super::load::{decode, existing};
use super::store_error::StoreError;
use super::tables::{
    HISTORY_COMPLETED, HISTORY_DELTAS, HISTORY_FILES, HISTORY_GARBAGE, HISTORY_HORIZONS, HISTORY_QUERIES,
};
use crate::time_range::TimeRange;
use prost::Message;
use redb::{ReadTransaction, ReadableTable, WriteTransaction};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The tables of history as they are at one moment.
pub(crate) struct HistorySnapshot {
    path: PathBuf,
    transaction: ReadTransaction,
}

impl std::fmt::Debug for HistorySnapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HistorySnapshot").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Store {
    /// Returns the tables of history as they are now.
    pub(crate) fn history(&self) -> Result<HistorySnapshot, StoreError> {
        let (path, transaction) = self.begin_read()?;
        Ok(HistorySnapshot { path, transaction })
    }

    /// Makes changes of history durable.
    pub(crate) fn change_history(&self, changes: &HistoryChanges) -> Result<(), StoreError> {
        self.write(|transaction| write_changes(transaction, changes))
    }
}

impl HistorySnapshot {
    /// Returns all queries that may have windows, by number.
    pub(crate) fn queries(&self) -> Result<BTreeMap<u32, HistoryQueryRecord>, StoreError> {
        self.read(|transaction| {
            let mut queries = BTreeMap::new();
            let Some(table) = existing(transaction.open_table(HISTORY_QUERIES))? else { return Ok(queries) };
            for entry in table.iter()? {
                let (number, stored) = entry?;
                queries.insert(number.value(), decode(stored.value())?);
            }
            Ok(queries)
        })
    }

    /// Returns all files, by query and path.
    pub(crate) fn files(&self) -> Result<BTreeMap<FileKey, HistoryFileRecord>, StoreError> {
        self.read(|transaction| {
            let mut files = BTreeMap::new();
            let Some(table) = existing(transaction.open_table(HISTORY_FILES))? else { return Ok(files) };
            for entry in table.iter()? {
                let (key, stored) = entry?;
                let (query, path) = key.value();
                files.insert((query, path.to_owned()), decode(stored.value())?);
            }
            Ok(files)
        })
    }

    /// Returns the files of a query, by path.
    pub(crate) fn files_of(&self, query: u32) -> Result<BTreeMap<String, HistoryFileRecord>, StoreError> {
        self.read(|transaction| {
            let mut files = BTreeMap::new();
            let Some(table) = existing(transaction.open_table(HISTORY_FILES))? else { return Ok(files) };
            for entry in table.range((query, "")..(query.saturating_add(1), ""))? {
                let (key, stored) = entry?;
                files.insert(key.value().1.to_owned(), decode(stored.value())?);
            }
            Ok(files)
        })
    }

    /// Returns the additions to windows of a query that are in no file, of windows that begin in a range.
    pub(crate) fn deltas(
        &self,
        query: u32,
        starts: TimeRange,
    ) -> Result<BTreeMap<DeltaKey, WindowDeltaRecord>, StoreError> {
        self.read(|transaction| {
            let mut deltas = BTreeMap::new();
            if starts.length_ns() == 0 {
                return Ok(deltas);
            }

            let Some(table) = existing(transaction.open_table(HISTORY_DELTAS))? else { return Ok(deltas) };
            for entry in table.range((query, starts.start_ns, 0)..(query, starts.end_ns, 0))? {
                let (key, stored) = entry?;
                let (query, start_ns, batch) = key.value();
                deltas.insert(DeltaKey { query, start_ns, batch }, decode(stored.value())?);
            }
            Ok(deltas)
        })
    }

    /// Returns the range from the first to the last start of a window with additions that are in no file.
    pub(crate) fn delta_starts(&self, query: u32) -> Result<Option<TimeRange>, StoreError> {
        self.read(|transaction| {
            let Some(table) = existing(transaction.open_table(HISTORY_DELTAS))? else { return Ok(None) };
            let mut all = table.range((query, i64::MIN, 0)..=(query, i64::MAX, u64::MAX))?;
            let Some(first) = all.next() else { return Ok(None) };
            let start_ns = first?.0.value().1;
            let last = all.next_back().transpose()?;
            Ok(Some(TimeRange { start_ns, end_ns: last.map_or(start_ns, |(key, _)| key.value().1) }))
        })
    }

    /// Returns how many bytes the additions take that are in no file, for each query.
    pub(crate) fn delta_bytes(&self) -> Result<BTreeMap<u32, usize>, StoreError> {
        self.read(|transaction| {
            let mut bytes = BTreeMap::new();
            let Some(table) = existing(transaction.open_table(HISTORY_DELTAS))? else { return Ok(bytes) };
            for entry in table.iter()? {
                let (key, stored) = entry?;
                *bytes.entry(key.value().0).or_insert(0) += stored.value().len();
            }
            Ok(bytes)
        })
    }

    /// Returns the times of a query's windows that were incomplete when they were forgotten and are not any more.
    pub(crate) fn completed(&self, query: u32) -> Result<Vec<TimeRange>, StoreError> {
        self.read(|transaction| {
            let mut completed = Vec::new();
            let Some(table) = existing(transaction.open_table(HISTORY_COMPLETED))? else {
                return Ok(completed);
            };

            let all = (query, i64::MIN, i64::MIN)..=(query, i64::MAX, i64::MAX);
            for entry in table.range(all)? {
                let (_, start_ns, end_ns) = entry?.0.value();
                completed.push(TimeRange { start_ns, end_ns });
            }
            Ok(completed)
        })
    }

    /// Returns the time before which windows of a query are not complete any more, or the least of all if all are.
    pub(crate) fn horizon_ns(&self, query: u32) -> Result<i64, StoreError> {
        self.read(|transaction| {
            let Some(table) = existing(transaction.open_table(HISTORY_HORIZONS))? else {
                return Ok(i64::MIN);
            };
            Ok(table.get(query)?.map_or(i64::MIN, |horizon| horizon.value()))
        })
    }

    /// Returns the paths of removed files, with the time of their removal.
    pub(crate) fn garbage(&self) -> Result<BTreeMap<String, i64>, StoreError> {
        self.read(|transaction| {
            let mut garbage = BTreeMap::new();
            let Some(table) = existing(transaction.open_table(HISTORY_GARBAGE))? else { return Ok(garbage) };
            for entry in table.iter()? {
                let (path, since_ns) = entry?;
                garbage.insert(path.value().to_owned(), since_ns.value());
            }
            Ok(garbage)
        })
    }

    fn read<T>(
        &self,
        read: impl FnOnce(&ReadTransaction) -> Result<T, redb::Error>,
    ) -> Result<T, StoreError> {
        read(&self.transaction).map_err(|source| StoreError::failed(&self.path, source))
    }
}

fn write_changes(transaction: &WriteTransaction, changes: &HistoryChanges) -> Result<(), redb::Error> {
    let mut files = transaction.open_table(HISTORY_FILES)?;
    let mut garbage = transaction.open_table(HISTORY_GARBAGE)?;
    for ((query, path), record) in &changes.added {
        files.insert((*query, path.as_str()), record.encode_to_vec().as_slice())?;
    }
    for (query, path) in &changes.removed {
        files.remove((*query, path.as_str()))?;
        garbage.insert(path.as_str(), changes.now_ns)?;
    }
    for path in &changes.deleted {
        garbage.remove(path.as_str())?;
    }

    let mut deltas = transaction.open_table(HISTORY_DELTAS)?;
    for key in &changes.taken {
        deltas.remove(key)?;
    }
    let mut horizons = transaction.open_table(HISTORY_HORIZONS)?;
    for (query, horizon_ns) in &changes.horizons {
        let before_ns = horizons.get(query)?.map_or(i64::MIN, |before| before.value());
        horizons.insert(query, before_ns.max(*horizon_ns))?;
    }
    let mut queries = transaction.open_table(HISTORY_QUERIES)?;
    for number in &changes.forgotten_queries {
        queries.remove(number)?;
        horizons.remove(number)?;
    }
    let mut completed = transaction.open_table(HISTORY_COMPLETED)?;
    for key in &changes.forgotten_times {
        completed.remove(key)?;
    }
    Ok(())
}
