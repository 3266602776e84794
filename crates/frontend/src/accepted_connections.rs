//! Accepts connections, as many as this process has files for.
//!
//! ```text
//! open files   ├──────────────── served ────────────────┤── refused ──┤── reserved ──┤
//!                agents and clients                       told so, 2 s   disk, and others
//! ```
//!
//! A connection beyond the limit is told so: its first call is refused with the reason. Beyond a few of those at
//! once, connections are closed as they come.

use crate::guarded_connection::{ConnectionRoom, GuardedConnection, OpenConnection, RequestConnection};
use crate::open_files;
use futures::stream::{Stream, StreamExt, unfold};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tonic::{Request, Status};
use tracing::warn;

/// Files that are left for anything but connections.
const RESERVED_FILES: usize = 64;

/// The most connections at once that are told that there are too many.
const MAX_REFUSED: usize = 32;

/// How long nothing is accepted after a failure.
const PAUSE: Duration = Duration::from_millis(100);

/// How often it is said that connections are refused.
const NOTICE: Duration = Duration::from_secs(10);

/// Returns how many connections are served at once, if no more than `most` are wanted: as many as files may be open.
pub(crate) fn room(most: usize) -> usize {
    most.min(open_files::raise_limit().saturating_sub(RESERVED_FILES + MAX_REFUSED)).max(1)
}

/// How many connections are open.
#[derive(Debug, Clone, Default)]
pub(crate) struct ConnectionCounts {
    served: Arc<AtomicUsize>,
    refused: Arc<AtomicUsize>,
}

impl ConnectionCounts {
    /// Returns the number of connections that are served.
    pub(crate) fn served(&self) -> usize {
        self.served.load(Ordering::Relaxed)
    }

    /// Returns the number of connections that are being told that there are too many.
    pub(crate) fn refused(&self) -> usize {
        self.refused.load(Ordering::Relaxed)
    }
}

/// Counts the connections that come.
struct Acceptor<L> {
    /// All connections that come, and why others did not.
    coming: L,
    /// The most connections that are served.
    most: usize,
    counts: ConnectionCounts,
    /// When it was last said that connections are refused.
    noticed: Option<Instant>,
}

/// Returns all connections that come, at most so many of them served at once, and counts them.
pub(crate) fn accept<S>(
    coming: impl Stream<Item = io::Result<S>>,
    most: usize,
    counts: ConnectionCounts,
) -> impl Stream<Item = io::Result<GuardedConnection<S>>> {
    let acceptor = Acceptor { coming: Box::pin(coming), most, counts, noticed: None };
    unfold(acceptor, |mut acceptor| async move {
        let connection = acceptor.next().await?;
        Some((Ok(connection), acceptor))
    })
}

impl<S, L: Stream<Item = io::Result<S>> + Unpin> Acceptor<L> {
    async fn next(&mut self) -> Option<GuardedConnection<S>> {
        loop {
            let stream = match self.coming.next().await? {
                Ok(stream) => stream,
                Err(error) => {
                    // A connection that has gone again is nobody's trouble; without a file it is everybody's.
                    self.say(&format!("connections cannot be accepted: {error}"));
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            };

            if self.counts.served() < self.most {
                let open = OpenConnection::new(&self.counts.served);
                return Some(GuardedConnection::new(stream, ConnectionRoom::Served, open));
            }
            self.say(&format!("connections are refused: {} are open, and no more may be", self.most));
            if self.counts.refused() < MAX_REFUSED {
                let open = OpenConnection::new(&self.counts.refused);
                return Some(GuardedConnection::new(stream, ConnectionRoom::Refused, open));
            }
        }
    }

    /// Says what is wrong, once in a while.
    fn say(&mut self, what: &str) {
        if self.noticed.is_none_or(|at| at.elapsed() >= NOTICE) {
            self.noticed = Some(Instant::now());
            warn!("{what}");
        }
    }
}

/// Refuses the calls of a connection for which there is no room.
pub(crate) fn refuse_surplus(request: Request<()>) -> Result<Request<()>, Status> {
    match request.extensions().get::<RequestConnection>() {
        Some(RequestConnection { room: ConnectionRoom::Refused, .. }) => {
            let wrong =
                "the frontend has as many connections as it takes: see its limit of open files (ulimit -n)";
            Err(Status::resource_exhausted(wrong))
        }
        _ => Ok(request),
    }
}

/// Lets the call of a client keep its connection open, unless there is no room.
pub(crate) fn engage(request: Request<()>) -> Result<Request<()>, Status> {
    let request = refuse_surplus(request)?;
    if let Some(connection) = request.extensions().get::<RequestConnection>() {
        connection.engage();
    }
    Ok(request)
}
