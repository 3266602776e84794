//! An agent that answers and reports like a real one, and costs its process as little as possible: what it sends is
//! encoded beforehand.

use crate::progress::LoadProgress;
use pivot_advice::{Exports, FieldDescriptor, Groups, Type, Value};
use pivot_protocol::{to_wire, wire};
use pivot_tests::{SECOND_NS, now_ns};
use prost::Message;
use prost::bytes::{Buf, BufMut, Bytes};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status, Streaming};
use wire::{from_agent, to_agent};

/// How long an attempt to connect may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The number of `parts` in a `Report`, as a field with a length.
const PARTS_KEY: u8 = 4 << 3 | 2;

/// The number of `report` in a `FromAgent`, as a field with a length.
const REPORT_KEY: u8 = 2 << 3 | 2;

/// The size of each agent: how much it has and reports.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AgentPlan {
    /// Tracepoints that it exports.
    pub(crate) tracepoints: u64,
    /// Groups in each of its reports.
    pub(crate) groups: u64,
}

impl AgentPlan {
    /// Returns the hello of an agent but for its incarnation, which is to be set.
    pub(crate) fn hello(&self) -> wire::Hello {
        let field = |name: &str, ty| FieldDescriptor { name: name.into(), ty };
        let catalogue = (0..self.tracepoints).map(|number| {
            let fields = vec![field("key", Type::String), field("a", Type::I64), field("b", Type::F64)];
            let tracepoint = format!("Load.t{number}");
            let (file, line, module) = ("src/load.rs".into(), number as u32, "load".into());
            to_wire::exports(&Exports { tracepoint, fields, file, line, module })
        });
        let catalogue = catalogue.collect();
        let (process, host) = ("load".into(), "host".into());
        wire::Hello { process, host, catalogue, takes_changes: true, ..Default::default() }
    }

    /// Returns the part of a query in each report, encoded as a field of the report.
    fn part(&self, query: wire::QueryId) -> Vec<u8> {
        let mut groups = Groups::new(1, &[]);
        (0..self.groups).for_each(|group| groups.entry(&[Value::str(format!("group {group}"))]).n = 3);
        let columns = to_wire::group_columns(&groups);
        let part = wire::Part { query: Some(query), columns, emitted: 3 * self.groups, ..Default::default() };

        let mut encoded = vec![PARTS_KEY];
        encoded.extend_from_slice(&part.encode_length_delimited_to_vec());
        encoded
    }
}

/// One agent.
#[derive(Debug)]
pub(crate) struct LoadAgent {
    pub(crate) number: u64,
    pub(crate) plan: AgentPlan,
    pub(crate) hello: wire::Hello,
    pub(crate) progress: Arc<LoadProgress>,
}

impl LoadAgent {
    /// Connects, gives the slot back, and serves the connection until it ends.
    pub(crate) async fn run(self, url: String, slot: OwnedSemaphorePermit) {
        let (up, messages) = mpsc::unbounded_channel();
        let hello = wire::Hello { incarnation: self.number + 1, ..self.hello.clone() };
        up.send(encoded(from_agent::Kind::Hello(hello))).unwrap();
        let mut down = attach(url, messages).await;

        let mut slot = Some(slot);
        let mut serving = AgentTraffic { agent: &self, up, part: None, sequence: 0 };
        let mut window_end = tokio::time::interval_at(first_cut(self.number), Duration::from_secs(1));
        loop {
            tokio::select! {
                message = down.message() => {
                    let Ok(Some(message)) = message else { break };
                    serving.hear(message);
                    if slot.take().is_some() {
                        self.progress.attach();
                    }
                }
                _ = window_end.tick() => serving.report(),
            }
        }
        self.progress.break_off();
    }
}

/// Returns when an agent reports for the first time: up to a tenth of a second behind the end of a window.
fn first_cut(number: u64) -> tokio::time::Instant {
    let left = SECOND_NS - now_ns().rem_euclid(SECOND_NS);
    tokio::time::Instant::now() + Duration::from_nanos(left as u64) + Duration::from_millis(1 + number % 100)
}

/// The traffic between one agent and the frontend.
struct AgentTraffic<'a> {
    agent: &'a LoadAgent,
    up: mpsc::UnboundedSender<Bytes>,
    /// The part of the query in a report; `None` before there is a query.
    part: Option<Vec<u8>>,
    sequence: u64,
}

impl AgentTraffic<'_> {
    fn hear(&mut self, message: wire::ToAgent) {
        let Some(heard) = HeardGeneration::of(message) else { return };
        if let Some(query) = heard.query
            && self.part.is_none()
        {
            self.part = Some(self.agent.plan.part(query));
            self.agent.progress.weave();
        }
        let woven = wire::Woven { generation: heard.generation, ..Default::default() };
        self.send(encoded(from_agent::Kind::Woven(woven)));
    }

    /// Reports the window that is over.
    fn report(&mut self) {
        let cut_ns = now_ns();
        let end_ns = cut_ns - cut_ns.rem_euclid(SECOND_NS);
        self.sequence += 1;
        let mut report = wire::Report {
            sequence: self.sequence,
            window_start_ns: end_ns - SECOND_NS,
            window_end_ns: end_ns,
            watermark_ns: end_ns,
            cut_ns,
            ..Default::default()
        }
        .encode_to_vec();
        report.extend_from_slice(self.part.as_deref().unwrap_or_default());

        let mut message = vec![REPORT_KEY];
        prost::encode_length_delimiter(report.len(), &mut message).unwrap();
        message.extend_from_slice(&report);
        self.send(message.into());
    }

    fn send(&self, message: Bytes) {
        // A stream that has ended shows when the next message is awaited.
        let _ = self.up.send(message);
    }
}

/// The generation that an agent is to weave, as far as it matters here.
struct HeardGeneration {
    generation: u64,
    query: Option<wire::QueryId>,
}

impl HeardGeneration {
    /// Returns what a message asks for, as frontends of this version and the one before say it.
    fn of(message: wire::ToAgent) -> Option<HeardGeneration> {
        match message.kind? {
            to_agent::Kind::Desired(wire::Desired { generation, since, .. }) => {
                Some(HeardGeneration { generation, query: since.first().and_then(|since| since.query) })
            }
            to_agent::Kind::Wanted(part) => {
                let change = wire::WantedChange::decode(part.data).expect("a change in one piece");
                let query = change.queries.first().and_then(|wanted| wanted.query);
                Some(HeardGeneration { generation: change.generation, query })
            }
            _ => None,
        }
    }
}

fn encoded(kind: from_agent::Kind) -> Bytes {
    wire::FromAgent { kind: Some(kind) }.encode_to_vec().into()
}

/// Opens a connection of its own, however long it takes.
async fn attach(url: String, messages: mpsc::UnboundedReceiver<Bytes>) -> Streaming<wire::ToAgent> {
    let endpoint = Endpoint::from_shared(url).unwrap().connect_timeout(CONNECT_TIMEOUT).tcp_nodelay(true);
    let channel: Channel = loop {
        match endpoint.connect().await {
            Ok(channel) => break channel,
            Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
        }
    };

    let mut client = Grpc::new(channel);
    client.ready().await.unwrap();
    let path = "/pivot.v1.Agents/Attach".parse().unwrap();
    let request = Request::new(UnboundedReceiverStream::new(messages));
    client.streaming(request, path, EncodedCodec).await.expect("a stream").into_inner()
}

/// Sends messages that are encoded already.
#[derive(Debug, Clone, Copy, Default)]
struct EncodedCodec;

impl Codec for EncodedCodec {
    type Encode = Bytes;
    type Decode = wire::ToAgent;
    type Encoder = EncodedCodec;
    type Decoder = EncodedCodec;

    fn encoder(&mut self) -> EncodedCodec {
        EncodedCodec
    }

    fn decoder(&mut self) -> EncodedCodec {
        EncodedCodec
    }
}

impl Encoder for EncodedCodec {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        into.put(item);
        Ok(())
    }
}

impl Decoder for EncodedCodec {
    type Item = wire::ToAgent;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<wire::ToAgent>, Status> {
        let message = from.copy_to_bytes(from.remaining());
        wire::ToAgent::decode(message).map(Some).map_err(|wrong| Status::internal(wrong.to_string()))
    }
}
