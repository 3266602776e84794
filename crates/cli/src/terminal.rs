//! Whether there is a terminal, how large it is, and what stands in for its size where there is none.

use std::io::{self, IsTerminal};

/// The width for diagnostics in a file or a pipe: lines are not cut there, within reason.
pub(crate) const UNCUT_COLUMNS: usize = 160;

/// The size of a terminal in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TerminalSize {
    pub(crate) columns: usize,
    pub(crate) rows: usize,
}

/// Returns whether a person sits at both standard input and standard output.
pub(crate) fn is_interactive() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

/// Returns the size of the terminal, or the classic 80 × 24 if it does not tell.
pub(crate) fn size() -> TerminalSize {
    let (columns, rows) = crossterm::terminal::size().unwrap_or((80, 24));
    TerminalSize { columns: columns.into(), rows: rows.into() }
}

/// Returns the width of standard output, or `None` if that is no terminal and nothing is to be cut.
pub(crate) fn stdout_columns() -> Option<usize> {
    io::stdout().is_terminal().then(|| size().columns)
}

/// Returns the width of standard error, or [`UNCUT_COLUMNS`] if that is no terminal.
pub(crate) fn stderr_columns() -> usize {
    if io::stderr().is_terminal() { size().columns } else { UNCUT_COLUMNS }
}
