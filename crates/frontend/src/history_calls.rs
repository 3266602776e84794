//! The calls of clients that are about history.

use crate::frame_stream::compute;
use crate::history::{Archive, HistoryError, KeptQuery, KeptWindow, RangeSum, WantedRevisions};
use crate::shared_state::SharedState;
use crate::store::StoreError;
use crate::time_range::TimeRange;
use futures::stream::{BoxStream, StreamExt, unfold};
use pivot_merge::MergedGroups;
use pivot_protocol::wire;
use std::collections::BTreeSet;
use std::sync::Arc;
use tonic::Status;

/// Lists the queries of which windows are kept.
pub(crate) async fn list(shared: &Arc<SharedState>) -> Result<wire::ListHistoryResponse, Status> {
    let installed: BTreeSet<u32> = shared.lock().active().map(|query| query.definition.id.number).collect();
    let (kept, location, problem, keep_ns) = blocking(shared, |archive| {
        Ok((archive.kept()?, archive.location().to_owned(), archive.problem(), archive.keep_ns()))
    })
    .await?;

    // Of one that has ended, and whose windows are all gone, there is nothing to say.
    let kept = kept.into_iter().filter(|kept| kept.range.is_some() || installed.contains(&kept.query.number));
    let queries = kept.map(|kept| {
        let KeptQuery { number, name, text, installed_ns, every_ns, keep_ns, .. } = kept.query;
        wire::KeptQuery {
            number,
            name,
            text,
            installed_ns,
            every_ns,
            installed: installed.contains(&number),
            first_ns: kept.range.map_or(0, |range| range.start_ns),
            last_ns: kept.range.map_or(0, |range| range.end_ns),
            files: kept.files,
            bytes: kept.bytes,
            keep_ns,
        }
    });
    Ok(wire::ListHistoryResponse {
        queries: queries.collect(),
        now_ns: shared.now_ns(),
        location,
        problem: problem.unwrap_or_default(),
        keep_ns,
    })
}

/// Streams the sums of a query's windows, step by step.
pub(crate) async fn read(
    shared: &Arc<SharedState>,
    request: wire::ReadHistoryRequest,
) -> Result<BoxStream<'static, Result<wire::Frame, Status>>, Status> {
    let wire::ReadHistoryRequest { query: number, from_ns, to_ns, step_ns } = request;
    let query = find(shared, number).await?;
    let to_ns = if to_ns == 0 { shared.now_ns() } else { to_ns };
    let starts = TimeRange { start_ns: from_ns, end_ns: to_ns };

    let archive = shared.archive().ok_or_else(nothing_kept)?;
    let steps = Steps {
        shape: query.shape(),
        windows: archive.windows(query.clone(), starts, WantedRevisions::Newest),
        query,
        step_ns,
        sum: None,
        sequence: 0,
        has_ended: false,
    };
    let shared = shared.clone();
    let frames = unfold((steps, shared), |(mut steps, shared)| async move {
        let sum = match steps.next().await? {
            Ok(sum) => sum,
            Err(error) => return Some((Err(error.into()), (steps, shared))),
        };
        steps.sequence += 1;
        let frame = sum.frame(&steps.query, steps.sequence);
        let slot = shared.frame_slot().await;
        let computed = compute(&shared, frame).await;
        drop(slot);
        Some((computed, (steps, shared)))
    });
    Ok(frames.boxed())
}

/// Forgets the windows of a query until now.
pub(crate) async fn forget(shared: &Arc<SharedState>, number: u32) -> Result<(), Status> {
    find(shared, number).await?;
    let now_ns = shared.now_ns();
    blocking(shared, move |archive| archive.forget(number, now_ns)).await
}

/// The windows of a query, added up for each step.
struct Steps {
    query: KeptQuery,
    shape: MergedGroups,
    windows: BoxStream<'static, Result<KeptWindow, HistoryError>>,
    /// 0 or less makes one step of all windows.
    step_ns: i64,
    /// The step that is added up.
    sum: Option<RangeSum>,
    /// The number of steps before.
    sequence: u64,
    has_ended: bool,
}

impl Steps {
    /// Returns the sum of the next step that has a window; an error is the last thing that comes.
    async fn next(&mut self) -> Option<Result<RangeSum, HistoryError>> {
        while !self.has_ended {
            let window = match self.windows.next().await {
                Some(Ok(window)) => window,
                Some(Err(error)) => {
                    self.has_ended = true;
                    return Some(Err(error));
                }
                None => {
                    self.has_ended = true;
                    return self.sum.take().map(Ok);
                }
            };

            match &mut self.sum {
                Some(sum)
                    if step(sum.start_ns(), self.step_ns)
                        == step(window.time_range.start_ns, self.step_ns) =>
                {
                    sum.add(&window);
                }
                _ => {
                    let next = RangeSum::new(&window, &self.shape);
                    if let Some(complete) = self.sum.replace(next) {
                        return Some(Ok(complete));
                    }
                }
            }
        }
        None
    }
}

/// Returns the number of the step that a time is in.
fn step(at_ns: i64, step_ns: i64) -> i64 {
    if step_ns > 0 { at_ns.div_euclid(step_ns) } else { 0 }
}

/// Finds a query of which windows are kept.
async fn find(shared: &Arc<SharedState>, number: u32) -> Result<KeptQuery, Status> {
    let queries = blocking(shared, |archive| archive.queries()).await?;
    let found = queries.into_iter().find(|query| query.number == number);
    found.ok_or_else(|| {
        Status::not_found(format!(
            "no windows of query {number} are kept: `\\history` lists those of which there are"
        ))
    })
}

/// Asks the archive on a thread of its own, since it reads from a disk.
async fn blocking<T: Send + 'static>(
    shared: &Arc<SharedState>,
    ask: impl FnOnce(&Archive) -> Result<T, HistoryError> + Send + 'static,
) -> Result<T, Status> {
    let shared = shared.clone();
    let asked = tokio::task::spawn_blocking(move || match shared.archive() {
        Some(archive) => ask(archive).map_err(Status::from),
        None => Err(nothing_kept()),
    });
    asked.await.map_err(|stopped| Status::internal(stopped.to_string()))?
}

fn nothing_kept() -> Status {
    Status::failed_precondition(StoreError::NothingKept.to_string())
}

impl From<HistoryError> for Status {
    fn from(error: HistoryError) -> Status {
        match error {
            HistoryError::Damaged(_) => Status::data_loss(error.to_string()),
            HistoryError::Panicked => Status::internal(error.to_string()),
            _ => Status::unavailable(error.to_string()),
        }
    }
}
