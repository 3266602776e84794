//! What advice emits, from a thread's table to numbered reports.

pub mod drain;
pub(crate) mod fence;
pub mod fork;
pub(crate) mod group_table;
pub(crate) mod interner;
pub mod query_report;
pub mod reporter;
pub(crate) mod thread_slot;
pub(crate) mod thread_table;
