//! The link: one connection after the other, over the same reports.
//!
//! Reports are cut at every window boundary whether there is a connection or not. An answer of the
//! frontend is applied in this order: weave, then cut and report what unwoven queries had left, then
//! say what is woven; so when a frontend hears that a query is unwoven, it has all of its rows.

use crate::config::Config;
use crate::thread::{Request, Woven};
use pivot_agent::{Report, Reporter};
use pivot_protocol::{MAX_MESSAGE_BYTES, from_wire, to_wire, wire};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::transport::{Channel, Endpoint};
use wire::{agents_client::AgentsClient, from_agent, to_agent};

/// The length of a window.
const WINDOW_NS: i64 = 1_000_000_000;

/// The pause between two attempts to connect.
const RETRY: Duration = Duration::from_millis(250);

/// How long an attempt to connect may take.
const CONNECT: Duration = Duration::from_secs(2);

pub(crate) struct Link {
    config: Config,
    endpoint: Endpoint,
    woven: Arc<Woven>,
    incarnation: u64,
    reporter: Reporter,
    /// Answered when every report has been acknowledged.
    flushing: Vec<oneshot::Sender<()>>,
    leaving: bool,
    heard: Instant,
}

/// A connection: where to send, and what arrives.
struct Connection {
    out: mpsc::UnboundedSender<wire::FromAgent>,
    incoming: tonic::Streaming<wire::ToAgent>,
}

impl Connection {
    fn send(&self, kind: from_agent::Kind) {
        // A closed stream shows when the next message is awaited.
        let _ = self.out.send(wire::FromAgent { kind: Some(kind) });
    }
}

fn now_ns() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

impl Link {
    pub(crate) fn new(config: Config, endpoint: Endpoint, woven: Arc<Woven>) -> Link {
        let hasher = std::hash::BuildHasher::build_hasher(&std::hash::RandomState::new());
        Link {
            config,
            endpoint: endpoint.connect_timeout(CONNECT).tcp_nodelay(true),
            woven,
            incarnation: std::hash::Hasher::finish(&hasher),
            reporter: Reporter::new(WINDOW_NS, now_ns()),
            flushing: Vec::new(),
            leaving: false,
            heard: Instant::now(),
        }
    }

    pub(crate) async fn run(mut self, mut requests: mpsc::UnboundedReceiver<Request>) {
        while !self.is_done() {
            match self.connect(&mut requests).await {
                Some(mut connection) => self.serve(&mut connection, &mut requests).await,
                None => break,
            }
            self.reporter.disconnected();
        }
        pivot_agent::weave(&[]);
        pivot_baggage::set_carrying(false);
        self.flushing.drain(..).for_each(answer_asked);
    }

    fn is_done(&self) -> bool {
        self.leaving && self.reporter.is_settled()
    }

    /// Connects, however long it takes; windows go on meanwhile. None if the process leaves first.
    async fn connect(&mut self, requests: &mut mpsc::UnboundedReceiver<Request>) -> Option<Connection> {
        loop {
            let attempt = attach(self.endpoint.clone(), self.hello());
            tokio::pin!(attempt);
            let failed = loop {
                tokio::select! {
                    connection = &mut attempt => match connection {
                        Some(connection) => return Some(connection),
                        None => break true,
                    },
                    () = sleep_until(self.boundary()) => self.cut(),
                    request = requests.recv() => if !self.request(request) { return None },
                }
            };
            // A process that leaves does not wait for a frontend that is not there.
            if failed && self.leaving {
                return None;
            }
            sleep(RETRY).await;
            self.expire();
        }
    }

    async fn serve(&mut self, connection: &mut Connection, requests: &mut mpsc::UnboundedReceiver<Request>) {
        loop {
            self.send_reports(connection);
            if self.is_done() {
                connection.send(from_agent::Kind::Goodbye(wire::Goodbye {}));
                // The stream ends when the frontend has read the farewell.
                let _ = tokio::time::timeout(Duration::from_millis(200), connection.incoming.message()).await;
                return;
            }
            tokio::select! {
                message = connection.incoming.message() => match message {
                    Ok(Some(message)) => self.receive(message, connection),
                    Ok(None) | Err(_) => return,
                },
                () = sleep_until(self.boundary()) => self.cut(),
                request = requests.recv() => if !self.request(request) { return },
            }
        }
    }

    /// Applies a request of the application. False if the handle is gone without a farewell.
    fn request(&mut self, request: Option<Request>) -> bool {
        match request {
            Some(Request::Flush(answer)) => self.flushing.push(answer),
            Some(Request::Leave(answer)) => {
                pivot_agent::weave(&[]);
                self.leaving = true;
                self.flushing.push(answer);
            }
            None => {
                self.leaving = true;
                return false;
            }
        }
        self.cut();
        true
    }

    fn receive(&mut self, message: wire::ToAgent, connection: &Connection) {
        self.heard = Instant::now();
        match message.kind {
            Some(to_agent::Kind::Acknowledged(sequence)) => {
                self.reporter.acknowledge(sequence);
                if self.reporter.is_settled() && !self.leaving {
                    self.flushing.drain(..).for_each(answer_asked);
                }
            }
            Some(to_agent::Kind::Desired(desired)) if !self.leaving => self.weave(desired, connection),
            Some(to_agent::Kind::Desired(_)) | None => {}
        }
    }

    fn weave(&mut self, desired: wire::Desired, connection: &Connection) {
        let mut problems = Vec::new();
        let mut advice = Vec::new();
        for wanted in desired.advice {
            let (query, tracepoint) = (wanted.query, wanted.tracepoint.clone());
            match from_wire::advice(wanted) {
                Ok(sound) => advice.push(sound),
                Err(error) => problems.push(wire::Problem { query, tracepoint, message: error.to_string() }),
            }
        }
        pivot_baggage::set_carrying(desired.carrying);
        problems.extend(pivot_agent::weave(&advice).into_iter().map(|problem| wire::Problem {
            query: Some(to_wire::query_id(problem.query)),
            tracepoint: problem.tracepoint,
            message: problem.message,
        }));
        self.cut();
        self.send_reports(connection);
        connection.send(from_agent::Kind::Woven(wire::Woven { generation: desired.generation, problems }));
        self.woven.set();
    }

    /// Installed queries are leases: without a frontend they end.
    fn expire(&mut self) {
        if self.heard.elapsed() > self.config.lease {
            pivot_agent::weave(&[]);
            pivot_baggage::set_carrying(false);
        }
    }

    fn cut(&mut self) {
        self.reporter.cut(now_ns(), pivot_agent::drain());
    }

    fn boundary(&self) -> Instant {
        let left = self.reporter.boundary_ns().saturating_sub(now_ns());
        Instant::now() + Duration::from_nanos(u64::try_from(left).unwrap_or(0))
    }

    fn send_reports(&mut self, connection: &Connection) {
        for report in self.reporter.unsent() {
            connection.send(from_agent::Kind::Report(to_report(report)));
        }
    }

    fn hello(&self) -> wire::Hello {
        wire::Hello {
            incarnation: self.incarnation,
            process: self.config.process.clone(),
            host: self.config.host.clone(),
            pid: std::process::id(),
            build: env!("CARGO_PKG_VERSION").into(),
            labels: self.config.labels.clone().into_iter().collect(),
            catalogue: pivot_agent::catalogue().iter().map(to_wire::exports).collect(),
        }
    }
}

async fn attach(endpoint: Endpoint, hello: wire::Hello) -> Option<Connection> {
    let channel: Channel = endpoint.connect().await.ok()?;
    let mut client = AgentsClient::new(channel)
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES);
    let (out, receiver) = mpsc::unbounded_channel();
    out.send(wire::FromAgent { kind: Some(from_agent::Kind::Hello(hello)) }).ok()?;
    let incoming = client.attach(UnboundedReceiverStream::new(receiver)).await.ok()?.into_inner();
    Some(Connection { out, incoming })
}

fn to_report(report: &Report) -> wire::Report {
    let parts = report.parts.iter().map(|(query, part)| wire::Part {
        query: Some(to_wire::query_id(*query)),
        groups: part.groups.as_ref().map(to_wire::groups).unwrap_or_default(),
        loss: Some(to_wire::loss(&part.loss)),
        emitted: part.emitted,
    });
    wire::Report {
        sequence: report.sequence,
        window_start_ns: report.window_start_ns,
        window_end_ns: report.window_end_ns,
        watermark_ns: report.watermark_ns,
        delay_ns: report.delay_ns,
        parts: parts.collect(),
    }
}

/// Whoever asked may have stopped waiting.
fn answer_asked(asked: oneshot::Sender<()>) {
    let _ = asked.send(());
}
