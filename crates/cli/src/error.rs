//! Why the command can fail. Each error is printed on one line after `pivot: `.

use pivot_protocol::FrontendAddressError;
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
        /// The reason that the transport gave.
        reason: String,
    },
    /// No frontend can be reached at such an address.
    #[error("cannot use the frontend's address `{address}`: {reason}")]
    InvalidAddress {
        /// The address as given.
        address: String,
        /// Why the address cannot be used.
        reason: FrontendAddressError,
    },
    /// The frontend was reached, and refused or went away.
    #[error("cannot {action}: {reason}")]
    Frontend {
        /// The request that failed, as in `install the query`.
        action: &'static str,
        /// The reason that it gave.
        reason: String,
    },
    /// The frontend was reached before, and does not answer now.
    #[error("cannot {action}: the frontend does not answer ({reason})")]
    FrontendAway {
        /// The request that failed, as in `install the query`.
        action: &'static str,
        /// The reason that the transport gave.
        reason: String,
    },
    /// A frontend could not be started here.
    #[error(transparent)]
    StartFrontend(#[from] pivot_frontend::FrontendError),
    /// There is no home directory to keep data in.
    #[error(
        "there is no home directory to keep queries and results in: give one with `--data DIRECTORY`, or keep nothing \
         with `--data none`"
    )]
    NoDataDirectory,
    /// The processes of the demo failed.
    #[error("the store failed: {0}")]
    DemoStore(#[from] pivot_store::StoreError),
    /// The store's processes did not show up as agents.
    #[error("{connected} of {expected} agents of the store connected; it did not start in time")]
    AgentsMissing {
        /// How many agents connected.
        connected: usize,
        /// How many agents the store has.
        expected: usize,
    },
    /// A query does not compile. Its diagnostics are on standard error already.
    #[error("{0} does not compile")]
    DoesNotCompile(String),
    /// Ctrl-C came twice.
    #[error("interrupted before the last results came")]
    Interrupted,
    /// A backslash command that does not exist, or cannot be used here.
    #[error("{0}")]
    Command(String),
    /// There was no statement in the text.
    #[error("{0} holds no statement")]
    NoStatement(String),
    /// CSV has one header, and several queries were given.
    #[error("csv holds the rows of one query, and {0} were given; use --format ndjson")]
    CsvOfSeveralQueries(usize),
    /// The queries ran, and no agent took part.
    #[error("nothing was reported: {0}")]
    NothingReported(String),
    /// A message of the frontend cannot be understood.
    #[error("the frontend sent something else than this version understands: {0}")]
    Protocol(#[from] pivot_protocol::ProtocolError),
    /// A file of settings is wrong.
    #[error("{}:{line}: {problem}", path.display())]
    Config {
        /// Its path.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The mistake in that line.
        problem: String,
    },
    /// A file cannot be read.
    #[error("cannot read {path}: {source}")]
    ReadFile {
        /// Its path.
        path: PathBuf,
        /// The reason that the system gave.
        source: io::Error,
    },
    /// A file cannot be written.
    #[error("cannot write {path}: {source}")]
    WriteFile {
        /// Its path.
        path: PathBuf,
        /// The reason that the system gave.
        source: io::Error,
    },
    /// Files are not in their canonical layout.
    #[error("{0} would be laid out differently; run `pivot fmt` on it")]
    NotFormatted(String),
    /// The terminal, a pipe or the system failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The line editor failed.
    #[error("the line editor failed: {0}")]
    LineEditor(String),
}

impl CliError {
    /// Returns whether the reader of the output has gone, as with `| head`. That ends the work and is no failure.
    pub(crate) fn is_closed_pipe(&self) -> bool {
        matches!(self, CliError::Io(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}
