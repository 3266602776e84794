//! Reading the whole store, when the frontend starts.

use super::records::{
    AgentProgress, AgentRecord, DepartedRecord, FrontendRecord, QueryRecord, ResultRecord, RowsRecord,
    TotalRecord, WindowRecord, WovenTimeRecord,
};
use super::stored_rows;
use super::tables::{
    AGENTS, CATALOGUES, DEPARTED, FACTS, FORGOTTEN_WINDOWS, FORMAT_FACT, FRONTEND_FACT, PROGRESS, QUERIES,
    RESULTS, ROWS, TOTALS, WINDOWS, WOVEN,
};
use crate::agent_wire;
use crate::announced_exports::AnnouncedExports;
use crate::window_groups::WindowGroups;
use pivot_advice::WovenTime;
use pivot_merge::MergedGroups;
use pivot_protocol::wire;
use prost::Message;
use redb::{Database, ReadTransaction, ReadableDatabase, ReadableTable, TableError};
use std::collections::BTreeMap;

/// Everything that a store holds.
#[derive(Debug)]
pub(crate) struct StoredState {
    pub(crate) frontend: FrontendRecord,
    pub(crate) agents: Vec<StoredAgent>,
    pub(crate) departed: Vec<StoredDeparture>,
    /// By number.
    pub(crate) queries: BTreeMap<u32, StoredQuery>,
}

/// One agent.
#[derive(Debug)]
pub(crate) struct StoredAgent {
    pub(crate) incarnation: u64,
    pub(crate) record: AgentRecord,
    pub(crate) progress: AgentProgress,
    pub(crate) exports: AnnouncedExports,
}

/// One agent of which the highest sequence is kept alone.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StoredDeparture {
    pub(crate) incarnation: u64,
    pub(crate) highest: u64,
    pub(crate) departed_ns: i64,
}

/// One query with its results.
#[derive(Debug, Default)]
pub(crate) struct StoredQuery {
    pub(crate) record: QueryRecord,
    pub(crate) result: ResultRecord,
    /// By incarnation: when the query was woven.
    pub(crate) woven: BTreeMap<u64, WovenTime>,
    /// By start.
    pub(crate) windows: BTreeMap<i64, StoredWindow>,
    total: TotalRecord,
    /// Rows of windows that are no longer known, by commit.
    for_forgotten: BTreeMap<u64, RowsRecord>,
}

/// One window with its rows.
#[derive(Debug, Default)]
pub(crate) struct StoredWindow {
    pub(crate) record: WindowRecord,
    /// By commit.
    rows: BTreeMap<u64, RowsRecord>,
}

impl StoredWindow {
    /// Returns all rows of the window.
    pub(crate) fn groups(&self, shape: &MergedGroups) -> WindowGroups {
        merged(&self.rows, 0, shape)
    }

    /// Returns the number of rows that are stored for it, which may be more than it has.
    pub(crate) fn stored_groups(&self, shape: &MergedGroups) -> usize {
        self.rows.values().map(|rows| stored_rows::decode(rows.clone(), shape).size_in_groups()).sum()
    }
}

impl StoredQuery {
    /// Returns the result since install: what was stored of it, and what has come since.
    pub(crate) fn cumulative(&self, shape: &MergedGroups) -> WindowGroups {
        let folded = self.total.batch;
        let mut total = match &self.total.rows {
            Some(rows) => stored_rows::decode(rows.clone(), shape),
            None => WindowGroups::new(shape),
        };

        total.merge(&merged(&self.for_forgotten, folded + 1, shape));
        for window in self.windows.values() {
            let closed = window.record.closed_batch;
            // Of a window that was closed when the result was stored, later rows are missing in it; of one that was
            // closed later, all.
            match closed {
                0 => {}
                closed if closed <= folded => total.merge(&merged(&window.rows, folded + 1, shape)),
                _ => total.merge(&merged(&window.rows, 0, shape)),
            }
        }
        total
    }
}

/// Merges rows of all commits from one on.
fn merged(rows: &BTreeMap<u64, RowsRecord>, from_batch: u64, shape: &MergedGroups) -> WindowGroups {
    let mut merged = WindowGroups::new(shape);
    for record in rows.range(from_batch..).map(|(_, record)| record) {
        merged.merge(&stored_rows::decode(record.clone(), shape));
    }
    merged
}

/// Returns the version of the tables in a file, or `None` if nothing was stored in it.
pub(super) fn format(database: &Database) -> Result<Option<u32>, redb::Error> {
    let transaction = database.begin_read()?;
    let facts = match transaction.open_table(FACTS) {
        Err(TableError::TableDoesNotExist(_)) => return Ok(None),
        facts => facts?,
    };
    let Some(stored) = facts.get(FORMAT_FACT)? else { return Ok(None) };
    let bytes: [u8; 4] = stored.value().try_into().map_err(|_| damaged("the version of the format"))?;
    Ok(Some(u32::from_le_bytes(bytes)))
}

/// Reads everything.
pub(super) fn state(database: &Database) -> Result<StoredState, redb::Error> {
    let transaction = database.begin_read()?;
    let frontend = match transaction.open_table(FACTS)?.get(FRONTEND_FACT)? {
        Some(stored) => decode(stored.value())?,
        None => FrontendRecord::default(),
    };
    let (agents, departed) = (agents(&transaction)?, departed(&transaction)?);
    Ok(StoredState { frontend, agents, departed, queries: queries(&transaction)? })
}

fn departed(transaction: &ReadTransaction) -> Result<Vec<StoredDeparture>, redb::Error> {
    let mut departed = Vec::new();
    for entry in transaction.open_table(DEPARTED)?.iter()? {
        let (incarnation, stored) = entry?;
        let DepartedRecord { highest, departed_ns } = decode(stored.value())?;
        departed.push(StoredDeparture { incarnation: incarnation.value(), highest, departed_ns });
    }
    Ok(departed)
}

fn agents(transaction: &ReadTransaction) -> Result<Vec<StoredAgent>, redb::Error> {
    let catalogues = transaction.open_table(CATALOGUES)?;
    let progress = transaction.open_table(PROGRESS)?;
    let mut agents = Vec::new();

    for entry in transaction.open_table(AGENTS)?.iter()? {
        let (incarnation, stored) = entry?;
        let (incarnation, record): (u64, AgentRecord) = (incarnation.value(), decode(stored.value())?);
        let key = record.catalogue.as_slice().try_into().map_err(|_| damaged("a fingerprint"))?;
        let exports = match catalogues.get(u128::from_le_bytes(key))? {
            Some(stored) => agent_wire::exports(decode::<wire::Exported>(stored.value())?.catalogue),
            None => return Err(damaged("an agent's catalogue")),
        };
        let progress = match progress.get(incarnation)? {
            Some(stored) => decode(stored.value())?,
            None => AgentProgress::default(),
        };
        agents.push(StoredAgent { incarnation, record, progress, exports });
    }
    Ok(agents)
}

fn queries(transaction: &ReadTransaction) -> Result<BTreeMap<u32, StoredQuery>, redb::Error> {
    let mut queries: BTreeMap<u32, StoredQuery> = BTreeMap::new();
    for entry in transaction.open_table(QUERIES)?.iter()? {
        let (number, stored) = entry?;
        queries.entry(number.value()).or_default().record = decode(stored.value())?;
    }

    for entry in transaction.open_table(RESULTS)?.iter()? {
        let (number, stored) = entry?;
        known(&mut queries, number.value())?.result = decode(stored.value())?;
    }
    if let Some(totals) = existing(transaction.open_table(TOTALS))? {
        for entry in totals.iter()? {
            let (number, stored) = entry?;
            known(&mut queries, number.value())?.total = decode(stored.value())?;
        }
    }
    for entry in transaction.open_table(WOVEN)?.iter()? {
        let (key, stored) = entry?;
        let (number, incarnation) = key.value();
        let WovenTimeRecord { since_ns, until_ns } = decode(stored.value())?;
        known(&mut queries, number)?.woven.insert(incarnation, WovenTime { since_ns, until_ns });
    }

    for entry in transaction.open_table(WINDOWS)?.iter()? {
        let (key, stored) = entry?;
        let (number, start_ns) = key.value();
        known(&mut queries, number)?.windows.entry(start_ns).or_default().record = decode(stored.value())?;
    }
    for entry in transaction.open_table(ROWS)?.iter()? {
        let (key, stored) = entry?;
        let (number, start_ns, batch) = key.value();
        let (query, rows) = (known(&mut queries, number)?, decode(stored.value())?);
        match start_ns {
            FORGOTTEN_WINDOWS => query.for_forgotten.insert(batch, rows),
            _ => query.windows.entry(start_ns).or_default().rows.insert(batch, rows),
        };
    }
    Ok(queries)
}

/// Returns the query that something belongs to.
fn known(queries: &mut BTreeMap<u32, StoredQuery>, number: u32) -> Result<&mut StoredQuery, redb::Error> {
    queries.get_mut(&number).ok_or_else(|| damaged("results of a query that is not stored"))
}

/// Returns a table, or `None` if nothing was ever written to it.
pub(super) fn existing<T>(table: Result<T, TableError>) -> Result<Option<T>, redb::Error> {
    match table {
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        table => Ok(Some(table?)),
    }
}

/// Decodes a record.
pub(super) fn decode<R: Message + Default>(bytes: &[u8]) -> Result<R, redb::Error> {
    R::decode(bytes).map_err(|error| damaged(&error.to_string()))
}

fn damaged(what: &str) -> redb::Error {
    redb::Error::Corrupted(what.to_owned())
}
