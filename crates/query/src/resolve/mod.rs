//! Names and types: a query whose every name is a column of a plan, or a list of what is wrong.

mod aggregate;
mod condition;
mod expr;
mod field;
mod join;
mod query;
mod scope;
mod select;
mod source;
mod tail;
mod typing;

pub(crate) use aggregate::is_aggregate;
pub(crate) use query::{Resolved, resolve};
pub(crate) use scope::{Grouped, Result};
pub(crate) use select::SECONDS;
