//! One gRPC stream between this agent and a frontend.

use pivot_protocol::{MAX_MESSAGE_BYTES, wire};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::transport::{Channel, Endpoint};
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
    /// Connects and introduces the agent. Returns `None` if no frontend answers.
    pub(crate) async fn open(endpoint: Endpoint, hello: wire::Hello) -> Option<Connection> {
        let channel: Channel = endpoint.connect().await.ok()?;
        let mut client = AgentsClient::new(channel)
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES);

        // The first message has to be in the stream before the call: the frontend answers only after it.
        let (out, receiver) = mpsc::unbounded_channel();
        out.send(wire::FromAgent { kind: Some(from_agent::Kind::Hello(hello)) }).ok()?;
        let incoming = client.attach(UnboundedReceiverStream::new(receiver)).await.ok()?.into_inner();
        Some(Connection { out, incoming })
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

/// Returns the endpoint with the timeouts of every connection.
pub(crate) fn with_timeouts(endpoint: Endpoint) -> Endpoint {
    endpoint.connect_timeout(CONNECT_TIMEOUT).tcp_nodelay(true).http2_keep_alive_interval(KEEP_ALIVE)
}
