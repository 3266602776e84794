//! Query text as tokens and as statements.

mod lexer;
mod statements;

pub(crate) use lexer::{Token, TokenKind, tokens};
pub use statements::{Statement, is_complete, statements};
