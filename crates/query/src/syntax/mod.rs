//! Text to a query with spans: tokens, clauses, expressions.

pub(crate) mod ast;
mod clauses;
mod expressions;
mod hints;
mod name_pattern;
mod parser;
mod result_clauses;
mod sources;
mod token_stream;

pub(crate) use parser::{Params, parse, unbalanced};
pub(crate) use {clauses::clause_at, token_stream::is_reserved};
