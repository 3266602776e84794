//! Names and types: a query whose every name is a column of a plan, or a list of what is wrong.

pub(crate) mod aggregate;
mod expr;
mod field;
mod join;
mod query;
mod scope;
mod select;
mod source;
mod tail;
mod typing;

pub(crate) use query::{Resolved, resolve};
pub(crate) use scope::{Grouped, Result, SECONDS};
