//! Text to a query with spans: tokens, clauses, expressions.

pub(crate) mod ast;
mod clause;
mod expr;
mod hint;
mod input;
mod parse;
mod pattern;
mod source;
mod tail;
pub(crate) mod token;

pub(crate) use parse::{Params, parse, unbalanced};
pub(crate) use {clause::clause_at, input::is_reserved};
