//! Names and types: a query whose every name is a column of a plan, or a list of what is wrong.
//!
//! ```text
//! AstQuery ─queries─▶ FROM, JOIN   sources, joins        members of stages, joins between them
//!                     LET, WHERE   expressions, typing   steps, over columns
//!                     e.field      fields                observed fields
//!                     SELECT ..    select_list           keys, aggregate states, columns of the result
//!                     EVERY ..     settings_clauses      how the query runs
//! ```
//!
//! Every file adds methods to `resolver`, which holds the state; `name_scope` says what names mean
//! meanwhile, `resolved_query` what comes out, and `work_budget` how much of it may.

mod aggregates;
mod expressions;
mod fields;
mod function_calls;
mod joins;
mod name_scope;
mod queries;
mod resolved_query;
mod resolver;
mod select_list;
mod settings_clauses;
mod sink_clause;
mod sources;
mod typing;
mod work_budget;

pub(crate) use queries::resolve;
pub(crate) use resolved_query::{ResolvedGroups, ResolvedQuery, ResolvedResult, RowValue, SECONDS, SortKey};
