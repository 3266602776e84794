//! Names and types: the query as it was written becomes columns, stages and blocks.

mod condition;
mod expr;
mod query;
mod scope;
mod select;
mod source;
mod typing;

pub(crate) use query::resolve;
pub(crate) use scope::{Column, Finish, Observed, Resolved, Step, Tracepoint};
