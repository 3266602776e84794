//! Reading the frames of a query over a connection that may break: a frontend that is started again goes on where it was,
//! and so does its reader.

use crate::error::CliError;
use crate::result_frame::ResultFrame;
use pivot_protocol::wire::frontend_client::FrontendClient;
use pivot_protocol::wire::results_request::Wanted;
use pivot_protocol::{STOPPING, wire};
use std::error::Error;
use std::time::{Duration, Instant};
use tonic::transport::Channel;
use tonic::{Code, Status, Streaming};

/// How long a frontend that has gone is waited for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// How long to wait before a frontend that has gone is tried again.
pub(crate) const RETRY_PAUSE: Duration = Duration::from_millis(200);

/// News of a query's results.
#[derive(Debug)]
pub(crate) enum FrameNews {
    /// The next frame has come.
    Frame(Box<ResultFrame>),
    /// The frontend is not there, and is waited for.
    Away(AwayReason),
    /// The frontend answers again.
    Back,
}

/// Why a frontend is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AwayReason {
    /// The frontend has said that it stops.
    Stopped,
    /// The frontend does not answer.
    Silent,
}

impl AwayReason {
    fn of(problem: &Status) -> AwayReason {
        if problem.metadata().contains_key(STOPPING) { AwayReason::Stopped } else { AwayReason::Silent }
    }

    /// Returns what to say while the frontend is waited for.
    pub(crate) fn notice(self) -> &'static str {
        match self {
            AwayReason::Stopped => "the frontend was stopped: waiting for it to come back",
            AwayReason::Silent => "the frontend does not answer: waiting for it",
        }
    }
}

/// A position among the frames of one query.
pub(crate) struct FrameReader {
    client: FrontendClient<Channel>,
    query: u32,
    wanted: Wanted,
    /// The sequence of the frame that was read last.
    sequence: u64,
    /// The open stream; `None` after one has broken.
    frames: Option<Streaming<wire::Frame>>,
    /// Since when no frame has come because the frontend was away; `None` while it is there.
    away_since: Option<Instant>,
    /// Whether that was told, and not that it is back.
    is_away: bool,
    /// Whether nothing follows.
    ended: bool,
}

impl FrameReader {
    /// Opens the frames of a query from the first that is kept. Fails if the frontend does not know the query.
    pub(crate) async fn open(
        client: FrontendClient<Channel>,
        query: u32,
        wanted: Wanted,
    ) -> Result<FrameReader, CliError> {
        let mut reader = FrameReader {
            client,
            query,
            wanted,
            sequence: 0,
            frames: None,
            away_since: None,
            is_away: false,
            ended: false,
        };
        reader.connect().await.map_err(|status| refused("read results", &status))?;
        Ok(reader)
    }

    async fn connect(&mut self) -> Result<(), Status> {
        let (query, after_sequence) = (self.query, self.sequence);
        let request = wire::ResultsRequest { query, after_sequence, wanted: self.wanted.into() };
        self.frames = Some(self.client.results(request).await?.into_inner());
        Ok(())
    }

    /// Waits for news, also while the frontend is away. Returns `None` behind the last frame; an error is the last thing
    /// that the reader gives.
    pub(crate) async fn next(&mut self) -> Option<Result<FrameNews, CliError>> {
        while !self.ended {
            let problem = match self.step().await {
                Ok(Some(news)) => return Some(news),
                Ok(None) => continue,
                Err(problem) => problem,
            };

            self.frames = None;
            let since = *self.away_since.get_or_insert_with(Instant::now);
            if !may_pass(&problem) || since.elapsed() >= PATIENCE {
                self.ended = true;
                return Some(Err(refused("read results", &problem)));
            }
            if !std::mem::replace(&mut self.is_away, true) {
                return Some(Ok(FrameNews::Away(AwayReason::of(&problem))));
            }
            tokio::time::sleep(RETRY_PAUSE).await;
        }
        None
    }

    /// Reads a frame or, without a stream, opens one, which is news if the frontend was away.
    async fn step(&mut self) -> Result<Option<Result<FrameNews, CliError>>, Status> {
        let Some(frames) = &mut self.frames else {
            self.connect().await?;
            let was_away = std::mem::take(&mut self.is_away);
            return Ok(was_away.then_some(Ok(FrameNews::Back)));
        };

        match frames.message().await? {
            Some(frame) => Ok(Some(self.take_in(frame))),
            // So do proxies, and frontends of earlier versions that are stopped in order.
            None => Err(Status::unavailable("it ended the stream before the last results")),
        }
    }

    fn take_in(&mut self, frame: wire::Frame) -> Result<FrameNews, CliError> {
        (self.sequence, self.ended, self.away_since) = (frame.sequence, frame.last, None);
        Ok(FrameNews::Frame(Box::new(ResultFrame::from_wire(frame)?)))
    }
}

/// Returns the error of a request that failed.
pub(crate) fn refused(action: &'static str, status: &Status) -> CliError {
    let reason = status.message().to_owned();
    if may_pass(status) {
        CliError::FrontendAway { action, reason }
    } else {
        CliError::Frontend { action, reason }
    }
}

/// Whether a problem may be over when the frontend is started again or the network is back.
fn may_pass(status: &Status) -> bool {
    // A status that the frontend has sent has no source: one that has is of the connection, whatever its code, as when a
    // frontend that stops resets a stream.
    let is_of_connection = status.source().is_some();
    is_of_connection || matches!(status.code(), Code::Unavailable | Code::Unknown | Code::Cancelled)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;
    use std::sync::Arc;

    #[test]
    fn a_connection_that_breaks_may_come_back_whatever_the_code() {
        let refused = Status::internal("the compiler panicked");
        let mut broken = Status::internal("h2 protocol error: http2 error");
        broken.set_source(Arc::new(io::Error::from(io::ErrorKind::BrokenPipe)));
        let stopped = Status::unavailable("the frontend stops");
        assert_eq!([&refused, &broken, &stopped].map(may_pass), [false, true, true]);
    }
}
