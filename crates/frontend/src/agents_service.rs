//! The service that agents attach to.

use crate::registry::SequenceCheck;
use crate::state::{SharedState, now_ns};
use pivot_protocol::wire::{self, agents_server::Agents, from_agent::Kind};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

/// The most messages that wait for an agent to read.
const OUTBOX: usize = 1024;

/// How long an agent may take to say hello.
const HELLO: Duration = Duration::from_secs(10);

/// The service.
#[derive(Debug)]
pub(crate) struct AgentsService {
    shared: Arc<SharedState>,
}

impl AgentsService {
    /// A service over a frontend's state.
    pub(crate) fn new(shared: Arc<SharedState>) -> AgentsService {
        AgentsService { shared }
    }
}

#[tonic::async_trait]
impl Agents for AgentsService {
    type AttachStream = ReceiverStream<Result<wire::ToAgent, Status>>;

    async fn attach(
        &self,
        request: Request<Streaming<wire::FromAgent>>,
    ) -> Result<Response<Self::AttachStream>, Status> {
        let (outbox, messages) = mpsc::channel(OUTBOX);
        // The answer comes before hello: some clients wait for it before they send.
        tokio::spawn(serve(self.shared.clone(), request.into_inner(), outbox));
        Ok(Response::new(ReceiverStream::new(messages)))
    }
}

async fn serve(
    shared: Arc<SharedState>,
    mut stream: Streaming<wire::FromAgent>,
    outbox: mpsc::Sender<Result<wire::ToAgent, Status>>,
) {
    let first = tokio::time::timeout(HELLO, stream.message()).await;
    let Ok(Ok(Some(wire::FromAgent { kind: Some(Kind::Hello(hello)) }))) = first else {
        // Whoever has gone already does not hear it.
        let _ = outbox.try_send(Err(Status::invalid_argument("an agent's stream begins with hello")));
        return;
    };
    let incarnation = hello.incarnation;
    let connection = shared.lock().connect(hello, outbox.clone(), now_ns());
    let outcome = receive(&shared, &mut stream, &outbox.downgrade(), (incarnation, connection), outbox).await;
    shared.lock().registry.disconnect(incarnation, connection, now_ns());
    if let Some((outbox, status)) = outcome {
        let _ = outbox.try_send(Err(status));
    }
}

type Outbox = mpsc::Sender<Result<wire::ToAgent, Status>>;

/// Applies messages until the stream ends; gives why, where the agent does not know.
async fn receive(
    shared: &SharedState,
    stream: &mut Streaming<wire::FromAgent>,
    open: &mpsc::WeakSender<Result<wire::ToAgent, Status>>,
    (incarnation, connection): (u64, u64),
    outbox: Outbox,
) -> Option<(Outbox, Status)> {
    drop(outbox);
    let mut stopping = shared.stopping();
    loop {
        let message = tokio::select! {
            message = stream.message() => message.ok().flatten(),
            _ = stopping.wait_for(|stop| *stop) => None,
        };
        let kind = message?.kind;
        // The state has dropped the sender of an agent that does not read.
        let outbox = open.upgrade()?;
        let mut state = shared.lock();
        match kind {
            Some(Kind::Report(report)) => {
                let number = report.sequence;
                if state.report(incarnation, connection, report, now_ns()) == SequenceCheck::Gap {
                    let gap = format!("reports before {number} are missing");
                    return Some((outbox, Status::failed_precondition(gap)));
                }
            }
            Some(Kind::Woven(woven)) => state.woven(incarnation, connection, woven, now_ns()),
            Some(Kind::Exported(exported)) => state.exported(incarnation, connection, exported, now_ns()),
            Some(Kind::Lost(lost)) => state.lost(incarnation, connection, lost, now_ns()),
            Some(Kind::Goodbye(_)) => state.goodbye(incarnation, connection, now_ns()),
            Some(Kind::Hello(_)) => {
                return Some((outbox, Status::invalid_argument("hello was said before")));
            }
            // A message of a later version.
            None => {}
        }
    }
}
