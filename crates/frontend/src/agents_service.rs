//! The gRPC service that agents attach to: one stream in each direction for the life of a connection.
//!
//! ```text
//! agent    Hello ──▶ Woven ──▶ Report 1 ──▶ Report 2 ──▶ ... ──▶ Goodbye
//! frontend       ◀── Wanted        ◀── Acknowledged 1 ◀── ...
//! ```
//!
//! Here messages are decoded and encoded, outside the lock; what they mean is [`FrontendState`]'s affair.
//!
//! [`FrontendState`]: crate::state::FrontendState

use crate::agent_registry::AgentConnectionId;
use crate::agent_session::{Outbox, SequenceCheck};
use crate::agent_wire::{agent_report, command, exports, identity, losses, woven_notice};
use crate::guarded_connection::RequestConnection;
use crate::shared_state::SharedState;
use crate::wanted_advice::AgentCommand;
use futures::stream::{BoxStream, StreamExt, iter};
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

/// The service that agents attach to.
#[derive(Debug)]
pub(crate) struct AgentsService {
    shared: Arc<SharedState>,
}

impl AgentsService {
    /// Makes a service over a frontend's state.
    pub(crate) fn new(shared: Arc<SharedState>) -> AgentsService {
        AgentsService { shared }
    }
}

#[tonic::async_trait]
impl Agents for AgentsService {
    type AttachStream = BoxStream<'static, Result<wire::ToAgent, Status>>;

    async fn attach(
        &self,
        request: Request<Streaming<wire::FromAgent>>,
    ) -> Result<Response<Self::AttachStream>, Status> {
        let (outbox, commands) = mpsc::channel(OUTBOX);
        let connection = request.extensions().get::<RequestConnection>().cloned();
        // The response comes before hello: some clients wait for it before they send.
        tokio::spawn(serve(self.shared.clone(), request.into_inner(), outbox, connection));

        let shared = self.shared.clone();
        let messages =
            ReceiverStream::new(commands).flat_map(move |sent| iter(messages(sent, shared.now_ns())));
        Ok(Response::new(messages.boxed()))
    }
}

/// Returns the messages of a command that is sent at this time, or the error that ends the stream.
fn messages(sent: Result<AgentCommand, Status>, now_ns: i64) -> Vec<Result<wire::ToAgent, Status>> {
    match sent {
        Ok(sent) => command(sent, now_ns).into_iter().map(Ok).collect(),
        Err(status) => vec![Err(status)],
    }
}

/// Serves one connection until its stream ends.
async fn serve(
    shared: Arc<SharedState>,
    mut stream: Streaming<wire::FromAgent>,
    outbox: Outbox,
    underlying: Option<RequestConnection>,
) {
    let first = tokio::time::timeout(HELLO, stream.message()).await;
    let Ok(Ok(Some(wire::FromAgent { kind: Some(Kind::Hello(mut hello)) }))) = first else {
        // An agent that has gone already does not hear it.
        let _ = outbox.try_send(Err(Status::invalid_argument("an agent's stream begins with hello")));
        return;
    };

    // Whoever says nothing does not keep a connection open.
    underlying.iter().for_each(RequestConnection::engage);

    if let Some(question) = hello.clock {
        // Before anything by which the agent would begin to place windows.
        answer(&shared, question, &outbox);
    }
    let incarnation = hello.incarnation;
    let catalogue = exports(std::mem::take(&mut hello.catalogue));
    let open = outbox.downgrade();
    // From here on the registry alone keeps the stream open: it closes it by dropping the outbox.
    let connection = shared.lock().connect(incarnation, identity(hello), catalogue, outbox, shared.now_ns());

    let attached = AttachedAgent { shared: &shared, connection };
    let outcome = receive(&shared, &mut stream, &open, connection).await;
    drop(attached);
    if let Some(StreamRefusal { outbox, status }) = outcome {
        // An agent that has gone already does not hear it.
        let _ = outbox.try_send(Err(status));
    }
}

/// A connection that is known to have ended when this is dropped, also by a panic: its agent would count as connected for ever.
struct AttachedAgent<'s> {
    shared: &'s SharedState,
    connection: AgentConnectionId,
}

impl Drop for AttachedAgent<'_> {
    fn drop(&mut self) {
        self.shared.lock().disconnect(self.connection, self.shared.now_ns());
    }
}

/// The end of an agent's stream by the frontend: the reason, and the stream on which to give it.
struct StreamRefusal {
    outbox: Outbox,
    status: Status,
}

/// Applies messages until the stream ends. Returns what the agent is to be told if it is the frontend that
/// ends it.
async fn receive(
    shared: &SharedState,
    stream: &mut Streaming<wire::FromAgent>,
    open: &mpsc::WeakSender<Result<AgentCommand, Status>>,
    connection: AgentConnectionId,
) -> Option<StreamRefusal> {
    let mut stopping = shared.stopping();
    loop {
        let message = tokio::select! {
            biased;
            message = stream.message() => message.ok().flatten(),
            _ = stopping.wait_for(|stop| *stop) => None,
        };
        let kind = message?.kind;

        // The registry has dropped the outbox of an agent that does not read.
        let outbox = open.upgrade()?;
        if let Some(Kind::Clock(question)) = &kind {
            answer(shared, *question, &outbox);
        }
        if let Err(status) = apply(shared, connection, kind) {
            return Some(StreamRefusal { outbox, status });
        }
    }
}

/// Tells an agent the time, by which it measures its clock.
fn answer(shared: &SharedState, question: wire::ClockQuestion, outbox: &Outbox) {
    let answer = AgentCommand::TellTime { asked_ns: question.sent_ns, received_ns: shared.now_ns() };
    // An agent that reads nothing has no use for an answer that is late.
    let _ = outbox.try_send(Ok(answer));
}

/// Applies one message. Fails if the agent has to connect anew.
fn apply(shared: &SharedState, connection: AgentConnectionId, kind: Option<Kind>) -> Result<(), Status> {
    let now_ns = shared.now_ns();
    match kind {
        Some(Kind::Report(report)) => {
            let sequence = report.sequence;
            let report = agent_report(report);
            if shared.lock().merge_report(connection, report, now_ns) == SequenceCheck::Gap {
                let gap = format!("reports before {sequence} are missing");
                return Err(Status::failed_precondition(gap));
            }
        }

        Some(Kind::Woven(woven)) => {
            let woven = woven_notice(woven);
            shared.lock().note_woven(connection, woven, now_ns);
        }

        Some(Kind::Exported(exported)) => {
            let exports = exports(exported.catalogue);
            shared.lock().add_exports(connection, exports, now_ns);
        }

        Some(Kind::Lost(lost)) => shared.lock().note_losses(connection, losses(lost), now_ns),
        Some(Kind::Clock(question)) => {
            shared.lock().note_clock(connection, question.into(), now_ns);
        }
        Some(Kind::WantedAgain(_)) => shared.lock().send_wanted(connection, now_ns),
        Some(Kind::Goodbye(_)) => shared.lock().note_goodbye(connection, now_ns),
        Some(Kind::Hello(_)) => return Err(Status::invalid_argument("hello was said before")),
        // A message of a later version.
        None => {}
    }
    Ok(())
}
