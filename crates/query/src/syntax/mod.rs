//! Tokens to a query with spans. What does not parse is reported and left out.
//!
//! ```text
//! tokens ─parser─▶ clause by clause ─┬─ sources, name_pattern   FROM, JOIN, WITH
//!          (clauses)                 ├─ expressions             LET, WHERE, GROUP BY, SELECT, HAVING
//!                                    └─ trailing_clauses        ORDER BY to INTO
//! ```

pub(crate) mod ast;
mod clause_kind;
mod clauses;
mod expressions;
mod hints;
mod name_pattern;
mod parser;
mod sources;
mod token_stream;
mod trailing_clauses;

pub(crate) use clause_kind::{clause_at, misspelt_clause};
pub(crate) use parser::{Params, parse, unbalanced};
