//! Where a frontend listens, and how long it waits and remembers.

use crate::history::HistoryOptions;
use crate::machine::{Machine, ThisMachine};
use crate::sql::SqlLimits;
use pivot_protocol::DEFAULT_PORT;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Where and how a frontend runs.
#[derive(Debug, Clone)]
pub struct FrontendOptions {
    /// The address that agents and clients connect to; port 0 takes any free port.
    pub listen: SocketAddr,
    /// The directory in which the frontend keeps queries, results and agents, so that it can be stopped or killed and
    /// started again; made if there is none. `None` keeps nothing. One frontend at a time uses a directory.
    pub data: Option<PathBuf>,
    /// How long after its end a window waits for an agent that does not report.
    pub grace: Duration,
    /// How many frames of each query are kept for clients that come or read late.
    pub keep_frames: usize,
    /// How long the frames of an uninstalled query are kept.
    pub keep_finished: Duration,
    /// How long a query that goes with its client stays when the client is not heard of; at least a second.
    pub client_grace: Duration,
    /// How long and where windows are kept after they have closed.
    pub history: HistoryOptions,
    /// The most connections of agents and clients together; fewer if the process may not open so many files.
    pub max_connections: usize,
    /// How much statements of SQL may take.
    pub sql: SqlLimits,
    /// The machine that it runs on: that of the process, unless it is simulated.
    pub machine: Arc<dyn Machine>,
}

impl Default for FrontendOptions {
    fn default() -> FrontendOptions {
        FrontendOptions {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, DEFAULT_PORT)),
            data: None,
            grace: Duration::from_secs(2),
            keep_frames: 300,
            keep_finished: Duration::from_secs(60),
            client_grace: Duration::from_secs(60),
            history: HistoryOptions::default(),
            max_connections: 20_000,
            sql: SqlLimits::default(),
            machine: Arc::new(ThisMachine),
        }
    }
}
