//! History: all windows of all queries, after they have closed, for as long as they are kept.
//!
//! ```text
//! closed window ─┐  WindowDelta       in the commit that       writer: after 5 minutes or 64 MiB,
//! late rows ─────┴──────────────▶ redb: history deltas ────────────────▶ Parquet file, then one transaction:
//!                                   │     shows the window              files + 1, deltas of it − n
//!                                   │                                     │
//!                                   └───────────────┬─────────────────────┘
//!                                                   ▼
//!                             reader: per window, the sum of its additions ──▶ SQL
//! ```

mod archive;
mod compaction;
mod delta_file;
mod delta_file_reader;
mod error;
mod file_store;
mod kept_query;
mod manifest;
mod options;
mod range_result;
mod reader;
mod retention;
mod state_column;
#[cfg(test)]
mod tests;
mod value_column;
mod value_types;
mod writer;

pub(crate) use archive::Archive;
pub(crate) use error::HistoryError;
pub(crate) use kept_query::KeptQuery;
pub use options::HistoryOptions;
pub(crate) use range_result::RangeSum;
pub(crate) use reader::{KeptWindow, WantedRevisions};
