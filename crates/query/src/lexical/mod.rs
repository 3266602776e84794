//! Query text as tokens: the lexer, and the tables of the words that mean something.
//!
//! ```text
//! text ─lexer─▶ tokens ─┬─▶ syntax      the parser
//!                       ├─▶ formatter   `pivot fmt`
//!                       ├─▶ statements  where statements end
//!                       └─▶ classes     colours and completion of a line being typed
//! ```

mod functions;
mod keywords;
mod lexer;
mod number;
mod statements;
mod token;
mod token_classes;

pub use functions::{FunctionEntry, FunctionKind, functions};
pub(crate) use functions::{FunctionMeaning, SpecialAggregate, aggregate_function, count_distinct, function};
pub(crate) use keywords::{ClauseKind, KeywordReservation, is_contextual, is_keyword, is_reserved};
pub use keywords::{KEYWORDS, Keyword};
pub(crate) use lexer::tokens;
pub use statements::{StatementText, is_complete, statements};
pub(crate) use token::{TextSpan, Token, TokenKind};
pub use token_classes::{ClassifiedToken, TokenClass, classify};
