//! What the REPL itself knows: its commands (`\?`) and the values of `$name` (`\set`).

use crate::params::{QueryParams, listed_value};
use crate::repl::commands::COMMANDS;
use crate::table::TextTable;

/// Returns the values of `$name`.
pub(in crate::repl) fn params(found: &QueryParams) -> TextTable {
    let mut table = TextTable::with_headings(&["!name", "value"]);
    for (name, value) in found {
        table.push([format!("${name}").into(), listed_value(value).into()]);
    }
    table
}

/// Returns the backslash commands with their arguments and meaning.
pub(in crate::repl) fn commands() -> TextTable {
    let mut table = TextTable::with_headings(&["!command", "what it does"]);
    for command in COMMANDS {
        let usage = format!("{} {}", command.name, command.argument);
        table.push([usage.trim_end().into(), command.meaning.into()]);
    }
    table
}
