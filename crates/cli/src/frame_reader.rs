//! Reading the frames of a query over a connection that may break: a frontend that is started again goes on where it was,
//! and so does its reader.

use crate::error::CliError;
use crate::result_frame::ResultFrame;
use pivot_protocol::wire;
use pivot_protocol::wire::frontend_client::FrontendClient;
use pivot_protocol::wire::results_request::Wanted;
use std::time::{Duration, Instant};
use tonic::transport::Channel;
use tonic::{Code, Status, Streaming};

/// How long a frontend that has gone is waited for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// How long a reader waits before it tries again.
pub(crate) const RETRY_PAUSE: Duration = Duration::from_millis(200);

/// A position among the frames of one query.
pub(crate) struct FrameReader {
    client: FrontendClient<Channel>,
    query: u32,
    wanted: Wanted,
    /// The sequence of the frame that was read last.
    sequence: u64,
    /// The open stream; `None` before the first, and after one has broken.
    frames: Option<Streaming<wire::Frame>>,
    /// Whether no frame follows.
    ended: bool,
    /// Told, in words, that the frontend is waited for, and that it is back.
    notify: fn(&str),
}

impl FrameReader {
    /// Opens the frames of a query from the first that is kept. Fails if the frontend does not know the query.
    pub(crate) async fn open(
        client: FrontendClient<Channel>,
        query: u32,
        wanted: Wanted,
        notify: fn(&str),
    ) -> Result<FrameReader, CliError> {
        let (sequence, frames, ended) = (0, None, false);
        let mut reader = FrameReader { client, query, wanted, sequence, frames, ended, notify };
        reader.connect().await.map_err(|status| refused(&status))?;
        Ok(reader)
    }

    async fn connect(&mut self) -> Result<&mut Streaming<wire::Frame>, Status> {
        let (query, after_sequence) = (self.query, self.sequence);
        let request = wire::ResultsRequest { query, after_sequence, wanted: self.wanted.into() };
        let frames = self.client.results(request).await?.into_inner();
        Ok(self.frames.insert(frames))
    }

    /// Waits for the next frame, also while the frontend is away. Returns `None` behind the last one; an error is the last
    /// thing that the reader gives.
    pub(crate) async fn next(&mut self) -> Option<Result<ResultFrame, CliError>> {
        let mut away_since = None;
        while !self.ended {
            let problem = match self.try_next().await {
                Ok(Some(frame)) => {
                    if away_since.is_some() {
                        (self.notify)("the frontend is back");
                    }
                    (self.sequence, self.ended) = (frame.sequence, frame.last);
                    return Some(ResultFrame::from_wire(frame).map_err(CliError::from));
                }
                // A frontend that is stopped in order ends its streams without an error.
                Ok(None) => Status::unavailable("the frontend went away before the last results"),
                Err(status) => status,
            };

            self.frames = None;
            let is_over = away_since.is_some_and(|since: Instant| since.elapsed() >= PATIENCE);
            if is_over || !may_pass(&problem) {
                self.ended = true;
                return Some(Err(refused(&problem)));
            }
            if away_since.is_none() {
                away_since = Some(Instant::now());
                (self.notify)("the frontend does not answer: waiting for it");
            }
            tokio::time::sleep(RETRY_PAUSE).await;
        }
        None
    }

    async fn try_next(&mut self) -> Result<Option<wire::Frame>, Status> {
        match &mut self.frames {
            Some(frames) => frames.message().await,
            None => self.connect().await?.message().await,
        }
    }
}

/// Whether a problem may be over when the frontend is started again or the network is back.
pub(crate) fn may_pass(status: &Status) -> bool {
    matches!(status.code(), Code::Unavailable | Code::Unknown | Code::Cancelled)
}

fn refused(status: &Status) -> CliError {
    CliError::Frontend { action: "read results", reason: status.message().to_owned() }
}
