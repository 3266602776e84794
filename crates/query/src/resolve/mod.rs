//! Names and types: a query whose every name is a column of a plan, or a list of what is wrong.

pub(crate) mod aggregates;
mod expressions;
mod fields;
mod joins;
mod name_scope;
mod resolver;
mod run_settings;
mod select_list;
mod sources;
mod typing;

pub(crate) use name_scope::{ResolvedGroups, ResolvedResult, SECONDS};
pub(crate) use resolver::{ResolvedQuery, resolve};
