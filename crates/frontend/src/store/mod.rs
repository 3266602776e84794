//! The durable state of the frontend: one file of tables in the data directory, written in group commits.
//!
//! ```text
//! FrontendState ──advance──▶ StateChanges ──commit, fsync──▶ tables ──open──▶ StoredState ──▶ FrontendState
//!      every 50 ms           what changed since              pivot.redb        after a restart
//!                            the commit before
//! ```
//!
//! The rows of a window are stored as the differences that the commits brought, so that a commit costs what has changed
//! and not what there is. From time to time an open window is written as a whole, and the result since install takes up
//! windows that are forgotten: both replace what they contain.

mod backup;
mod database;
mod history_changes;
mod history_records;
mod history_tables;
mod load;
mod output_record;
mod records;
mod state_changes;
mod store_error;
mod stored_rows;
mod tables;

pub(crate) use database::Store;
pub(crate) use history_changes::{DeltaKey, FileKey, HistoryChanges};
pub(crate) use history_records::{HistoryFileRecord, HistoryQueryRecord, WindowDeltaRecord};
pub(crate) use history_tables::HistorySnapshot;
pub(crate) use load::{StoredAgent, StoredDeparture, StoredQuery, StoredState, StoredWindow};
pub(crate) use output_record::OutputRecord;
pub(crate) use records::{
    AgentProgress, AgentRecord, ClockRecord, DepartedRecord, FrontendRecord, IncompleteRangeRecord,
    MeasuredRecord, QueryRecord, RemovalRecord, ResultRecord, WindowRecord,
};
pub(crate) use state_changes::{
    ChangedAgent, ChangedRows, FoldedTotal, HistoryNews, StateChanges, StoredRowsKey,
};
pub(crate) use store_error::StoreError;
