//! The lists that backslash commands show, one file for each kind of thing that is listed.

mod agents;
mod queries;
mod session_lists;
mod tracepoints;

pub(super) use agents::agents;
pub(super) use queries::{all_queries, one_query};
pub(super) use session_lists::{commands, params};
pub(super) use tracepoints::{fields, tracepoints};
