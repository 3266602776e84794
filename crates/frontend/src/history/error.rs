//! Why history cannot be written or read.

use crate::store::StoreError;

/// Why history cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HistoryError {
    /// The place where files are kept does not answer.
    #[error("the files of history cannot be used: {0}")]
    Files(#[from] datafusion::object_store::Error),
    /// A file was written, and is perhaps not on disk.
    #[error("a file of history may not be on disk: {path}: {source}")]
    NotSynced {
        /// Its path.
        path: String,
        /// The error of the system.
        source: std::io::Error,
    },
    /// A file is not what it was written as.
    #[error("a file of history cannot be read: {0}")]
    Damaged(String),
    /// The tables of history cannot be read or written.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// A fault of this program.
    #[error("a task of history stopped with a panic")]
    Panicked,
    /// Files cannot be kept where the settings say.
    #[error("history cannot be kept in {location}: {reason}")]
    Location {
        /// The directory or the URL.
        location: String,
        /// The fault of the place.
        reason: String,
    },
}

impl HistoryError {
    /// Makes the error of a file that is not what it was written as.
    pub(super) fn damaged(what: impl Into<String>) -> HistoryError {
        HistoryError::Damaged(what.into())
    }

    /// Names the file that an error is about.
    pub(super) fn of_file(self, path: &str) -> HistoryError {
        match self {
            HistoryError::Damaged(what) => HistoryError::Damaged(format!("{path}: {what}")),
            other => other,
        }
    }
}

impl From<datafusion::parquet::errors::ParquetError> for HistoryError {
    fn from(error: datafusion::parquet::errors::ParquetError) -> HistoryError {
        HistoryError::damaged(error.to_string())
    }
}

impl From<datafusion::arrow::error::ArrowError> for HistoryError {
    fn from(error: datafusion::arrow::error::ArrowError) -> HistoryError {
        HistoryError::damaged(error.to_string())
    }
}
