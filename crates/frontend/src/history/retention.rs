//! What is kept, and what goes: windows by their age and by the room that they take, files that were merged when no reader
//! can need them any more, and files that nobody knows.

use super::error::HistoryError;
use super::file_store::FileStore;
use super::writer::{ALWAYS, change};
use crate::store::{FileKey, HistoryChanges, HistoryFileRecord, HistorySnapshot, Store};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// How long removed files stay for those who read them: longer than any question may take.
const READERS_NS: i64 = 600_000_000_000;

/// How old a file is that nobody knows when it is deleted: longer than it takes to write a file and to say that it is there.
const UNKNOWN: Duration = Duration::from_secs(3_600);

/// How long and how much is kept.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RetentionRules {
    /// How long windows are kept of queries that do not say it themselves.
    pub(crate) keep_ns: i64,
    /// The most bytes of all files.
    pub(crate) keep_bytes: u64,
}

/// Removes what is not kept any more. `installed` are queries whose windows are still to come. Returns how many files were
/// removed.
pub(super) async fn expire(
    store: &Arc<Store>,
    rules: RetentionRules,
    installed: &BTreeSet<u32>,
    now_ns: i64,
) -> Result<usize, HistoryError> {
    let snapshot = store.history()?;
    let mut changes = expired(&snapshot, rules, now_ns)?;
    let removed = changes.removed.len();

    let files = snapshot.files()?;
    let in_files: BTreeSet<u32> =
        files.keys().filter(|key| !changes.removed.contains(key)).map(|(query, _)| *query).collect();
    for number in snapshot.queries()?.into_keys() {
        let is_wanted = installed.contains(&number) || in_files.contains(&number);
        if !is_wanted && snapshot.deltas(number, ALWAYS)?.is_empty() {
            changes.forgotten_queries.push(number);
        }
    }
    if !changes.is_empty() {
        change(store, changes).await?;
    }
    Ok(removed)
}

/// Returns the removal of all files that are too old or too many, and of what is known of times before.
fn expired(
    snapshot: &HistorySnapshot,
    rules: RetentionRules,
    now_ns: i64,
) -> Result<HistoryChanges, HistoryError> {
    let mut changes = HistoryChanges { now_ns, ..HistoryChanges::default() };
    let queries = snapshot.queries()?;
    let keep_ns = |query: u32| queries.get(&query).and_then(|query| query.keep_ns).unwrap_or(rules.keep_ns);

    let mut kept: Vec<(FileKey, HistoryFileRecord)> = Vec::new();
    for (key, file) in snapshot.files()? {
        match file.end_ns < now_ns.saturating_sub(keep_ns(key.0)) {
            true => remove(&mut changes, key, &file),
            false => kept.push((key, file)),
        }
    }
    // The oldest first.
    kept.sort_by_key(|(_, file)| std::cmp::Reverse(file.end_ns));
    let mut bytes: u64 = kept.iter().map(|(_, file)| file.bytes).sum();
    while bytes > rules.keep_bytes {
        let Some((key, file)) = kept.pop() else { break };
        bytes -= file.bytes;
        remove(&mut changes, key, &file);
    }

    for query in queries.keys() {
        let horizon_ns =
            snapshot.horizon_ns(*query)?.max(changes.horizons.get(query).copied().unwrap_or(i64::MIN));
        let forgotten = snapshot.completed(*query)?.into_iter().filter(|range| range.end_ns <= horizon_ns);
        changes.forgotten_times.extend(forgotten.map(|range| (*query, range.start_ns, range.end_ns)));
    }
    Ok(changes)
}

/// Removes a file, and with it what comes for its windows later: the rest of a window would look like all of it.
fn remove(changes: &mut HistoryChanges, key: FileKey, file: &HistoryFileRecord) {
    let horizon = changes.horizons.entry(key.0).or_insert(i64::MIN);
    *horizon = (*horizon).max(file.end_ns);
    changes.removed.push(key);
}

/// Deletes files that were removed so long ago that nobody reads them any more.
pub(super) async fn delete_removed(
    store: &Arc<Store>,
    files: &FileStore,
    now_ns: i64,
) -> Result<(), HistoryError> {
    let mut deleted = Vec::new();

    for (path, since_ns) in store.history()?.garbage()? {
        if now_ns.saturating_sub(since_ns) > READERS_NS {
            files.delete(&path).await?;
            deleted.push(path);
        }
    }

    match deleted.is_empty() {
        true => Ok(()),
        false => change(store, HistoryChanges { deleted, ..HistoryChanges::default() }).await,
    }
}

/// Deletes files that nobody knows: a process was killed before it could say that they are there.
pub(super) async fn delete_unknown(store: &Arc<Store>, files: &FileStore) -> Result<usize, HistoryError> {
    // What is listed later may have become known since.
    let listed = files.list().await?;
    let snapshot = store.history()?;
    let known: BTreeMap<FileKey, HistoryFileRecord> = snapshot.files()?;
    let known: BTreeSet<String> = known.into_keys().map(|(_, path)| path).collect();
    let removed = snapshot.garbage()?;

    let mut deleted = 0;
    for file in listed {
        let path = file.location.to_string();
        let age = std::time::SystemTime::now().duration_since(file.last_modified.into()).unwrap_or_default();
        let is_data = path.ends_with(".parquet");
        if is_data && !known.contains(&path) && !removed.contains_key(&path) && age > UNKNOWN {
            files.delete(&path).await?;
            deleted += 1;
        }
    }
    Ok(deleted)
}
