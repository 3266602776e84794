//! The store's file: opening it, and committing changes to it.

use super::backup;
use super::history_records::WindowDeltaRecord;
use super::load::{self, StoredState};
use super::records::{RowsRecord, TotalRecord, WovenTimeRecord};
use super::state_changes::{ChangedAgent, ChangedRows, FoldedTotal, HistoryNews, StateChanges};
use super::store_error::StoreError;
use super::stored_rows;
use super::tables::{
    AGENTS, CATALOGUES, DEPARTED, FACTS, FIRST_FORMAT, FORGOTTEN_WINDOWS, FORMAT, FORMAT_FACT, FRONTEND_FACT,
    HISTORY_COMPLETED, HISTORY_DELTAS, HISTORY_QUERIES, PROGRESS, QUERIES, RESULTS, ROWS, TOTALS, WINDOWS,
    WOVEN,
};
use crate::machine::{Machine, ThisMachine};
use pivot_protocol::{to_wire, wire};
use prost::Message;
use redb::{Database, DatabaseError, ReadTransaction, ReadableDatabase, ReadableTable, WriteTransaction};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// The name of the file in the data directory.
const FILE: &str = "pivot.redb";

/// Where the frontend keeps its state, if it keeps any.
#[derive(Debug)]
pub(crate) struct Store {
    /// The path of the file; `None` keeps nothing.
    path: Option<PathBuf>,
    machine: Arc<dyn Machine>,
    /// `None` after an error, until it is opened again.
    database: Mutex<Option<Database>>,
}

/// A store that was opened, with what is in it.
#[derive(Debug)]
pub(crate) struct OpenedStore {
    pub(crate) store: Store,
    /// `None` if the store is new.
    pub(crate) state: Option<StoredState>,
    /// Where a file was moved that could not be read.
    pub(crate) set_aside: Option<PathBuf>,
}

impl Store {
    /// Makes a store that keeps nothing.
    pub(crate) fn none() -> Store {
        Store { path: None, machine: Arc::new(ThisMachine), database: Mutex::new(None) }
    }

    /// Opens the store of a directory, which is made if there is none. A file that is damaged is moved out of the way,
    /// and a new one begun.
    pub(crate) fn open(machine: &Arc<dyn Machine>, directory: &Path) -> Result<OpenedStore, StoreError> {
        if machine.has_files() {
            make_directory(directory)
                .map_err(|source| StoreError::Directory { path: directory.to_owned(), source })?;
        }
        let path = directory.join(FILE);

        let (read, set_aside) = match read(&**machine, &path) {
            Err(StoreError::Failed { source, .. }) if is_damage(&source) => {
                let aside = set_aside(&path)?;
                (read(&**machine, &path), Some(aside))
            }
            read => (read, None),
        };
        let (database, state) = read?;
        Ok(OpenedStore {
            store: Store { path: Some(path), machine: machine.clone(), database: Mutex::new(Some(database)) },
            state,
            set_aside,
        })
    }

    /// Whether anything is kept.
    pub(crate) fn is_durable(&self) -> bool {
        self.path.is_some()
    }

    /// Returns the size of the file, or `None` if nothing is kept.
    pub(crate) fn file_bytes(&self) -> Option<u64> {
        Some(std::fs::metadata(self.path.as_ref()?).ok()?.len())
    }

    /// Returns a copy of what is committed, as a file without a name.
    pub(crate) fn backup(&self) -> Result<File, StoreError> {
        let (path, read) = self.begin_read()?;
        backup::copy(&read, path.parent().unwrap_or(&path))
    }

    /// Returns what is committed now, with the path of the file for errors.
    pub(super) fn begin_read(&self) -> Result<(PathBuf, ReadTransaction), StoreError> {
        let path = self.path.as_ref().ok_or(StoreError::NothingKept)?;
        let database = self.database.lock().unwrap_or_else(PoisonError::into_inner);
        let opened = database.as_ref().ok_or(StoreError::NotWritable)?;
        let read = opened.begin_read().map_err(|source| StoreError::failed(path, source))?;
        Ok((path.clone(), read))
    }

    /// Makes changes durable, those of one advance of the state after the other. When this returns they are on disk; after an
    /// error they may be or not, and are to be committed again, which changes nothing if they were.
    pub(crate) fn commit(&self, changes: &[Arc<StateChanges>]) -> Result<(), StoreError> {
        self.write(|transaction| changes.iter().try_for_each(|advance| write_advance(transaction, advance)))
    }

    /// Writes in one transaction. When this returns all of it is on disk.
    pub(super) fn write(
        &self,
        write: impl FnOnce(&WriteTransaction) -> Result<(), redb::Error>,
    ) -> Result<(), StoreError> {
        let Some(path) = &self.path else { return Ok(()) };
        let mut database = self.database.lock().unwrap_or_else(PoisonError::into_inner);

        // After an error of the disk a database answers nothing until it is opened again.
        let opened = match database.take() {
            Some(opened) => opened,
            None => open_file(&*self.machine, path)?,
        };
        commit(&opened, write).map_err(|source| StoreError::failed(path, source))?;
        *database = Some(opened);
        Ok(())
    }
}

/// Makes a directory that only its owner may enter, unless there is one.
fn make_directory(path: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// Opens the file and reads what is in it.
fn read(machine: &dyn Machine, path: &Path) -> Result<(Database, Option<StoredState>), StoreError> {
    let database = open_file(machine, path)?;
    let found = load::format(&database).map_err(|source| StoreError::failed(path, source))?;
    let state = match found {
        None => None,
        Some(FIRST_FORMAT..=FORMAT) => {
            Some(load::state(&database).map_err(|source| StoreError::failed(path, source))?)
        }
        Some(found) => return Err(StoreError::NewerFormat { path: path.to_owned(), found }),
    };
    Ok((database, state))
}

fn open_file(machine: &dyn Machine, path: &Path) -> Result<Database, StoreError> {
    match machine.open_database(path) {
        Ok(database) => Ok(database),
        Err(DatabaseError::DatabaseAlreadyOpen) => Err(StoreError::InUse { path: path.to_owned() }),
        Err(source) => Err(StoreError::failed(path, source)),
    }
}

/// Whether an error says that the file is not what it was written as.
fn is_damage(error: &redb::Error) -> bool {
    match error {
        redb::Error::Corrupted(_) | redb::Error::RepairAborted | redb::Error::TableTypeMismatch { .. } => {
            true
        }
        // A file that is something else, or too short.
        redb::Error::Io(error) => {
            matches!(error.kind(), std::io::ErrorKind::InvalidData | std::io::ErrorKind::UnexpectedEof)
        }
        _ => false,
    }
}

/// Moves a file out of the way, and returns where it is.
fn set_aside(path: &Path) -> Result<PathBuf, StoreError> {
    let mut number = 1;
    loop {
        let aside = path.with_extension(format!("damaged-{number}"));
        if aside.exists() {
            number += 1;
            continue;
        }
        let moved = std::fs::rename(path, &aside);
        moved.map_err(|source| StoreError::Directory { path: path.to_owned(), source })?;
        return Ok(aside);
    }
}

/// Writes in one transaction.
fn commit(
    database: &Database,
    write: impl FnOnce(&WriteTransaction) -> Result<(), redb::Error>,
) -> Result<(), redb::Error> {
    let mut transaction = database.begin_write()?;
    // Opening after a kill then takes milliseconds, however large the file is.
    transaction.set_quick_repair(true);

    write(&transaction)?;
    transaction.commit()?;
    Ok(())
}

/// Writes the changes of one advance of the state.
fn write_advance(transaction: &WriteTransaction, changes: &StateChanges) -> Result<(), redb::Error> {
    write_facts(transaction, changes)?;
    write_agents(transaction, changes)?;
    write_queries(transaction, changes)?;
    write_rows(transaction, &changes.rows)?;
    for (query, total) in &changes.totals {
        write_total(transaction, *query, total)?;
    }
    write_history(transaction, &changes.history)?;

    // Behind all others, so that nothing of a forgotten query stays.
    for number in &changes.forgotten_queries {
        forget_query(transaction, *number)?;
    }
    Ok(())
}

fn write_facts(transaction: &WriteTransaction, changes: &StateChanges) -> Result<(), redb::Error> {
    let mut facts = transaction.open_table(FACTS)?;
    // A file of an earlier format becomes one of this format when it is written for the first time.
    let format = FORMAT.to_le_bytes();
    if facts.get(FORMAT_FACT)?.is_none_or(|stored| stored.value() != format) {
        facts.insert(FORMAT_FACT, format.as_slice())?;
    }
    if let Some(record) = &changes.frontend {
        facts.insert(FRONTEND_FACT, record.encode_to_vec().as_slice())?;
    }
    Ok(())
}

fn write_agents(transaction: &WriteTransaction, changes: &StateChanges) -> Result<(), redb::Error> {
    let mut agents = transaction.open_table(AGENTS)?;
    let mut progress = transaction.open_table(PROGRESS)?;
    let mut catalogues = transaction.open_table(CATALOGUES)?;

    for (incarnation, ChangedAgent { record, exports }) in &changes.agents {
        agents.insert(incarnation, record.encode_to_vec().as_slice())?;

        // Agents of one program have the same, which is stored once.
        let key = exports.fingerprint();
        if catalogues.get(key)?.is_none() {
            let catalogue = exports.declarations().map(to_wire::exports).collect();
            catalogues.insert(key, wire::Exported { catalogue }.encode_to_vec().as_slice())?;
        }
    }
    for (incarnation, record) in &changes.progress {
        progress.insert(incarnation, record.encode_to_vec().as_slice())?;
    }
    for incarnation in &changes.forgotten_agents {
        agents.remove(incarnation)?;
        progress.remove(incarnation)?;
    }

    let mut departed = transaction.open_table(DEPARTED)?;
    for (incarnation, record) in &changes.departed {
        match record {
            Some(record) => departed.insert(incarnation, record.encode_to_vec().as_slice())?,
            None => departed.remove(incarnation)?,
        };
    }
    Ok(())
}

fn write_queries(transaction: &WriteTransaction, changes: &StateChanges) -> Result<(), redb::Error> {
    let mut queries = transaction.open_table(QUERIES)?;
    for (number, record) in &changes.queries {
        queries.insert(number, record.encode_to_vec().as_slice())?;
    }
    let mut results = transaction.open_table(RESULTS)?;
    for (number, record) in &changes.results {
        results.insert(number, record.encode_to_vec().as_slice())?;
    }

    let mut woven = transaction.open_table(WOVEN)?;
    for (key, time) in &changes.woven {
        let record = WovenTimeRecord { since_ns: time.since_ns, until_ns: time.until_ns };
        woven.insert(key, record.encode_to_vec().as_slice())?;
    }
    let mut windows = transaction.open_table(WINDOWS)?;
    for (key, record) in &changes.windows {
        windows.insert(key, record.encode_to_vec().as_slice())?;
    }
    Ok(())
}

fn write_rows(transaction: &WriteTransaction, changed: &[ChangedRows]) -> Result<(), redb::Error> {
    let mut rows = transaction.open_table(ROWS)?;
    for ChangedRows { key, groups, replaces_earlier } in changed {
        let start_ns = key.start_ns.unwrap_or(FORGOTTEN_WINDOWS);
        if *replaces_earlier {
            let earlier = (key.query, start_ns, 0)..(key.query, start_ns, key.batch);
            rows.retain_in(earlier, |_, _| false)?;
        }
        let encoded = stored_rows::encode(groups).encode_to_vec();
        rows.insert((key.query, start_ns, key.batch), encoded.as_slice())?;
    }
    Ok(())
}

/// Writes what history gets of windows. It stays when the query is forgotten.
fn write_history(transaction: &WriteTransaction, news: &HistoryNews) -> Result<(), redb::Error> {
    let mut queries = transaction.open_table(HISTORY_QUERIES)?;
    for (number, record) in &news.queries {
        queries.insert(number, record.encode_to_vec().as_slice())?;
    }

    let mut deltas = transaction.open_table(HISTORY_DELTAS)?;
    for (key, delta) in &news.deltas {
        let encoded = WindowDeltaRecord::new(delta).encode_to_vec();
        deltas.insert((key.query, key.start_ns, key.batch), encoded.as_slice())?;
    }

    let mut completed = transaction.open_table(HISTORY_COMPLETED)?;
    for (query, range) in &news.completed {
        completed.insert((*query, range.start_ns, range.end_ns), ())?;
    }
    Ok(())
}

/// Writes a result since install, and removes the windows and rows that are in it and of no other use.
fn write_total(transaction: &WriteTransaction, query: u32, total: &FoldedTotal) -> Result<(), redb::Error> {
    let rows: RowsRecord = stored_rows::encode(&total.groups);
    let record = TotalRecord { batch: total.batch, rows: Some(rows) };
    transaction.open_table(TOTALS)?.insert(query, record.encode_to_vec().as_slice())?;

    let mut windows = transaction.open_table(WINDOWS)?;
    let mut rows = transaction.open_table(ROWS)?;
    for start_ns in &total.contains {
        windows.remove((query, *start_ns))?;
        rows.retain_in((query, *start_ns, 0)..=(query, *start_ns, u64::MAX), |_, _| false)?;
    }
    let forgotten = (query, FORGOTTEN_WINDOWS, 0)..=(query, FORGOTTEN_WINDOWS, total.batch);
    rows.retain_in(forgotten, |_, _| false)?;
    Ok(())
}

fn forget_query(transaction: &WriteTransaction, number: u32) -> Result<(), redb::Error> {
    transaction.open_table(QUERIES)?.remove(number)?;
    transaction.open_table(RESULTS)?.remove(number)?;
    transaction.open_table(TOTALS)?.remove(number)?;

    transaction.open_table(WOVEN)?.retain_in((number, 0)..=(number, u64::MAX), |_, _| false)?;
    transaction.open_table(WINDOWS)?.retain_in((number, i64::MIN)..=(number, i64::MAX), |_, _| false)?;
    let all_rows = (number, i64::MIN, 0)..=(number, i64::MAX, u64::MAX);
    transaction.open_table(ROWS)?.retain_in(all_rows, |_, _| false)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::store::FrontendRecord;

    fn open(directory: &Path) -> Result<OpenedStore, StoreError> {
        let machine: Arc<dyn Machine> = Arc::new(ThisMachine);
        Store::open(&machine, directory)
    }

    fn committed(directory: &Path) {
        let record = FrontendRecord { frontend: 7, ..FrontendRecord::default() };
        let changes = StateChanges { frontend: Some(record), ..StateChanges::default() };
        open(directory).unwrap().store.commit(&[Arc::new(changes)]).unwrap();
    }

    #[test]
    fn what_is_committed_is_there_after_opening_again() {
        let directory = tempfile::tempdir().unwrap();
        assert!(open(directory.path()).unwrap().state.is_none(), "it is new");
        committed(directory.path());
        assert_eq!(open(directory.path()).unwrap().state.unwrap().frontend.frontend, 7);
    }

    #[test]
    fn one_frontend_at_a_time_uses_a_directory_and_nobody_else_may_enter_it() {
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("a").join("b");
        let opened = open(&directory).unwrap();
        assert!(matches!(open(&directory), Err(StoreError::InUse { .. })));
        drop(opened);
        assert!(open(&directory).is_ok());

        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(std::fs::metadata(&directory).unwrap().permissions().mode() & 0o777, 0o700);
        }
    }

    #[test]
    fn a_file_that_is_damaged_is_set_aside_and_named() {
        let directory = tempfile::tempdir().unwrap();
        for text in ["", "not a database at all", &"x".repeat(100_000)] {
            std::fs::write(directory.path().join(FILE), text).unwrap();
            let opened = open(directory.path()).unwrap();
            // An empty file is what a crash leaves that came before the first commit.
            assert_eq!(opened.set_aside.is_some(), !text.is_empty());
            if let Some(aside) = &opened.set_aside {
                assert_eq!(std::fs::read_to_string(aside).unwrap(), text);
            }
            assert!(opened.state.is_none());

            drop(opened);
            std::fs::remove_file(directory.path().join(FILE)).unwrap();
        }
    }

    #[test]
    fn a_file_of_the_first_format_is_read_and_then_written_as_the_newest() {
        let directory = tempfile::tempdir().unwrap();
        committed(directory.path());
        let path = directory.path().join(FILE);
        let database = Database::create(&path).unwrap();
        let transaction = database.begin_write().unwrap();
        let first = FIRST_FORMAT.to_le_bytes();
        transaction.open_table(FACTS).unwrap().insert(FORMAT_FACT, first.as_slice()).unwrap();
        transaction.commit().unwrap();
        drop(database);

        committed(directory.path());
        let database = Database::create(&path).unwrap();
        assert_eq!(load::format(&database).unwrap(), Some(FORMAT));
    }

    #[test]
    fn a_file_of_a_later_format_is_refused_and_stays_as_it_is() {
        let directory = tempfile::tempdir().unwrap();
        committed(directory.path());
        let database = Database::create(directory.path().join(FILE)).unwrap();
        let transaction = database.begin_write().unwrap();
        let later = (FORMAT + 1).to_le_bytes();
        transaction.open_table(FACTS).unwrap().insert(FORMAT_FACT, later.as_slice()).unwrap();
        transaction.commit().unwrap();
        drop(database);

        for _ in 0..2 {
            let refused = open(directory.path()).unwrap_err().to_string();
            assert!(refused.contains("has format 4") && refused.contains("start the version"), "{refused}");
        }
    }
}
