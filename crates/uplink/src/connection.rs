//! One gRPC stream between this agent and a frontend.

use crate::machine::Machine;
use crate::uplink_status::ConnectionProblem;
use pivot_protocol::{MAX_MESSAGE_BYTES, wire};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::transport::Endpoint;
use tonic::{Code, Status};
use wire::{agents_client::AgentsClient, from_agent};

/// How long an attempt to connect may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// How often a silent connection is probed, to notice that the network has lost it.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// How long the end of the stream is waited for after the goodbye.
const GOODBYE_TIMEOUT: Duration = Duration::from_millis(200);

/// An open stream: where to send, and what arrives.
pub(crate) struct Connection {
    /// Unbounded, so that sending never waits; what is in it is bounded by what the reporter keeps.
    out: mpsc::UnboundedSender<wire::FromAgent>,
    /// The messages of the frontend.
    pub(crate) incoming: tonic::Streaming<wire::ToAgent>,
}

impl Connection {
    /// Connects and introduces the agent.
    pub(crate) async fn open(
        machine: &impl Machine,
        endpoint: &Endpoint,
        mut hello: wire::Hello,
    ) -> Result<Connection, ConnectionProblem> {
        let channel = machine.connect(endpoint).await.map_err(|error| unreachable(&error))?;
        let mut client = AgentsClient::new(channel)
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES);

        // Connecting is no part of the round trip.
        if let Some(question) = &mut hello.clock {
            question.sent_ns = machine.steady_ns();
        }
        // The first message has to be in the stream before the call: the frontend answers only after it.
        let (out, receiver) = mpsc::unbounded_channel();
        // The receiver is still here, so this cannot fail.
        let _ = out.send(wire::FromAgent { kind: Some(from_agent::Kind::Hello(hello)) });
        let attached = client.attach(UnboundedReceiverStream::new(receiver)).await;
        let incoming = attached.map_err(|status| not_attached(&status))?.into_inner();
        Ok(Connection { out, incoming })
    }

    /// Sends a message.
    pub(crate) fn send(&self, kind: from_agent::Kind) {
        // A closed stream shows when the next message is awaited.
        let _ = self.out.send(wire::FromAgent { kind: Some(kind) });
    }

    /// Says goodbye and waits, for a moment, until the frontend has read it, which ends the stream.
    pub(crate) async fn say_goodbye(&mut self) {
        self.send(from_agent::Kind::Goodbye(wire::Goodbye {}));
        let _ = tokio::time::timeout(GOODBYE_TIMEOUT, self.incoming.message()).await;
    }
}

/// Returns the problem of a connection that could not be opened: its innermost cause says most.
fn unreachable(error: &dyn std::error::Error) -> ConnectionProblem {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    ConnectionProblem::Unreachable(cause.to_string())
}

/// Returns the problem of a stream that did not begin.
fn not_attached(status: &Status) -> ConnectionProblem {
    // With a cause it was made here, for a connection that broke; without one it is an answer.
    let is_broken = std::error::Error::source(status).is_some();
    match status.code() {
        _ if is_broken => unreachable(status),
        Code::Unavailable | Code::Cancelled | Code::DeadlineExceeded => unreachable(status),
        code if status.message().is_empty() => ConnectionProblem::Refused(code.description().to_owned()),
        _ => ConnectionProblem::Refused(status.message().to_owned()),
    }
}

/// Returns the endpoint with the timeouts of every connection.
pub(crate) fn with_timeouts(endpoint: Endpoint) -> Endpoint {
    endpoint.connect_timeout(CONNECT_TIMEOUT).tcp_nodelay(true).http2_keep_alive_interval(KEEP_ALIVE)
}
