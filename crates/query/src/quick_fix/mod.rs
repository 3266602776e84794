//! What to write instead of a text that does not compile.
//!
//! ```text
//! diagnostics ─┬─ those that carry edits already: typos of names, arrows that point the wrong way
//!              └─ quick fixes found in the tokens: text in double quotes, SQL's FROM, other languages' functions
//!                        │
//!                        ▼ mend: apply the edits, compile, look again at what is still wrong
//!              diagnostics with hints, one of them with the whole query, if that compiles
//! ```
//!
//! A quick fix never makes a diagnostic of its own: it says more about one that is there. So a text that
//! compiles is never looked at, and nothing here can refuse a query.

mod arrows;
mod clauses;
mod comma_sources;
mod conditions;
mod fix;
mod foreign_functions;
mod foreign_joins;
mod foreign_sources;
mod keyword_names;
mod known_fixes;
mod mend;
mod nested_queries;
mod operators;
mod other_languages;
mod parameters;
mod pipelines;
mod points_in_time;
mod quotes;
mod select_names;
mod units;
mod written_query;

pub(crate) use mend::mend;
