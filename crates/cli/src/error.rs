//! What the command can fail with. Each is printed on one line after `pivot: `.

use std::io;
use std::path::PathBuf;

/// Why the command ends with exit code 2.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CliError {
    /// No frontend answers at the address.
    #[error("no frontend at {address}: {reason}; start one with `pivot server`, or try `pivot demo`")]
    Unreachable {
        /// The address as given.
        address: String,
        /// What the transport said.
        reason: String,
    },
    /// The address is not a URI.
    #[error("`{0}` is not an address like http://127.0.0.1:7468")]
    Address(String),
    /// The frontend was reached, and refused or went away.
    #[error("cannot {action}: {reason}")]
    Frontend {
        /// What was asked of it.
        action: &'static str,
        /// What it said.
        reason: String,
    },
    /// A frontend could not be started here.
    #[error(transparent)]
    Start(#[from] pivot_frontend::FrontendError),
    /// The store of the demo failed.
    #[error("the store failed: {0}")]
    Store(#[from] pivot_store::StoreError),
    /// The store's processes did not show up as agents.
    #[error("{connected} of {expected} agents of the store connected; it did not start in time")]
    Agents {
        /// How many did.
        connected: usize,
        /// How many should.
        expected: usize,
    },
    /// A query does not compile; its diagnostics are on stderr already.
    #[error("{0} does not compile")]
    Query(String),
    /// Ctrl-C came twice.
    #[error("interrupted before the last results came")]
    Interrupted,
    /// A backslash command that does not exist, or not here.
    #[error("{0}")]
    Command(String),
    /// There was no statement in the text.
    #[error("{0} holds no statement")]
    NoStatement(String),
    /// One document was asked for, several queries were given.
    #[error("csv holds the rows of one query, and {0} were given; use --format ndjson")]
    OneQuery(usize),
    /// The queries ran, and no row came.
    #[error("nothing was reported: {0}")]
    Silent(String),
    /// A message of the frontend makes no sense.
    #[error("the frontend sent something else than this version understands: {0}")]
    Protocol(#[from] pivot_protocol::ProtocolError),
    /// A file cannot be read.
    #[error("cannot read {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file cannot be written.
    #[error("cannot write {path}: {source}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Files are not in their canonical layout.
    #[error("{0} would be laid out differently; run `pivot fmt` on it")]
    Layout(String),
    /// The terminal, a pipe or the system failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The line editor failed.
    #[error("the line editor failed: {0}")]
    Editor(String),
}

impl CliError {
    /// Whether the reader of the output has gone, which ends the work and is no failure.
    pub(crate) fn is_closed_pipe(&self) -> bool {
        matches!(self, CliError::Io(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}
