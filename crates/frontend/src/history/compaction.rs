//! Merging small files into larger ones. Files are merged, and windows never: each addition stays as it is.
//!
//! Files of a query fall into sizes, each eight times the one before. Eight files of one size become one of the next, so
//! that an addition is written again once for each size.

use super::delta_file::ColumnTypes;
use super::delta_file_reader::DeltaFileReader;
use super::error::HistoryError;
use super::file_store::FileStore;
use super::kept_query::KeptQuery;
use super::value_types::ValueTypes;
use super::writer::{ALWAYS, FileInProgress, FinishedFile, change};
use crate::store::{DeltaKey, HistoryChanges, HistoryFileRecord, Store};
use crate::window_delta::WindowDelta;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How many files of one size are merged.
const FILES: usize = 8;

/// The size of the smallest files, in bytes.
const SMALLEST: u64 = 64 << 10;

/// Files of this size are not merged any more, in bytes.
const LARGEST: u64 = 32 << 20;

/// Merges files of all queries, once for each query and size. Returns how many files were merged.
pub(super) async fn merge_files(
    store: &Arc<Store>,
    files: &FileStore,
    now_ns: i64,
) -> Result<usize, HistoryError> {
    let snapshot = store.history()?;
    let mut merged = 0;

    for (number, record) in snapshot.queries()? {
        let query = KeptQuery::new(number, record)?;
        for chosen in files_to_merge(snapshot.files_of(number)?) {
            merged += chosen.len();
            merge(store, files, &query, chosen, now_ns).await?;
        }
    }
    Ok(merged)
}

/// Returns the files that are to become one each: of every size the first, in the order of their windows, if there are
/// enough.
fn files_to_merge(files: BTreeMap<String, HistoryFileRecord>) -> Vec<BTreeMap<String, HistoryFileRecord>> {
    let mut sizes: BTreeMap<u32, Vec<(String, HistoryFileRecord)>> = BTreeMap::new();
    for (path, file) in files.into_iter().filter(|(_, file)| file.bytes < LARGEST) {
        sizes.entry(size_class(file.bytes)).or_default().push((path, file));
    }

    let mut chosen = Vec::new();
    for mut files in sizes.into_values().filter(|files| files.len() >= FILES) {
        files.sort_by_key(|(_, file)| (file.start_ns, file.first_batch));
        chosen.push(files.into_iter().take(FILES).collect());
    }
    chosen
}

/// Returns the number of a file's size, from 0.
fn size_class(bytes: u64) -> u32 {
    let mut size = SMALLEST;
    let mut class = 0;
    while bytes >= size {
        size = size.saturating_mul(FILES as u64);
        class += 1;
    }
    class
}

async fn merge(
    store: &Arc<Store>,
    files: &FileStore,
    query: &KeptQuery,
    chosen: BTreeMap<String, HistoryFileRecord>,
    now_ns: i64,
) -> Result<(), HistoryError> {
    let mut types = ColumnTypes::default();
    chosen.values().for_each(|file| types.union(&column_types(file)));
    let mut contents = Vec::with_capacity(chosen.len());
    for path in chosen.keys() {
        contents.push((path.clone(), files.get(path).await?));
    }

    let encoded = tokio::task::spawn_blocking({
        let (query, files) = (query.clone(), files.clone());
        move || merge_contents(&query, &files, &types, contents)
    });
    let FinishedFile { path, content, record } = encoded.await.unwrap_or(Err(HistoryError::Panicked))?;
    files.put(&path, content).await?;

    let added = BTreeMap::from([((query.number, path), record)]);
    let removed = chosen.into_keys().map(|path| (query.number, path)).collect();
    change(store, HistoryChanges { added, removed, now_ns, ..HistoryChanges::default() }).await
}

/// Returns the types that are stored of a file's columns.
fn column_types(file: &HistoryFileRecord) -> ColumnTypes {
    ColumnTypes {
        keys: file.key_types.iter().map(|types| ValueTypes(*types)).collect(),
        states: file.state_types.iter().map(|types| ValueTypes(*types)).collect(),
    }
}

fn merge_contents(
    query: &KeptQuery,
    files: &FileStore,
    types: &ColumnTypes,
    contents: Vec<(String, Vec<u8>)>,
) -> Result<FinishedFile, HistoryError> {
    let shape = query.shape();
    let mut sources: Vec<(DeltaFileReader, (DeltaKey, WindowDelta))> = Vec::new();
    for (path, content) in contents {
        let mut reader = DeltaFileReader::new(query.number, &shape, ALWAYS, content)
            .map_err(|error| error.of_file(&path))?;
        if let Some(next) = reader.next().map_err(|error| error.of_file(&path))? {
            sources.push((reader, next));
        }
    }

    let mut file = FileInProgress::new(query, types)?;
    while let Some(least) = (0..sources.len()).min_by_key(|i| sources[*i].1.0) {
        let next = sources[least].0.next()?;
        let (key, delta) = match next {
            Some(next) => std::mem::replace(&mut sources[least].1, next),
            None => sources.swap_remove(least).1,
        };
        file.push(key, &delta)?;
    }
    file.finish(files, "merged")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eight_files_of_one_size_become_one() {
        let file =
            |path: usize, bytes| (format!("{path:02}"), HistoryFileRecord { bytes, ..Default::default() });
        let small: BTreeMap<_, _> = (0..7).map(|path| file(path, 10)).collect();
        assert!(files_to_merge(small.clone()).is_empty());

        // One that is larger, those that are too large, and enough small ones.
        let mut files = small;
        files.extend([file(20, SMALLEST)]);
        files.extend((30..50).map(|path| file(path, LARGEST)));
        assert!(files_to_merge(files.clone()).is_empty());
        files.extend([file(7, 20), file(8, 30)]);
        let chosen = files_to_merge(files);
        assert_eq!(chosen.iter().map(BTreeMap::len).collect::<Vec<_>>(), [8]);
        assert_eq!((size_class(0), size_class(SMALLEST), size_class(8 * SMALLEST)), (0, 1, 2));
    }
}
