//! What does baggage cost a tonic unary echo, there and back, next to OpenTelemetry?
//!
//! `cargo bench --bench echo` in `tests/benches` prints, for 1 and 64 calls at once, the CPU time of both
//! sides for each call and the median latency, each as a ratio to the bare call. All kinds are measured in
//! turn in one process; `bare again` shows the noise.
//!
//! The envelope of a request that has packed nothing is 24 bytes before base64, with 1, 8 and 64 tuples it is
//! 62, 125 and 631. A reply that has nothing new is 4, always the same, so that it becomes an index of HPACK's table.
//!
//! In user space instructions of both sides (`valgrind --tool=callgrind` with `only KIND CALLS`, the difference of
//! 1,200 and 200 calls), which other load does not change: a bare call 125,300; nothing packed 1.014; envelope both
//! ways 1.121; 1 tuple one way 1.131, both ways 1.158; 8 tuples 1.219 and 1.239; 64 both ways 1.70; OpenTelemetry's
//! span 1.183, its baggage of 8 1.630. About half of what one tuple adds is HPACK and header maps: a never-indexed
//! literal costs about 50 for each character of its name and value.
//!
//! CPU on two cores with a load of 12 to 30 besides, at 64 at once, two runs, when a reply still was 8 bytes of its
//! own: nothing packed 1.05 and 1.08, envelope both ways 1.25 and 1.15, 1 tuple one way 1.17 and 1.12, both ways 1.31
//! and 1.18, 8 tuples both ways 1.36 and 1.23, 64 both ways 1.79 and 1.60; OpenTelemetry's span 1.18 and 1.14, its
//! baggage of 8 1.48 and 1.37. `bare again` was 1.02 and 0.94, so these are no better than a tenth.
#![allow(missing_docs, clippy::unwrap_used)]

use opentelemetry::baggage::BaggageExt;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::{TraceContextExt, Tracer, TracerProvider};
use opentelemetry::{Context as Otel, KeyValue};
use opentelemetry_sdk::propagation::{BaggagePropagator, TraceContextPropagator};
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use pivot_advice::{BagKey, QueryId, Value};
use pivot_baggage::{Baggage, FutureExt};
use pivot_propagate::{ClientLayer, ServerLayer};
use std::convert::Infallible;
use std::hint::black_box;
use std::net::SocketAddr;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tonic::body::Body;
use tonic::codegen::BoxFuture;
use tonic::codegen::http::{self, HeaderMap, HeaderName, HeaderValue, uri::PathAndQuery};
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;
use tower_layer::Layer;
use tower_service::Service;

const KEY: BagKey = BagKey { query: QueryId { frontend: 1, number: 7 }, stage: 1 };
const ROUNDS: usize = 9;
const SLICE: Duration = Duration::from_millis(300);

#[derive(Clone, PartialEq, prost::Message)]
struct Message {
    #[prost(bytes = "vec", tag = "1")]
    body: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Bare,
    /// In a request, while nothing is packed anywhere.
    Idle,
    /// An envelope without tuples, there and back.
    Envelope,
    /// So many tuples of 8 bytes, there only: through the bridge-less header, to a server that keeps them.
    OneWay(usize),
    /// There and back.
    BothWays(usize),
    OtelSpan,
    OtelBaggage(usize),
}

const KINDS: [(&str, Kind); 12] = [
    ("bare", Kind::Bare),
    ("nothing packed", Kind::Idle),
    ("envelope, both ways", Kind::Envelope),
    ("1 tuple, one way", Kind::OneWay(1)),
    ("8 tuples, one way", Kind::OneWay(8)),
    ("64 tuples, one way", Kind::OneWay(64)),
    ("1 tuple, both ways", Kind::BothWays(1)),
    ("8 tuples, both ways", Kind::BothWays(8)),
    ("64 tuples, both ways", Kind::BothWays(64)),
    ("otel span", Kind::OtelSpan),
    ("otel baggage, 8", Kind::OtelBaggage(8)),
    ("bare again", Kind::Bare),
];

static TRACER: LazyLock<SdkTracer> = LazyLock::new(|| {
    let provider = Box::leak(Box::new(SdkTracerProvider::builder().build()));
    provider.tracer("bench")
});
static SEQUENCE: AtomicU64 = AtomicU64::new(1);

fn value() -> u64 {
    SEQUENCE.fetch_add(1, Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

struct Headers<'a>(&'a mut HeaderMap);

impl Injector for Headers<'_> {
    fn set(&mut self, key: &str, value: String) {
        if let (Ok(key), Ok(value)) = (key.parse::<HeaderName>(), HeaderValue::try_from(value)) {
            self.0.insert(key, value);
        }
    }
}

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).and_then(|value| value.to_str().ok())
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }
}

/// Gives every message back.
#[derive(Clone)]
struct Echo(Kind);

impl tonic::server::UnaryService<Message> for Echo {
    type Response = Message;
    type Future = BoxFuture<Response<Message>, Status>;

    fn call(&mut self, request: Request<Message>) -> Self::Future {
        Box::pin(async { Ok(Response::new(request.into_inner())) })
    }
}

impl Service<http::Request<Body>> for Echo {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<http::Response<Body>, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        let echo = self.clone();
        let headers = Headers(request.headers_mut());

        match self.0 {
            Kind::OtelSpan => {
                let parent = TraceContextPropagator::new().extract(&headers);
                let span = TRACER.start_with_context("server", &parent);
                black_box(parent.with_span(span));
            }
            Kind::OtelBaggage(_) => drop(black_box(BaggagePropagator::new().extract(&headers))),
            _ => {}
        }

        Box::pin(async move {
            Ok(tonic::server::Grpc::new(ProstCodec::<Message, Message>::default()).unary(echo, request).await)
        })
    }
}

impl tonic::server::NamedService for Echo {
    const NAME: &'static str = "bench.Echo";
}

/// A server on a thread of its own.
fn serve(kind: Kind) -> SocketAddr {
    let (send, address) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            send.send(listener.local_addr().unwrap()).unwrap();
            let incoming = tonic::transport::server::TcpIncoming::from(listener).with_nodelay(Some(true));
            let echo = Echo(kind);
            let served = match kind {
                Kind::Bare | Kind::OtelSpan | Kind::OtelBaggage(_) => {
                    Server::builder().add_service(echo).serve_with_incoming(incoming).await
                }
                // The outer door takes the header away and sends none back; otherwise it is all of the layer.
                Kind::OneWay(_) => {
                    let read = ReadOnly;
                    Server::builder().layer(read).add_service(echo).serve_with_incoming(incoming).await
                }
                _ => {
                    let layer = ServerLayer::new();
                    Server::builder().layer(layer).add_service(echo).serve_with_incoming(incoming).await
                }
            };
            served.unwrap();
        });
    });

    address.recv().unwrap()
}

/// Reads what arrives, runs the call in it, and sends nothing back: what a reply without baggage costs.
#[derive(Clone)]
struct ReadOnly;

#[derive(Clone)]
struct ReadOnlyService<S>(S);

impl<S> Layer<S> for ReadOnly {
    type Service = ReadOnlyService<S>;

    fn layer(&self, inner: S) -> ReadOnlyService<S> {
        ReadOnlyService(inner)
    }
}

impl<S: Service<http::Request<Body>>> Service<http::Request<Body>> for ReadOnlyService<S>
where
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = BoxFuture<S::Response, S::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        let arrived = request.headers_mut().remove(pivot_propagate::BINARY_HEADER);
        let engine = base64_simd::STANDARD_NO_PAD;
        let bytes = arrived.and_then(|value| engine.decode_to_vec(value.as_bytes()).ok());
        let baggage = bytes.and_then(|bytes| Baggage::decode(&bytes).ok()).unwrap_or_default();
        let call = self.0.call(request).in_baggage(baggage);
        Box::pin(async { call.await.0 })
    }
}

#[derive(Clone)]
enum Calls {
    Plain(Channel),
    Carrying(<ClientLayer as Layer<Channel>>::Service),
}

async fn unary<S>(service: S, request: Request<Message>) -> Message
where
    S: tonic::client::GrpcService<Body>,
    S::Error: std::fmt::Debug,
    S::ResponseBody: tonic::codegen::Body<Data = tonic::codegen::Bytes> + Send + 'static,
    <S::ResponseBody as tonic::codegen::Body>::Error: Into<tonic::codegen::StdError> + Send,
{
    let mut client = tonic::client::Grpc::new(service);
    client.ready().await.unwrap();
    let codec = ProstCodec::<Message, Message>::default();
    client.unary(request, PathAndQuery::from_static("/bench.Echo/Echo"), codec).await.unwrap().into_inner()
}

fn carrying(tuples: usize) -> Baggage {
    let mut baggage = Baggage::new();
    baggage.request_or_begin();
    (0..tuples).for_each(|_| baggage.pack_row(KEY, &[], &[Value::U64(value())], 1, &[]));
    baggage
}

async fn call(calls: Calls, kind: Kind) {
    let mut request = Request::new(Message { body: vec![7; 64] });
    match kind {
        Kind::OtelSpan => {
            let context = Otel::new().with_span(TRACER.start("client"));
            let mut headers = HeaderMap::new();
            TraceContextPropagator::new().inject_context(&context, &mut Headers(&mut headers));
            *request.metadata_mut() = tonic::metadata::MetadataMap::from_headers(headers);
        }
        Kind::OtelBaggage(n) => {
            let pairs = (0..n).map(|i| KeyValue::new(format!("k{i}"), value().to_string()));
            let mut headers = HeaderMap::new();
            let context = Otel::new().with_baggage(pairs);
            BaggagePropagator::new().inject_context(&context, &mut Headers(&mut headers));
            *request.metadata_mut() = tonic::metadata::MetadataMap::from_headers(headers);
        }
        _ => {}
    }

    let reply = match (calls, kind) {
        (Calls::Plain(channel), _) => unary(channel, request).await,
        (Calls::Carrying(client), Kind::Idle) => unary(client, request).in_baggage(Baggage::new()).await.0,
        (Calls::Carrying(client), Kind::OneWay(n) | Kind::BothWays(n)) => {
            unary(client, request).in_baggage(carrying(n)).await.0
        }
        (Calls::Carrying(client), _) => unary(client, request).in_baggage(carrying(0)).await.0,
    };

    assert_eq!(reply.body.len(), 64);
}

/// CPU time of all threads of the process.
fn cpu_ns() -> u64 {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let stats = tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("schedstat")).ok());
    stats.filter_map(|stat| stat.split(' ').next()?.parse::<u64>().ok()).sum()
}

fn median(samples: &mut [f64]) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples[samples.len() / 2]
}

async fn slice(calls: Calls, kind: Kind, at_once: usize) -> Vec<f64> {
    let end = Instant::now() + SLICE;
    let tasks: Vec<_> = (0..at_once)
        .map(|_| {
            let calls = calls.clone();
            tokio::spawn(async move {
                let mut latencies = Vec::new();
                while Instant::now() < end {
                    let start = Instant::now();
                    call(calls.clone(), kind).await;
                    latencies.push(start.elapsed().as_nanos() as f64);
                }
                latencies
            })
        })
        .collect();

    let mut all = Vec::new();
    for task in tasks {
        all.extend(task.await.unwrap());
    }

    all
}

fn main() {
    pivot_baggage::set_budget_bytes(pivot_baggage::HARD_LIMIT);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();

    let clients: Vec<Calls> = KINDS
        .iter()
        .map(|(_, kind)| {
            let endpoint = Endpoint::try_from(format!("http://{}", serve(*kind))).unwrap().tcp_nodelay(true);
            let channel = runtime.block_on(endpoint.connect()).unwrap();
            match kind {
                Kind::Bare | Kind::OtelSpan | Kind::OtelBaggage(_) => Calls::Plain(channel),
                _ => Calls::Carrying(ClientLayer::new().layer(channel)),
            }
        })
        .collect();

    let arguments: Vec<String> = std::env::args().collect();
    // For a profiler: `only KIND CALLS`.
    if let Some(at) = arguments.iter().position(|argument| argument == "only") {
        let i = KINDS.iter().position(|(name, _)| *name == arguments[at + 1]).unwrap();
        let calls = arguments[at + 2].parse().unwrap();
        return runtime.block_on(async {
            for _ in 0..calls {
                call(clients[i].clone(), KINDS[i].1).await;
            }
        });
    }

    for tuples in [0, 1, 8, 64] {
        let (request, _) = carrying(tuples).fork().encode_request().unwrap();
        let server = Baggage::decode(&request).unwrap();
        let asked = server.snapshot();
        let reply = server.encode_reply(asked.as_ref()).len();
        println!("{tuples} tuples: {} bytes there and {reply} back, before base64", request.len());
    }

    for at_once in [1, 64] {
        let mut cpu = vec![Vec::new(); KINDS.len()];
        let mut latency = vec![Vec::new(); KINDS.len()];
        for round in 0..ROUNDS + 1 {
            for (i, (_, kind)) in KINDS.iter().enumerate() {
                let before = cpu_ns();
                let mut latencies = runtime.block_on(slice(clients[i].clone(), *kind, at_once));
                let used = (cpu_ns() - before) as f64 / latencies.len() as f64;
                if round > 0 {
                    cpu[i].push(used);
                    latency[i].push(median(&mut latencies));
                }
            }
        }
        let cpu: Vec<f64> = cpu.iter_mut().map(|samples| median(samples)).collect();
        let latency: Vec<f64> = latency.iter_mut().map(|samples| median(samples)).collect();
        println!("{at_once} at once: {:.1} us of CPU a bare call, {:.0} us", cpu[0] / 1e3, latency[0] / 1e3);
        for (i, (name, _)) in KINDS.iter().enumerate() {
            println!("  {name:<22} cpu {:.3}  latency {:.3}", cpu[i] / cpu[0], latency[i] / latency[0]);
        }
    }
}
