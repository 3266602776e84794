//! One gRPC stream with the messages of many requests: each message brings the baggage of its own request.

#![allow(clippy::unwrap_used)]

mod harness;

use harness::{KEY, pack, seen};
use pivot_advice::{TemporalFilter, Value};
use pivot_baggage::with_current;
use pivot_propagate::{Traced, WithBaggage, request};
use prost::Message;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::task::{Context, Poll};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::{TcpListenerStream, UnboundedReceiverStream};
use tokio_stream::{Stream, StreamExt};
use tonic::body::Body;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::codegen::{BoxFuture, http};
use tonic::transport::{Endpoint, Server};
use tonic::{Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;
use tower_service::Service;

#[derive(Clone, PartialEq, prost::Message)]
struct Number {
    #[prost(uint64, tag = "1")]
    number: u64,
}

type Codec = ProstCodec<WithBaggage<Number>, WithBaggage<Number>>;
type Plain = ProstCodec<Number, Number>;

/// Handles each message in the request that it brings, and replies with how many packs it saw.
#[derive(Clone)]
struct Handler;

fn handle(message: Number) -> Number {
    let number = seen().len() as u64;
    pack(1000 + message.number);
    Number { number }
}

type Replies<M> = std::pin::Pin<Box<dyn Stream<Item = Result<M, Status>> + Send>>;

impl tonic::server::StreamingService<WithBaggage<Number>> for Handler {
    type Response = WithBaggage<Number>;
    type ResponseStream = Replies<WithBaggage<Number>>;
    type Future = BoxFuture<Response<Self::ResponseStream>, Status>;

    fn call(&mut self, request: Request<Streaming<WithBaggage<Number>>>) -> Self::Future {
        let replies = request.into_inner().map(|message| {
            let (message, baggage) = Traced::from(message?).into_parts();
            let known = baggage.is_some();
            let message = Traced::from_parts(message, baggage);
            Ok(match known {
                true => WithBaggage::from(message.run(handle)),
                false => WithBaggage::from(message.run(|_| Number { number: u64::MAX })),
            })
        });
        Box::pin(async { Ok(Response::new(Box::pin(replies) as Self::ResponseStream)) })
    }
}

impl Service<http::Request<Body>> for Handler {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<http::Response<Body>, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(async { Ok(tonic::server::Grpc::new(Codec::default()).streaming(Handler, request).await) })
    }
}

impl tonic::server::NamedService for Handler {
    const NAME: &'static str = "test.Numbers";
}

/// Starts a server of [`Handler`].
async fn server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = Server::builder().add_service(Handler);
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    address
}

/// Streams messages to a server of its own. Returns the stream of replies.
async fn stream<C, M>(codec: C, messages: impl Stream<Item = M> + Send + 'static) -> Streaming<M>
where
    C: tonic::codec::Codec<Encode = M, Decode = M>,
    M: Send + Sync + 'static,
{
    let endpoint = Endpoint::try_from(format!("http://{}", server().await)).unwrap();
    let mut client = tonic::client::Grpc::new(endpoint.connect().await.unwrap());
    client.ready().await.unwrap();

    let path = PathAndQuery::from_static("/test.Numbers/Stream");
    client.streaming(Request::new(messages), path, codec).await.unwrap().into_inner()
}

#[tokio::test]
async fn each_message_of_a_stream_brings_its_own_request_there_and_back() {
    let (send, receive) = mpsc::unbounded_channel();
    let mut replies = stream(Codec::default(), UnboundedReceiverStream::new(receive)).await;

    // Requests that send through one stream, and get their replies back in its order.
    let (hand_out, mut handed_out) =
        (1..6u64).map(|_| tokio::sync::oneshot::channel()).unzip::<_, _, Vec<_>, Vec<_>>();
    let requests = (1..6u64).map(|id| {
        let (send, reply) = (send.clone(), handed_out.remove(0));
        request(async move {
            (0..id).for_each(pack);
            send.send(WithBaggage::new(Number { number: id })).unwrap();

            let reply: WithBaggage<Number> = reply.await.unwrap();
            assert_eq!(seen().len(), id as usize, "nothing is seen before the reply is joined");
            assert_eq!(reply.join(), Number { number: id });
            assert_eq!(seen(), (0..id).chain([1000 + id]).collect::<Vec<_>>());
            let instances = with_current(|current| current.unwrap().instance_count());
            assert_eq!(instances, 0);
        })
    });
    let requests: Vec<_> = requests.collect();

    let distribute = async {
        for hand_out in hand_out {
            hand_out.send(replies.message().await.unwrap().unwrap()).unwrap();
        }
    };
    tokio::join!(futures::future::join_all(requests), distribute);
}

#[tokio::test]
async fn a_detached_message_brings_its_request_and_nothing_comes_back() {
    request(async {
        pack(1);
        let message = WithBaggage::detached(Number { number: 7 });

        let mut replies = stream(Codec::default(), tokio_stream::once(message)).await;
        let reply = replies.message().await.unwrap().unwrap();

        let (reply, baggage) = Traced::from(reply).into_parts();
        assert_eq!(reply, Number { number: 1 });
        assert_eq!(
            with_current(|current| current.unwrap().join(baggage.unwrap())),
            pivot_baggage::JoinOutcome::Foreign
        );
        assert_eq!(seen(), [1]);
    })
    .await;
}

#[tokio::test]
async fn a_peer_that_knows_nothing_of_it_reads_and_writes_the_same_messages() {
    let mut replies = stream(Plain::default(), tokio_stream::once(Number { number: 7 })).await;
    assert_eq!(replies.message().await.unwrap(), Some(Number { number: u64::MAX }));
    request(async {
        pack(1);
        let sent = WithBaggage::new(Number { number: 7 }).encode_to_vec();
        assert_eq!(Number::decode(sent.as_slice()), Ok(Number { number: 7 }));
        pack(2);
        assert_eq!(WithBaggage::<Number>::decode(sent.as_slice()).unwrap().join(), Number { number: 7 });
        assert_eq!(seen(), [1, 2]);
    })
    .await;
}

#[tokio::test]
async fn baggage_that_cannot_be_read_does_not_fail_the_message() {
    let before = pivot_baggage::losses().malformed;
    let mut bytes = Number { number: 7 }.encode_to_vec();
    prost::encoding::bytes::encode(
        pivot_propagate::grpc_message::BAGGAGE_FIELD,
        &b"no baggage".to_vec(),
        &mut bytes,
    );
    let (message, baggage) =
        Traced::from(WithBaggage::<Number>::decode(bytes.as_slice()).unwrap()).into_parts();
    assert!(message == Number { number: 7 } && baggage.is_none());
    assert!(pivot_baggage::losses().malformed > before);
}

#[tokio::test]
async fn each_message_has_its_own_temporal_bag() {
    let first = |id: u64| {
        request(async move {
            with_current(|current| {
                let mut rows = pivot_advice::Groups::new(1, &[]);
                rows.entry(&[Value::U64(id)]).n = 1;
                current.unwrap().pack(KEY, TemporalFilter::First(1), [rows]);
            });
            WithBaggage::new(Number { number: id })
        })
    };

    for id in 0..3 {
        let sent = first(id).await.encode_to_vec();
        let arrived = Traced::from(WithBaggage::<Number>::decode(sent.as_slice()).unwrap());
        let seen = arrived.run(|_| with_current(|b| b.unwrap().unpack(KEY).map(|rows| rows.into_owned())));
        let (rows, _) = seen.into_parts();
        assert_eq!(
            rows.unwrap().iter().map(|group| group.key[0].clone()).collect::<Vec<_>>(),
            [Value::U64(id)]
        );
    }
}
