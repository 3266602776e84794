//! One statement from its text to the stream of its answer.
//!
//! ```text
//! runtime of the call                       runtime of SQL
//!   stream ◀── parts, at most two ahead ──── read, plan, run
//!     │ ends: the last part, an error,          │
//!     │ the time limit, the client has gone     │
//!     └──────────── ends with it ──────────────▶┘
//! ```

use super::archived_windows::ArchivedWindows;
use super::catalogue::SqlCatalogue;
use super::engine::SqlEngine;
use super::limits::SqlLimits;
use super::mistakes::plain_message;
use super::reply::{ReplyWriter, heading};
use super::session::session;
use super::shown_windows::ShownWindows;
use super::statement::{self, StatementError};
use super::window_source::{WindowSource, WindowSourceError};
use crate::client_wire;
use crate::shared_state::SharedState;
use datafusion::dataframe::DataFrame;
use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::LogicalPlan;
use futures::stream::{BoxStream, StreamExt, unfold};
use pivot_protocol::wire;
use pivot_query::Diagnostics;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tonic::Status;

/// How many parts of an answer are made before the client has read them.
const PARTS_AHEAD: usize = 2;

/// The longest time limit that a clock can count.
const LONGEST: Duration = Duration::from_secs(1_000_000_000);

type Part = Result<wire::SqlReply, Status>;

/// Answers a statement, part by part. What still runs of it ends when the stream is dropped.
pub(crate) fn answer(
    engine: &Arc<SqlEngine>,
    shared: &Arc<SharedState>,
    request: wire::SqlRequest,
) -> BoxStream<'static, Part> {
    let (sender, parts) = mpsc::channel(PARTS_AHEAD);
    let limits = engine.limits;
    let question =
        Question { shared: shared.clone(), engine: engine.clone(), limits, request, parts: sender.clone() };
    let slots = engine.slots.clone();

    let task = engine.spawn(async move {
        // The slot is free when the statement has really ended. The semaphore is never closed.
        let _slot = slots.acquire_owned().await.ok();
        if let Err(status) = question.answer().await {
            // The client may have gone.
            let _ = sender.send(Err(status)).await;
        }
    });

    let answer = AnswerStream {
        parts,
        task: StatementTask(task),
        deadline: Instant::now() + limits.time.min(LONGEST),
        limits,
        stopping: shared.stopping(),
        has_ended: false,
    };
    unfold(answer, |mut answer| async { Some((answer.next().await?, answer)) }).boxed()
}

/// A statement to be answered.
struct Question {
    shared: Arc<SharedState>,
    engine: Arc<SqlEngine>,
    limits: SqlLimits,
    request: wire::SqlRequest,
    parts: mpsc::Sender<Part>,
}

/// Why a statement has no answer, or its client does not want one.
enum NoAnswer {
    Wrong(Diagnostics),
    Failed(DataFusionError),
    /// The client has gone.
    Unwanted,
}

impl From<DataFusionError> for NoAnswer {
    fn from(error: DataFusionError) -> NoAnswer {
        NoAnswer::Failed(error)
    }
}

impl From<StatementError> for NoAnswer {
    fn from(error: StatementError) -> NoAnswer {
        match error {
            StatementError::Invalid(diagnostics) => NoAnswer::Wrong(diagnostics),
            StatementError::Failed(error) => NoAnswer::Failed(error),
        }
    }
}

impl Question {
    /// Sends the answer or what is wrong with the statement.
    async fn answer(self) -> Result<(), Status> {
        match self.send_answer().await {
            Ok(()) | Err(NoAnswer::Unwanted) => Ok(()),
            Err(NoAnswer::Wrong(diagnostics)) => {
                let diagnostics = client_wire::diagnostics(&diagnostics);
                let _ = self.parts.send(Ok(wire::SqlReply { diagnostics, ..Default::default() })).await;
                Ok(())
            }
            Err(NoAnswer::Failed(error)) => Err(failure(&error, self.limits)),
        }
    }

    async fn send_answer(&self) -> Result<(), NoAnswer> {
        let text = self.request.text.as_str();
        let statement = statement::read(text)?;
        let catalogue = self.catalogue().await.map_err(DataFusionError::External)?;
        let state = session(catalogue.clone(), self.engine.environment.clone());
        let plan = statement::plan(&state, text, statement, &catalogue.written_names()).await?;

        let most = self.most_rows();
        let stream = run(&state, plan, most).await.map_err(|error| StatementError::of(text, error))?;
        let mut writer = ReplyWriter::new(self.request.form(), &stream.schema())?;
        self.send(heading(&stream.schema())).await?;
        let end = self.send_rows(stream, &mut writer, most).await?;
        for part in writer.end(end)? {
            self.send(part).await?;
        }
        Ok(())
    }

    /// Returns what there is to ask: with all that history has, or what is in memory if there is none.
    async fn catalogue(&self) -> Result<Arc<SqlCatalogue>, WindowSourceError> {
        let source: Arc<dyn WindowSource> =
            match ArchivedWindows::new(&self.shared, &self.engine.observed).await? {
                Some(archived) => Arc::new(archived),
                None => Arc::new(ShownWindows::new(&self.shared)),
            };
        Ok(Arc::new(SqlCatalogue::new(&self.shared, source).await?))
    }

    /// Returns the most rows that are sent.
    fn most_rows(&self) -> usize {
        let wanted = if self.request.rows == 0 { u64::MAX } else { self.request.rows };
        usize::try_from(wanted.min(self.limits.rows)).unwrap_or(usize::MAX)
    }

    async fn send_rows(
        &self,
        mut stream: SendableRecordBatchStream,
        writer: &mut ReplyWriter,
        most: usize,
    ) -> Result<wire::SqlEnd, NoAnswer> {
        let (mut sent, mut cut) = (0, false);
        while let Some(batch) = stream.next().await {
            let batch = batch?;
            let fit = batch.num_rows().min(most - sent);
            for part in writer.parts(&batch.slice(0, fit))? {
                self.send(part).await?;
            }

            sent += fit;
            if fit < batch.num_rows() {
                cut = true;
                break;
            }
        }

        let notice = if cut { self.cut_notice(sent) } else { String::new() };
        Ok(wire::SqlEnd { rows: sent as u64, cut, notice })
    }

    /// Says that there are more rows, and what to do.
    fn cut_notice(&self, sent: usize) -> String {
        match sent as u64 == self.limits.rows {
            true => format!(
                "there are more rows: an answer has at most {sent} (--sql-rows of the server); group, or ask for less"
            ),
            false => format!("there are more rows than the {sent} that were asked for"),
        }
    }

    async fn send(&self, part: wire::SqlReply) -> Result<(), NoAnswer> {
        self.parts.send(Ok(part)).await.map_err(|_| NoAnswer::Unwanted)
    }
}

/// Begins to run a plan, for one row more than are sent.
async fn run(
    state: &SessionState,
    plan: LogicalPlan,
    most: usize,
) -> Result<SendableRecordBatchStream, DataFusionError> {
    let is_about_a_plan =
        matches!(plan, LogicalPlan::Explain(_) | LogicalPlan::Analyze(_) | LogicalPlan::DescribeTable(_));
    let frame = DataFrame::new(state.clone(), plan);
    let frame = if is_about_a_plan { frame } else { frame.limit(0, Some(most.saturating_add(1)))? };
    frame.execute_stream().await
}

/// Returns the status of a statement that was right and could not be answered.
fn failure(error: &DataFusionError, limits: SqlLimits) -> Status {
    let root = error.find_root();
    match root {
        DataFusionError::ResourcesExhausted(_) => Status::resource_exhausted(format!(
            "it needs more memory than there is for SQL ({} MiB, --sql-memory of the server): ask for fewer rows, groups or \
             columns at once",
            limits.memory >> 20
        )),

        DataFusionError::Internal(_) => Status::internal(plain_message(root)),
        DataFusionError::External(cause) => Status::unavailable(cause.to_string()),
        other => Status::invalid_argument(plain_message(other)),
    }
}

/// The task of a statement, which ends when this is dropped.
struct StatementTask(Option<JoinHandle<()>>);

impl Drop for StatementTask {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}

/// The parts of an answer as its client gets them.
struct AnswerStream {
    parts: mpsc::Receiver<Part>,
    task: StatementTask,
    deadline: Instant,
    limits: SqlLimits,
    stopping: watch::Receiver<bool>,
    has_ended: bool,
}

impl AnswerStream {
    /// Returns the next part, or `None` behind the last. An error is the last thing that comes.
    async fn next(&mut self) -> Option<Part> {
        if self.has_ended {
            return None;
        }
        let part = tokio::select! {
            part = self.parts.recv() => part.unwrap_or_else(|| Err(Status::internal("answering it panicked"))),
            () = tokio::time::sleep_until(self.deadline) => Err(Status::deadline_exceeded(format!(
                "it takes longer than a statement may ({:?}, --sql-time of the server): ask for a shorter time, or for less",
                self.limits.time
            ))),
            _ = self.stopping.wait_for(|stop| *stop) => Err(Status::unavailable("the frontend stops")),
        };

        self.has_ended =
            part.as_ref().map_or(true, |part| part.end.is_some() || !part.diagnostics.is_empty());
        if self.has_ended {
            // What still runs for it is of no use to anybody.
            drop(std::mem::replace(&mut self.task, StatementTask(None)));
        }
        Some(part)
    }
}
