//! Baggage across real gRPC connections, there and back.

#![allow(clippy::unwrap_used)]

mod harness;

use harness::{pack, seen_count};
use pivot_baggage::with_current;
use pivot_propagate::{
    BINARY_HEADER, ClientLayer, ClientService, ServerLayer, carried_stream, forked, request, spawn,
};
use pivot_protocol::wire::agents_client::AgentsClient;
use pivot_protocol::wire::agents_server::{Agents, AgentsServer};
use pivot_protocol::wire::frontend_client::FrontendClient;
use pivot_protocol::wire::frontend_server::{Frontend, FrontendServer};
use pivot_protocol::wire::*;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_stream::{Stream, StreamExt};
use tonic::service::Routes;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Response, Status};
use tower_layer::Layer;

/// A service that packs, and remembers what it saw.
#[derive(Default)]
struct Packs {
    seen: AtomicU64,
}

impl Packs {
    fn arrived<T>(&self, request: &Request<T>) {
        self.seen.store(seen_count(), Relaxed);
        // The layer removes its header, so that no service passes it on.
        assert!(request.metadata().get_bin(BINARY_HEADER.as_str()).is_none());
    }
}

type Reply<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl Frontend for Packs {
    async fn install(&self, request: Request<InstallRequest>) -> Reply<InstallResponse> {
        self.arrived(&request);
        Ok(Response::new(InstallResponse::default()))
    }

    async fn explain(&self, request: Request<ExplainRequest>) -> Reply<ExplainResponse> {
        self.arrived(&request);
        pack(200);
        Err(Status::not_found("nothing here"))
    }

    async fn uninstall(&self, request: Request<UninstallRequest>) -> Reply<UninstallResponse> {
        self.arrived(&request);
        pack(100 + u64::from(request.into_inner().query));
        Ok(Response::new(UninstallResponse {}))
    }

    async fn list_queries(&self, _: Request<ListQueriesRequest>) -> Reply<ListQueriesResponse> {
        Err(Status::unimplemented(""))
    }

    async fn list_agents(&self, _: Request<ListAgentsRequest>) -> Reply<ListAgentsResponse> {
        Err(Status::unimplemented(""))
    }

    async fn list_tracepoints(&self, _: Request<ListTracepointsRequest>) -> Reply<ListTracepointsResponse> {
        Err(Status::unimplemented(""))
    }

    async fn keep_alive(&self, _: Request<KeepAliveRequest>) -> Reply<KeepAliveResponse> {
        Err(Status::unimplemented(""))
    }

    async fn keep(&self, _: Request<KeepRequest>) -> Reply<KeepResponse> {
        Err(Status::unimplemented(""))
    }

    async fn set_carriers(&self, _: Request<SetCarriersRequest>) -> Reply<SetCarriersResponse> {
        Err(Status::unimplemented(""))
    }

    type BackupStream = Pin<Box<dyn Stream<Item = Result<BackupPart, Status>> + Send>>;

    async fn backup(&self, _: Request<BackupRequest>) -> Reply<Self::BackupStream> {
        Err(Status::unimplemented(""))
    }

    async fn list_history(&self, _: Request<ListHistoryRequest>) -> Reply<ListHistoryResponse> {
        Err(Status::unimplemented(""))
    }

    type ReadHistoryStream = Self::ResultsStream;

    async fn read_history(&self, _: Request<ReadHistoryRequest>) -> Reply<Self::ReadHistoryStream> {
        Err(Status::unimplemented(""))
    }

    async fn drop_history(&self, _: Request<DropHistoryRequest>) -> Reply<DropHistoryResponse> {
        Err(Status::unimplemented(""))
    }

    type SqlStream = Pin<Box<dyn Stream<Item = Result<SqlReply, Status>> + Send>>;

    async fn sql(&self, _: Request<SqlRequest>) -> Reply<Self::SqlStream> {
        Err(Status::unimplemented(""))
    }

    async fn list_carriers(&self, _: Request<ListCarriersRequest>) -> Reply<ListCarriersResponse> {
        Err(Status::unimplemented(""))
    }

    type ResultsStream = Pin<Box<dyn Stream<Item = Result<Frame, Status>> + Send>>;

    /// Streams three frames and packs with each; fails after them if the query is 1.
    async fn results(&self, request: Request<ResultsRequest>) -> Reply<Self::ResultsStream> {
        self.arrived(&request);
        let last = match request.into_inner().query {
            1 => Err(Status::aborted("the stream broke")),
            _ => Ok(Frame { last: true, ..Frame::default() }),
        };
        let frames = tokio_stream::iter(0..3).map(|index| {
            pack(300 + index);
            Ok(Frame::default())
        });
        Ok(Response::new(Box::pin(frames.chain(tokio_stream::once(last)))))
    }
}

/// A client streams to it, and it streams back; both pack with each message.
struct Echoes;

#[tonic::async_trait]
impl Agents for Echoes {
    type AttachStream = Pin<Box<dyn Stream<Item = Result<ToAgent, Status>> + Send>>;

    async fn attach(&self, request: Request<tonic::Streaming<FromAgent>>) -> Reply<Self::AttachStream> {
        assert_eq!(seen_count(), 1);
        let replies = request.into_inner().map(|message| {
            pack(500 + seen_count());
            message.map(|_| ToAgent::default())
        });
        Ok(Response::new(Box::pin(replies)))
    }
}

/// Sends three messages, packing with each, and reads the first `replies` replies. The peer has the server's address as
/// its name: what is known of a peer by name would otherwise depend on which tests have ended before.
async fn attach(address: SocketAddr, replies: usize) {
    let channel = Endpoint::try_from(format!("http://{address}")).unwrap().connect().await.unwrap();
    let layer = ClientLayer::new().peer(&address.to_string());
    let mut calls = AgentsClient::new(layer.layer(channel));

    let (messages, ending) = carried_stream(tokio_stream::iter(0..3).map(|index| {
        pack(400 + index);
        FromAgent::default()
    }));

    let mut stream = calls.attach(messages).await.unwrap().into_inner();
    for _ in 0..replies {
        assert!(stream.message().await.unwrap().is_some());
    }
    if replies == 3 {
        assert!(stream.message().await.unwrap().is_none());
    }

    // The connection drops the messages that were not sent when it gets to it.
    drop((stream, calls));
    while ending.join().is_none() {
        tokio::task::yield_now().await;
    }
}

/// Starts a server of [`Echoes`].
async fn echoes() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut server = tonic::transport::Server::builder().layer(ServerLayer::new());
    let server = server.add_service(AgentsServer::new(Echoes));
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    address
}

#[tokio::test]
async fn both_directions_of_a_stream_pack_and_all_comes_back_with_its_end() {
    let address = echoes().await;
    request(async {
        pack(1);
        attach(address, 3).await;
        assert_eq!(seen_count(), 7);
        let instances = with_current(|current| current.unwrap().instance_count());
        assert_eq!(instances, 0);
    })
    .await;
}

#[tokio::test]
async fn a_stream_that_is_given_up_loses_what_the_server_packed_and_nothing_else() {
    let address = echoes().await;
    request(async {
        pack(1);
        attach(address, 1).await;
        assert!((1..=4).contains(&seen_count()));
        assert!(!with_current(|current| current.unwrap().is_partial()));
    })
    .await;
}

type Calls = FrontendClient<ClientService<Channel>>;

/// Connects to a server of its own, with layers on both sides.
async fn connected() -> (Calls, Arc<Packs>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();

    let packs = Arc::new(Packs::default());
    let routes = Routes::new(FrontendServer::from_arc(packs.clone()));
    let server = tonic::transport::Server::builder().layer(ServerLayer::new()).add_routes(routes);
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    let channel = Endpoint::try_from(format!("http://{address}")).unwrap().connect().await.unwrap();
    (FrontendClient::new(ClientLayer::new().layer(channel)), packs)
}

async fn uninstall(mut calls: Calls, query: u32) {
    calls.uninstall(UninstallRequest { query }).await.unwrap();
}

/// Reads a stream of results to its end. Returns the number of frames.
async fn drain(mut calls: Calls, query: u32) -> Result<u64, Status> {
    let mut frames = calls.results(ResultsRequest { query, ..Default::default() }).await?.into_inner();
    let mut count = 0;
    while frames.message().await?.is_some() {
        count += 1;
    }
    Ok(count)
}

#[tokio::test]
async fn a_call_sees_what_its_caller_packed_and_its_caller_sees_what_it_packed() {
    let (calls, packs) = connected().await;
    request(async {
        pack(1);
        pack(2);
        uninstall(calls.clone(), 0).await;
        assert_eq!((packs.seen.load(Relaxed), seen_count()), (2, 3));
        uninstall(calls, 1).await;
        assert_eq!((packs.seen.load(Relaxed), seen_count()), (3, 4));
    })
    .await;
}

#[tokio::test]
async fn a_client_that_sends_no_baggage_is_sent_none() {
    let (calls, packs) = connected().await;
    request(async {
        uninstall(calls, 0).await;
        assert_eq!((packs.seen.load(Relaxed), seen_count()), (0, 0));
    })
    .await;
}

#[tokio::test]
async fn a_failed_call_brings_back_what_it_packed() {
    let (mut calls, packs) = connected().await;
    request(async {
        pack(1);
        let status = calls.explain(ExplainRequest::default()).await.unwrap_err();
        assert_eq!(status.code(), tonic::Code::NotFound);
        assert!(status.metadata().get_bin(BINARY_HEADER.as_str()).is_none());
        assert_eq!((packs.seen.load(Relaxed), seen_count()), (1, 2));
    })
    .await;
}

#[tokio::test]
async fn a_stream_brings_back_what_it_packed_while_it_ran() {
    let (calls, packs) = connected().await;
    request(async {
        pack(1);
        assert_eq!(drain(calls, 0).await.unwrap(), 4);
        assert_eq!((packs.seen.load(Relaxed), seen_count()), (1, 4));
    })
    .await;
}

#[tokio::test]
async fn a_stream_that_fails_half_way_brings_back_what_it_packed() {
    let (calls, _packs) = connected().await;
    request(async {
        pack(1);
        assert_eq!(drain(calls, 1).await.unwrap_err().code(), tonic::Code::Aborted);
        assert_eq!(seen_count(), 4);
    })
    .await;
}

#[tokio::test]
async fn concurrent_calls_do_not_see_each_other_and_all_come_back() {
    let (calls, _packs) = connected().await;
    request(async {
        pack(1);
        let task = spawn(uninstall(calls.clone(), 0));
        tokio::join!(forked(uninstall(calls.clone(), 1)), forked(drain(calls, 0))).1.unwrap();
        assert_eq!(seen_count(), 5);
        task.await.unwrap();
        assert_eq!(seen_count(), 6);
    })
    .await;
}

#[tokio::test]
async fn a_call_from_outside_any_request_is_served_and_joins_nothing() {
    let (calls, packs) = connected().await;
    uninstall(calls.clone(), 0).await;
    assert_eq!(drain(calls, 0).await.unwrap(), 4);
    assert_eq!(packs.seen.load(Relaxed), 0);
    assert!(!pivot_baggage::in_request());
}
