//! Where a frontend listens, and how long it waits and remembers.

use pivot_protocol::DEFAULT_PORT;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

/// Where and how a frontend runs.
#[derive(Debug, Clone)]
pub struct FrontendOptions {
    /// Where agents and clients connect.
    pub listen: SocketAddr,
    /// How long after its end a window waits for an agent that does not report.
    pub grace: Duration,
    /// How many frames of each query are kept for clients that come or read late.
    pub keep_frames: usize,
    /// How long the frames of an uninstalled query are kept.
    pub keep_finished: Duration,
}

impl Default for FrontendOptions {
    fn default() -> FrontendOptions {
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, DEFAULT_PORT));
        let (grace, keep_finished) = (Duration::from_secs(2), Duration::from_secs(60));
        FrontendOptions { listen, grace, keep_frames: 300, keep_finished }
    }
}
