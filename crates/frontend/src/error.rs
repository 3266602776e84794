//! Why a frontend does not start.

use std::net::SocketAddr;

/// Why a frontend cannot run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FrontendError {
    /// The address is taken, or does not belong to this host.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address that it should listen on.
        address: SocketAddr,
        /// The error of the system.
        source: std::io::Error,
    },
    /// The data directory cannot be used.
    #[error("{reason}")]
    Data {
        /// The fault of the directory, and what to do.
        reason: String,
    },
    /// The threads on which SQL is answered cannot be started.
    #[error("SQL cannot be answered: {reason}")]
    Sql {
        /// The reason that the system gave.
        reason: String,
    },
}
