//! An agent that a test plays, message by message, against a real frontend.

use futures::channel::mpsc::{UnboundedSender, unbounded};
use pivot_protocol::MAX_MESSAGE_BYTES;
use pivot_protocol::wire::agents_client::AgentsClient;
use pivot_protocol::wire::{self, from_agent::Kind as FromAgent, to_agent::Kind as ToAgent};
use tonic::Streaming;

/// The stream of one agent to a frontend and back.
#[derive(Debug)]
pub struct PlayedAgent {
    up: UnboundedSender<wire::FromAgent>,
    down: Streaming<wire::ToAgent>,
    reports: u64,
}

/// The window that a report is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReportWindow {
    /// When it begins.
    pub start_ns: i64,
    /// When it ends.
    pub end_ns: i64,
}

impl PlayedAgent {
    /// Connects to a frontend and says hello.
    pub async fn attach(url: &str, hello: wire::Hello) -> Self {
        let (up, messages) = unbounded();
        // The frontend answers once it has heard who attaches, so that comes first.
        let hello = wire::FromAgent { kind: Some(FromAgent::Hello(hello)) };
        up.unbounded_send(hello).expect("the stream is open");

        let client = AgentsClient::connect(url.to_owned()).await.expect("the frontend listens");
        let client = client.max_encoding_message_size(MAX_MESSAGE_BYTES);
        let mut client = client.max_decoding_message_size(MAX_MESSAGE_BYTES);
        let down = client.attach(messages).await.expect("a stream").into_inner();
        Self { up, down, reports: 0 }
    }

    /// Waits for the next set of advice and says that it is woven.
    pub async fn weave(&mut self) -> wire::Desired {
        let desired = self
            .hear(|kind| match kind {
                ToAgent::Desired(desired) => Some(desired),
                _ => None,
            })
            .await;

        let woven = wire::Woven { generation: desired.generation, ..Default::default() };
        self.send(FromAgent::Woven(woven));
        desired
    }

    /// Reports one part of a window, and waits until the frontend has merged it.
    pub async fn report(&mut self, window: ReportWindow, part: wire::Part) {
        self.reports += 1;
        self.send(FromAgent::Report(wire::Report {
            sequence: self.reports,
            window_start_ns: window.start_ns,
            window_end_ns: window.end_ns,
            watermark_ns: window.end_ns,
            parts: vec![part],
            ..Default::default()
        }));

        let sequence = self.reports;
        self.hear(|kind| (kind == ToAgent::Acknowledged(sequence)).then_some(())).await;
    }

    /// Passes over messages until there is one that is looked for.
    pub async fn hear<T>(&mut self, look_for: impl Fn(ToAgent) -> Option<T>) -> T {
        loop {
            let message = self.down.message().await.expect("the stream is open").expect("a message");
            if let Some(found) = message.kind.and_then(&look_for) {
                return found;
            }
        }
    }

    /// Sends a message.
    pub fn send(&self, kind: FromAgent) {
        self.up.unbounded_send(wire::FromAgent { kind: Some(kind) }).expect("the stream is open");
    }
}
