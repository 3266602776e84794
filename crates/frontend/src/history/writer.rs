//! Taking additions to windows out of the store and into files.
//!
//! A file is put first, under a name that follows from what is in it, and then one transaction adds it to the files and
//! drops its additions. Whoever is killed in between leaves a file that nobody knows, and the additions are taken again.

use super::delta_file::{ColumnTypes, DeltaFileWriter};
use super::error::HistoryError;
use super::file_store::FileStore;
use super::kept_query::KeptQuery;
use crate::store::{DeltaKey, HistoryChanges, HistoryFileRecord, HistorySnapshot, Store, WindowDeltaRecord};
use crate::time_range::TimeRange;
use crate::window_delta::WindowDelta;
use std::collections::BTreeMap;
use std::sync::Arc;

/// All times.
pub(super) const ALWAYS: TimeRange = TimeRange { start_ns: i64::MIN, end_ns: i64::MAX };

/// About the most bytes of additions, as they are stored, that go into one file.
const MAX_FILE_BYTES: usize = 4 << 20;

/// A file that is complete and not written yet.
#[derive(Debug)]
pub(super) struct FinishedFile {
    pub(super) path: String,
    pub(super) content: Vec<u8>,
    pub(super) record: HistoryFileRecord,
}

/// Puts all additions that the store has into files. Returns how many files there are more.
pub(super) async fn take_to_files(store: &Arc<Store>, files: &FileStore) -> Result<usize, HistoryError> {
    let snapshot = store.history()?;
    let mut written = 0;
    for (number, record) in snapshot.queries()? {
        let query = KeptQuery::new(number, record)?;
        written += take_query(store, files, &snapshot, &query).await?;
    }
    Ok(written)
}

async fn take_query(
    store: &Arc<Store>,
    files: &FileStore,
    snapshot: &HistorySnapshot,
    query: &KeptQuery,
) -> Result<usize, HistoryError> {
    let mut written = 0;
    let mut part = BTreeMap::new();
    let mut bytes = 0;
    let mut deltas = snapshot.deltas(query.number, ALWAYS)?.into_iter().peekable();

    while let Some((key, record)) = deltas.next() {
        bytes += prost::Message::encoded_len(&record);
        part.insert(key, record);
        if bytes < MAX_FILE_BYTES && deltas.peek().is_some() {
            continue;
        }
        take_part(store, files, query, std::mem::take(&mut part)).await?;
        bytes = 0;
        written += 1;
    }
    Ok(written)
}

async fn take_part(
    store: &Arc<Store>,
    files: &FileStore,
    query: &KeptQuery,
    part: BTreeMap<DeltaKey, WindowDeltaRecord>,
) -> Result<(), HistoryError> {
    let taken = part.keys().map(|key| (key.query, key.start_ns, key.batch)).collect();
    let (files, query, to_write) = (files.clone(), query.clone(), files.clone());
    let encoded = tokio::task::spawn_blocking(move || encode_part(&files, &query, part)).await;
    let file = encoded.unwrap_or(Err(HistoryError::Panicked))?;
    let number = file.1;

    let FinishedFile { path, content, record } = file.0;
    to_write.put(&path, content).await?;
    let added = BTreeMap::from([((number, path), record)]);
    change(store, HistoryChanges { added, taken, ..HistoryChanges::default() }).await
}

fn encode_part(
    files: &FileStore,
    query: &KeptQuery,
    part: BTreeMap<DeltaKey, WindowDeltaRecord>,
) -> Result<(FinishedFile, u32), HistoryError> {
    let shape = query.shape();
    let deltas: Vec<(DeltaKey, WindowDelta)> =
        part.into_iter().map(|(key, record)| (key, record.delta(key.start_ns, &shape))).collect();
    let mut types = ColumnTypes::default();
    deltas.iter().for_each(|(_, delta)| types.note(&delta.added));

    let mut file = FileInProgress::new(query, &types)?;
    deltas.iter().try_for_each(|(key, delta)| file.push(*key, delta))?;
    Ok((file.finish(files, "windows")?, query.number))
}

/// Makes changes of history durable.
pub(super) async fn change(store: &Arc<Store>, changes: HistoryChanges) -> Result<(), HistoryError> {
    let store = store.clone();
    let changed = tokio::task::spawn_blocking(move || store.change_history(&changes)).await;
    Ok(changed.map_err(|_| HistoryError::Panicked)??)
}

/// A file to which additions are written, with what is to be known of it.
#[derive(Debug)]
pub(super) struct FileInProgress {
    query: u32,
    writer: DeltaFileWriter,
    record: HistoryFileRecord,
}

impl FileInProgress {
    /// Begins a file of a query whose values have these types.
    pub(super) fn new(query: &KeptQuery, types: &ColumnTypes) -> Result<FileInProgress, HistoryError> {
        let record = HistoryFileRecord {
            start_ns: i64::MAX,
            end_ns: i64::MIN,
            first_batch: u64::MAX,
            key_types: types.keys.iter().map(|types| types.0).collect(),
            state_types: types.states.iter().map(|types| types.0).collect(),
            ..HistoryFileRecord::default()
        };

        Ok(FileInProgress {
            query: query.number,
            writer: DeltaFileWriter::new(&query.output, types)?,
            record,
        })
    }

    /// Adds an addition; they come in the order of their keys.
    pub(super) fn push(&mut self, key: DeltaKey, delta: &WindowDelta) -> Result<(), HistoryError> {
        let record = &mut self.record;
        record.start_ns = record.start_ns.min(key.start_ns);
        record.end_ns = record.end_ns.max(delta.window.end_ns);
        record.first_batch = record.first_batch.min(key.batch);
        record.last_batch = record.last_batch.max(key.batch);
        self.writer.push(key, delta)
    }

    /// Returns the file, with a name of this kind.
    pub(super) fn finish(self, files: &FileStore, kind: &str) -> Result<FinishedFile, HistoryError> {
        let FileInProgress { query, writer, mut record } = self;
        let (content, rows) = writer.finish()?;
        record.rows = rows;
        record.bytes = content.len() as u64;

        let HistoryFileRecord { first_batch, last_batch, start_ns, .. } = record;
        let name = format!("q{query}/{kind}-{first_batch:012}-{last_batch:012}-{start_ns}.parquet");
        Ok(FinishedFile { path: files.path(&name), content, record })
    }
}
