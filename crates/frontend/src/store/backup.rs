//! Copying the store while it is used: one read transaction, which sees what was committed before it.
//!
//! The copy says that it is one. A frontend that is started with it is another one: what agents have reported since, to the
//! first, is not in it.

use super::load;
use super::records::FrontendRecord;
use super::store_error::StoreError;
use super::tables::{
    AGENTS, CATALOGUES, DEPARTED, FACTS, FRONTEND_FACT, HISTORY_COMPLETED, HISTORY_DELTAS, HISTORY_FILES,
    HISTORY_GARBAGE, HISTORY_HORIZONS, HISTORY_QUERIES, PROGRESS, QUERIES, RESULTS, ROWS, TOTALS, WINDOWS,
    WOVEN,
};
use prost::Message;
use redb::{Database, Key, ReadTransaction, ReadableTable, TableDefinition, Value, WriteTransaction};
use std::fs::File;
use std::path::Path;

/// The file in which a copy is made. It has no name any more when it is read.
const COPY: &str = "pivot.backup";

/// Copies what a transaction sees into a file of the directory, and returns the file, which goes when it is closed.
pub(super) fn copy(from: &ReadTransaction, directory: &Path) -> Result<File, StoreError> {
    let path = directory.join(COPY);
    let copied = fill(from, &path).map_err(|source| StoreError::failed(&path, source));
    let opened = copied.and_then(|()| File::open(&path).map_err(|source| StoreError::failed(&path, source)));
    // It may not even have been made.
    let _ = std::fs::remove_file(&path);
    opened
}

fn fill(from: &ReadTransaction, path: &Path) -> Result<(), redb::Error> {
    // What a process has left that was killed.
    let _ = std::fs::remove_file(path);
    let database = Database::create(path)?;
    let to = database.begin_write()?;

    copy_table(from, &to, FACTS)?;
    copy_table(from, &to, CATALOGUES)?;
    copy_table(from, &to, AGENTS)?;
    copy_table(from, &to, PROGRESS)?;
    copy_table(from, &to, DEPARTED)?;
    copy_table(from, &to, QUERIES)?;
    copy_table(from, &to, RESULTS)?;
    copy_table(from, &to, TOTALS)?;
    copy_table(from, &to, WOVEN)?;
    copy_table(from, &to, WINDOWS)?;
    copy_table(from, &to, ROWS)?;
    copy_table(from, &to, HISTORY_DELTAS)?;
    copy_table(from, &to, HISTORY_QUERIES)?;
    copy_table(from, &to, HISTORY_FILES)?;
    copy_table(from, &to, HISTORY_GARBAGE)?;
    copy_table(from, &to, HISTORY_COMPLETED)?;
    copy_table(from, &to, HISTORY_HORIZONS)?;
    mark(&to)?;

    to.commit()?;
    Ok(())
}

fn copy_table<K: Key + 'static, V: Value + 'static>(
    from: &ReadTransaction,
    to: &WriteTransaction,
    table: TableDefinition<'static, K, V>,
) -> Result<(), redb::Error> {
    let Some(source) = load::existing(from.open_table(table))? else { return Ok(()) };
    let mut target = to.open_table(table)?;
    for entry in source.iter()? {
        let (key, value) = entry?;
        target.insert(key.value(), value.value())?;
    }
    Ok(())
}

/// Notes in a copy that it is one.
fn mark(to: &WriteTransaction) -> Result<(), redb::Error> {
    let mut facts = to.open_table(FACTS)?;
    let stored = facts.get(FRONTEND_FACT)?.map(|stored| load::decode::<FrontendRecord>(stored.value()));
    let record = FrontendRecord { is_backup: true, ..stored.transpose()?.unwrap_or_default() };
    facts.insert(FRONTEND_FACT, record.encode_to_vec().as_slice())?;
    Ok(())
}
