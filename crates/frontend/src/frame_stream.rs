//! A client's stream of frames: it pulls kept frames by sequence and computes their rows.
//!
//! The stream holds a position and no frames, so a slow client waits at the query's kept frames and has no
//! buffer of its own; and nothing is computed that nobody reads.

use crate::client_wire;
use crate::frame_room::ReservedRoom;
use crate::kept_frames::{Frame, FrameSelection};
use crate::shared_state::SharedState;
use datafusion::error::DataFusionError;
use pivot_protocol::{STOPPING, wire};
use std::sync::Arc;
use tokio::sync::watch;
use tonic::Status;
use tonic::metadata::MetadataValue;

/// The stream of a query's frames to one client, as a position among the kept frames. Counts as a reader of the query until it is dropped.
pub(crate) struct FrameStream {
    shared: Arc<SharedState>,
    /// The number of the query.
    query: u32,
    /// The sequence of the frame that was read last.
    sequence: u64,
    selection: FrameSelection,
    /// Changes when there are new frames.
    changed: watch::Receiver<u64>,
    stopping: watch::Receiver<bool>,
    /// Whether the stream has ended.
    ended: bool,
    /// The room of the frame that is on its way: it is asked for the next one when that is sent.
    sending: Option<ReservedRoom>,
}

/// The next step of a reader.
enum FramePollOutcome {
    /// A frame is kept that the reader has not read.
    Ready(Frame),
    /// All frames so far are read.
    NotYet,
    /// All frames that there will be are read.
    End,
    /// The query is forgotten, and frames that were not read with it.
    Forgotten,
}

impl FrameStream {
    /// Opens a stream of a query's frames behind a sequence, or returns `None` if there is no such query.
    pub(crate) fn open(
        shared: &Arc<SharedState>,
        query: u32,
        after_sequence: u64,
        selection: FrameSelection,
    ) -> Option<FrameStream> {
        let mut state = shared.lock();
        let found = state.query_mut(query)?;
        found.readers += 1;

        // A frontend that was restored from a backup may not have come that far.
        let sequence = if after_sequence > found.frames.sequence() { 0 } else { after_sequence };
        Some(FrameStream {
            shared: shared.clone(),
            query,
            sequence,
            selection,
            changed: found.frames.subscribe(),
            stopping: shared.stopping(),
            ended: false,
            sending: None,
        })
    }

    /// Waits for the next frame. Returns `None` behind the last frame; an error is the last thing that the stream gives, also
    /// when the frontend stops.
    pub(crate) async fn next(&mut self) -> Option<Result<wire::Frame, Status>> {
        self.sending = None;
        while !self.ended {
            match self.look_up() {
                FramePollOutcome::Ready(frame) => {
                    self.sequence = frame.sequence;
                    let slot = self.shared.frame_slot().await;
                    let mut computed = compute(&self.shared, frame).await;
                    self.ended = computed.as_ref().map_or(true, |frame| frame.last);
                    self.sending = computed.as_mut().ok().map(|frame| self.shared.frame_room.fit(frame));
                    drop(slot);
                    return Some(computed);
                }

                FramePollOutcome::End => return None,

                FramePollOutcome::Forgotten => {
                    self.ended = true;
                    let gone =
                        format!("query {} is gone, and its last frames are no longer kept", self.query);
                    return Some(Err(Status::data_loss(gone)));
                }

                FramePollOutcome::NotYet => tokio::select! {
                    biased;
                    changed = self.changed.changed() => changed.ok()?,
                    _ = self.stopping.wait_for(|stop| *stop) => {
                        self.ended = true;
                        return Some(Err(stopping()));
                    }
                },
            }
        }
        None
    }

    fn look_up(&self) -> FramePollOutcome {
        let state = self.shared.lock();
        let Some(query) = state.query(self.query) else { return FramePollOutcome::Forgotten };
        match query.frames.next_after(self.sequence, self.selection) {
            Some(frame) => FramePollOutcome::Ready(frame),
            None if query.has_ended() => FramePollOutcome::End,
            None => FramePollOutcome::NotYet,
        }
    }
}

/// Computes and encodes a frame where other streams need not wait for it.
pub(crate) async fn compute(shared: &SharedState, frame: Frame) -> Result<wire::Frame, Status> {
    let engine = shared.engine();
    let (query, sequence) = (frame.query, frame.sequence);
    let computation = shared.blocking_work().run_future(async move {
        let computed = frame.compute(&engine).await?;
        Ok::<_, DataFusionError>(client_wire::frame(&computed))
    });

    // A panic of the computation ends this stream alone, and is told like any other failure.
    let why = match computation.await {
        Ok(Ok(frame)) => return Ok(frame),
        Ok(Err(error)) => error.to_string(),
        Err(stopped) => stopped.to_string(),
    };
    Err(Status::internal(format!("frame {sequence} of query {query} cannot be computed: {why}")))
}

/// Returns the error by which readers know that the frontend has not vanished, and goes on when it is started again.
fn stopping() -> Status {
    let mut status = Status::unavailable("the frontend stops");
    status.metadata_mut().insert(STOPPING, MetadataValue::from_static("1"));
    status
}

impl Drop for FrameStream {
    fn drop(&mut self) {
        if let Some(query) = self.shared.lock().query_mut(self.query) {
            query.readers = query.readers.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::agent_report::DecodedQueryReport;
    use crate::compilation::CompiledQuery;
    use crate::machine::ThisMachine;
    use crate::select::SelectEngine;
    use crate::server_clock::ServerClock;
    use crate::state::FrontendState;
    use crate::store::Store;
    use crate::time_range::TimeRange;
    use pivot_advice::{Groups, Value};
    use pivot_query::{Catalog, CompileOptions};

    fn install(shared: &SharedState, text: &str) -> u32 {
        let mut state = shared.lock();
        let snapshot = state.compile_snapshot();
        let program = pivot_query::compile(text, &Catalog::default()).unwrap();
        let compiled = CompiledQuery::new(snapshot.next_id, program, CompileOptions::default(), 0);
        state.install("", compiled, 1).number
    }

    /// Merges a report with one group into the first window of a query, and closes the window.
    fn close_a_window(shared: &SharedState, query: u32) {
        let mut state = shared.lock();
        let found = state.query_mut(query).unwrap();

        let mut groups = Groups::new(1, &[]);
        groups.entry(&[Value::U64(1)]).n = 1;
        let window = TimeRange { start_ns: 0, end_ns: 1_000_000_000 };
        let mut part = DecodedQueryReport::of(found.definition.id, Some(&groups));
        found.merge_report(1, window, &mut part);
        state.tick(i64::MAX);
    }

    #[tokio::test]
    async fn a_frame_that_cannot_be_computed_is_an_error_that_the_reader_sees() {
        let shared = SharedState::new(
            FrontendState::new(&crate::FrontendOptions::default(), 1),
            Arc::new(Store::none()),
            None,
            ServerClock::start(Arc::new(ThisMachine), None),
        );
        let shared = Arc::new(shared.with_engine(SelectEngine::without_memory()));
        let query = install(&shared, "FROM t IN T GROUP BY t.x SELECT t.x ORDER BY COUNT");
        close_a_window(&shared, query);

        let mut reader = FrameStream::open(&shared, query, 0, FrameSelection::All).unwrap();
        let error = reader.next().await.unwrap().unwrap_err();
        assert_eq!(error.code(), tonic::Code::Internal);
        assert!(error.message().contains("frame 1 of query 1 cannot be computed"), "{error}");
        assert!(reader.next().await.is_none());
    }

    #[tokio::test]
    async fn who_comes_too_late_for_the_last_frames_is_told() {
        const HOUR: i64 = 3_600_000_000_000;
        let shared = Arc::new(SharedState::new(
            FrontendState::new(&crate::FrontendOptions::default(), 1),
            Arc::new(Store::none()),
            None,
            ServerClock::start(Arc::new(ThisMachine), None),
        ));
        let query = install(&shared, "FROM t IN T SELECT COUNT");
        let mut reader = FrameStream::open(&shared, query, 0, FrameSelection::All).unwrap();
        assert!(shared.lock().uninstall(query, HOUR));

        [HOUR + HOUR, HOUR + HOUR + HOUR].into_iter().for_each(|now_ns| shared.lock().tick(now_ns));
        assert_eq!(reader.next().await.unwrap().unwrap_err().code(), tonic::Code::DataLoss);
        assert!(reader.next().await.is_none());
    }
}
