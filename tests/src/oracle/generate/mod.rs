//! Random queries and runs, well-formed by construction: what is made here must compile.

pub(crate) mod expressions;
mod generator;
pub(crate) mod queries;
pub(crate) mod scenarios;
mod select_clauses;
