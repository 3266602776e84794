//! A tonic client and a tonic server, with whatever is between them.

use super::{USERS, called, check_own, handled, own};
use pivot_propagate::{ClientLayer, ServerLayer, request};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::task::{Context, Poll};
use tokio::net::TcpListener;
use tonic::body::Body;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::codegen::{BoxFuture, http};
use tonic::transport::{Endpoint, Server};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;
use tower_layer::Layer;
use tower_service::Service;

#[derive(Clone, PartialEq, prost::Message)]
struct Text {
    #[prost(string, tag = "1")]
    text: String,
}

type Codec = ProstCodec<Text, Text>;

/// Its answer is the application's own baggage as it arrived.
#[derive(Clone)]
struct Handler;

impl tonic::server::UnaryService<Text> for Handler {
    type Response = Text;
    type Future = BoxFuture<Response<Text>, Status>;

    fn call(&mut self, request: Request<Text>) -> Self::Future {
        Box::pin(async move {
            let lines = request.metadata().get_all("baggage").iter().map(|line| line.to_str().unwrap());
            let text = lines.collect::<Vec<_>>().join(",");
            handled(request.into_inner().text);
            Ok(Response::new(Text { text }))
        })
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
        Box::pin(async { Ok(tonic::server::Grpc::new(Codec::default()).unary(Handler, request).await) })
    }
}

impl tonic::server::NamedService for Handler {
    const NAME: &'static str = "foreign.Server";
}

pub(crate) async fn server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
    let server = Server::builder().layer(ServerLayer::new()).add_service(Handler);
    tokio::spawn(server.serve_with_incoming(incoming));
    address
}

/// Two requests of each user, all at once, with the application's own baggage.
pub(crate) async fn calls(layer: ClientLayer, address: SocketAddr) {
    let channel = Endpoint::try_from(format!("http://{address}")).unwrap().connect().await.unwrap();
    let call = |user: &'static str, path: &'static str| {
        let mut client = tonic::client::Grpc::new(layer.layer(channel.clone()));
        request(async move {
            called(user);
            let mut call = Request::new(Text { text: path.to_owned() });
            call.metadata_mut().insert("baggage", own(user).parse().unwrap());
            client.ready().await.unwrap();
            let to = PathAndQuery::from_static("/foreign.Relay/Call");
            let reply = client.unary(call, to, Codec::default()).await.unwrap();
            check_own(user, &reply.into_inner().text);
        })
    };

    let all = USERS.into_iter().flat_map(|user| [call(user, "read"), call(user, "write")]);
    futures::future::join_all(all).await;
}
