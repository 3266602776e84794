//! The lists that backslash commands show, one file for each kind of thing that is listed.

mod agents;
mod carriers;
mod command_lists;
mod history;
mod queries;
mod tracepoints;

pub(super) use agents::agents;
pub(super) use carriers::carriers;
pub(super) use command_lists::{commands, params};
pub(super) use history::history;
pub(super) use queries::{all_queries, one_query};
pub(super) use tracepoints::{fields, tracepoints};
