//! [`StoreError`]: what can go wrong in the store.

use std::path::{Path, PathBuf};

use tonic::{Code, Status};

/// Why an operation, or a process of the store, failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A role that does not exist was named.
    #[error("no role {0}: namenode, datanode, load, get, scan, sort and stress exist")]
    Role(String),
    /// The peer's address cannot be part of a URI.
    #[error("{address} is not an address of the form host:port")]
    Address {
        /// The text that was given as address.
        address: String,
    },
    /// The name node knows no such file.
    #[error("no file {0}")]
    NotFound(String),
    /// A peer refused the call or could not be reached.
    #[error("{peer}: {status}")]
    Rpc {
        /// Host or address of the peer.
        peer: String,
        /// The status that the call returned.
        status: Box<Status>,
    },
    /// No live replica delivered the whole block.
    #[error("block {block} of {path} cannot be read from any of {replicas} replicas")]
    Unreadable {
        /// The file.
        path: String,
        /// The block.
        block: u64,
        /// How many replicas were tried.
        replicas: usize,
    },
    /// No data node took the block.
    #[error("no data node stored a block of {0}")]
    Unwritable(String),
    /// A file or folder on the local disk failed.
    #[error("{path}: {source}")]
    Disk {
        /// The file or folder.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// A server could not listen or serve.
    #[error("{0} cannot serve: {1}")]
    Serve(String, String),
    /// A supervised process did not become ready.
    #[error("{name} is not ready: {reason}")]
    NotReady {
        /// Host name of the process.
        name: String,
        /// The reason, with the end of its log.
        reason: String,
    },
    /// The start of a cluster was interrupted.
    #[error("interrupted")]
    Interrupted,
    /// The agent of this process could not start.
    #[error("agent of {0} does not start: {1}")]
    Agent(String, String),
}

impl StoreError {
    /// Makes the error of a call that a peer refused or did not answer.
    pub(crate) fn rpc(peer: &str, status: Status) -> StoreError {
        StoreError::Rpc { peer: peer.to_owned(), status: Box::new(status) }
    }

    /// Makes the error of a file or folder.
    pub(crate) fn disk(path: &Path, source: std::io::Error) -> StoreError {
        StoreError::Disk { path: path.to_owned(), source }
    }

    /// Returns what went wrong in a few words that do not differ from one time to the next, so that queries
    /// can group by them.
    pub(crate) fn reason(&self) -> String {
        match self {
            StoreError::Rpc { status, .. } => status.code().description().to_owned(),
            other => other.to_string(),
        }
    }

    /// Returns whether the same call may succeed a little later.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            StoreError::Rpc { status, .. } => {
                matches!(
                    status.code(),
                    Code::Unavailable | Code::DeadlineExceeded | Code::Unknown | Code::Cancelled
                )
            }
            StoreError::Unreadable { .. } | StoreError::Unwritable(_) => true,
            _ => false,
        }
    }
}
