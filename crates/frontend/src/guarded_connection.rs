//! A connection that is closed if nobody asks anything on it.
//!
//! ```text
//! accepted ──── no request within 15 s ────▶ closed
//!     └─ first hello or call ─▶ engaged: stays open, also while nothing is asked
//! ```

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;
use tonic::transport::server::Connected;

/// How long a connection may be open before anything is asked on it.
const UNASKED: Duration = Duration::from_secs(15);

/// How long a connection beyond the limit is open: it has one call, which is refused.
const REFUSED: Duration = Duration::from_secs(2);

/// Whether there is room for a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConnectionRoom {
    /// It is served.
    Served,
    /// There are too many: its calls are refused, and it is closed.
    Refused,
}

/// A connection as services see it, among the extensions of each request.
#[derive(Debug, Clone)]
pub(crate) struct RequestConnection {
    pub(crate) room: ConnectionRoom,
    is_engaged: Arc<AtomicBool>,
}

impl RequestConnection {
    /// Notes that somebody has asked something, so that the connection stays.
    pub(crate) fn engage(&self) {
        self.is_engaged.store(true, Ordering::Relaxed);
    }
}

/// Counts a connection for as long as it is open.
#[derive(Debug)]
pub(crate) struct OpenConnection(Arc<AtomicUsize>);

impl OpenConnection {
    /// Counts one more.
    pub(crate) fn new(count: &Arc<AtomicUsize>) -> OpenConnection {
        count.fetch_add(1, Ordering::Relaxed);
        OpenConnection(count.clone())
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// An accepted connection.
#[derive(Debug)]
pub(crate) struct GuardedConnection<S> {
    stream: S,
    info: RequestConnection,
    /// When it is closed, unless it is engaged before.
    deadline: Option<Pin<Box<Sleep>>>,
    _open: OpenConnection,
}

impl<S> GuardedConnection<S> {
    /// Guards a connection from now on.
    pub(crate) fn new(stream: S, room: ConnectionRoom, open: OpenConnection) -> GuardedConnection<S> {
        let time = if room == ConnectionRoom::Served { UNASKED } else { REFUSED };
        GuardedConnection {
            stream,
            info: RequestConnection { room, is_engaged: Arc::default() },
            deadline: Some(Box::pin(tokio::time::sleep(time))),
            _open: open,
        }
    }

    /// Whether the time is over in which something should have been asked.
    fn is_over(&mut self, context: &mut Context<'_>) -> bool {
        let Some(deadline) = &mut self.deadline else { return false };
        if !deadline.as_mut().poll(context).is_ready() {
            return false;
        }

        let is_engaged = self.info.is_engaged.load(Ordering::Relaxed);
        if is_engaged && self.info.room == ConnectionRoom::Served {
            self.deadline = None;
        }
        self.deadline.is_some()
    }
}

impl<S> Connected for GuardedConnection<S> {
    type ConnectInfo = RequestConnection;

    fn connect_info(&self) -> RequestConnection {
        self.info.clone()
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for GuardedConnection<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // An error ends the connection whatever is on its way; an end of the stream would wait for the other side.
        if self.is_over(context) {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for GuardedConnection<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
