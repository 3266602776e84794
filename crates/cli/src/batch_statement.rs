//! A statement among those that are run without a REPL.

use crate::input::{InputQuery, InputSource};

/// A query to install, with the text that its diagnostics point into.
pub(crate) struct BatchStatement<'a> {
    pub(crate) input: &'a InputSource,
    pub(crate) statement: InputQuery,
}
