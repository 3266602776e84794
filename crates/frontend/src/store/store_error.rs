//! Why the store cannot be opened, read or written.

use super::tables::FORMAT;
use std::path::{Path, PathBuf};
use tonic::Status;

/// Why the store cannot be opened or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// The directory cannot be made or entered.
    #[error("the data directory {} cannot be used: {source}", path.display())]
    Directory { path: PathBuf, source: std::io::Error },
    /// Another process has the file open.
    #[error("another pivot server uses the data directory {}; give this one a directory of its own", path.display())]
    InUse { path: PathBuf },
    /// A later version has written the file.
    #[error(
        "{} has format {found}, and this version reads format {FORMAT}: start the version that wrote it, or another \
         directory",
        path.display()
    )]
    NewerFormat { path: PathBuf, found: u32 },
    /// There is nothing that could be copied.
    #[error("the frontend keeps nothing: it was started with `--data none`")]
    NothingKept,
    /// The disk failed, and the file is not open at present.
    #[error("the frontend cannot store its state at present, so it cannot be copied: see `\\l`")]
    NotWritable,
    /// A fault of this program.
    #[error("the commit stopped with a panic")]
    Panicked,
    /// Reading or writing failed.
    #[error("{}: {source}", path.display())]
    Failed { path: PathBuf, source: Box<redb::Error> },
}

impl StoreError {
    /// Makes the error of a file.
    pub(super) fn failed(path: &Path, source: impl Into<redb::Error>) -> StoreError {
        StoreError::Failed { path: path.to_owned(), source: Box::new(source.into()) }
    }
}

impl From<StoreError> for Status {
    fn from(error: StoreError) -> Status {
        match error {
            // These say all that there is, and not that the frontend is away.
            StoreError::NothingKept | StoreError::NotWritable => {
                Status::failed_precondition(error.to_string())
            }
            error => Status::unavailable(format!("the frontend cannot store its state: {error}")),
        }
    }
}
