//! The tables of the store's file.

use redb::TableDefinition;

/// Values are records, encoded.
type Bytes = &'static [u8];

/// Facts of the file as a whole, by name.
pub(super) const FACTS: TableDefinition<'static, &'static str, Bytes> = TableDefinition::new("facts");

/// The version of these tables: in `FACTS`, as four bytes in little-endian order.
pub(super) const FORMAT_FACT: &str = "format";

/// The frontend's own record, in `FACTS`.
pub(super) const FRONTEND_FACT: &str = "frontend";

/// The version that this program writes: windows go to history. In version 2 there was no history.
pub(super) const FORMAT: u32 = 3;

/// The first version that this program reads: rows were stored one after the other, and not in columns.
pub(super) const FIRST_FORMAT: u32 = 1;

/// Lists of exported tracepoints, by their fingerprint.
pub(super) const CATALOGUES: TableDefinition<'static, u128, Bytes> = TableDefinition::new("catalogues");

/// Agents, by incarnation.
pub(super) const AGENTS: TableDefinition<'static, u64, Bytes> = TableDefinition::new("agents");

/// How far each agent has reported, by incarnation.
pub(super) const PROGRESS: TableDefinition<'static, u64, Bytes> = TableDefinition::new("progress");

/// Agents of which the highest sequence is kept alone, by incarnation.
pub(super) const DEPARTED: TableDefinition<'static, u64, Bytes> = TableDefinition::new("departed");

/// Queries, by number.
pub(super) const QUERIES: TableDefinition<'static, u32, Bytes> = TableDefinition::new("queries");

/// Results of queries apart from rows, by the number of the query.
pub(super) const RESULTS: TableDefinition<'static, u32, Bytes> = TableDefinition::new("results");

/// The results since install, by the number of the query.
pub(super) const TOTALS: TableDefinition<'static, u32, Bytes> = TableDefinition::new("totals");

/// When a query was woven in a process, by query and incarnation.
pub(super) const WOVEN: TableDefinition<'static, (u32, u64), Bytes> = TableDefinition::new("woven");

/// Windows, by query and start.
pub(super) const WINDOWS: TableDefinition<'static, (u32, i64), Bytes> = TableDefinition::new("windows");

/// Rows of windows, by query, start and commit. [`FORGOTTEN_WINDOWS`] stands for the start of all windows that are no
/// longer known.
pub(super) const ROWS: TableDefinition<'static, (u32, i64, u64), Bytes> = TableDefinition::new("rows");

/// The start under which rows are kept whose windows are forgotten.
pub(super) const FORGOTTEN_WINDOWS: i64 = i64::MIN;

/// Additions to windows that history has not taken to its files yet, by query, start of the window and commit.
pub(super) const HISTORY_DELTAS: TableDefinition<'static, (u32, i64, u64), Bytes> =
    TableDefinition::new("history deltas");

/// Queries of which history may have windows, by number.
pub(super) const HISTORY_QUERIES: TableDefinition<'static, u32, Bytes> =
    TableDefinition::new("history queries");

/// The files of history, by query and path.
pub(super) const HISTORY_FILES: TableDefinition<'static, (u32, &'static str), Bytes> =
    TableDefinition::new("history files");

/// Files that history does not need any more, by path, with the time since when, in nanoseconds since the epoch.
pub(super) const HISTORY_GARBAGE: TableDefinition<'static, &'static str, i64> =
    TableDefinition::new("history garbage");

/// Times of forgotten windows that all agents have reported in the end, by query, start and end.
pub(super) const HISTORY_COMPLETED: TableDefinition<'static, (u32, i64, i64), ()> =
    TableDefinition::new("history completed");

/// The time before which windows are not complete any more, since files were removed: by query.
pub(super) const HISTORY_HORIZONS: TableDefinition<'static, u32, i64> =
    TableDefinition::new("history horizons");
