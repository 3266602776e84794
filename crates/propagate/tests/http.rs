//! Baggage across real HTTP connections: axum and hyper as servers, hyper and reqwest as clients.

#![allow(clippy::unwrap_used)]

mod harness;

use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::http::{HeaderMap, Request, StatusCode};
use axum::routing::get;
use futures::StreamExt;
use harness::{pack, seen_count};
use http_body_util::BodyExt;
use hyper_util::client::legacy::Client as Hyper;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use pivot_baggage::{Share, with_current};
use pivot_propagate::{ClientLayer, ServerLayer, forked, request};
use std::net::SocketAddr;
use tokio::net::TcpListener;
use tower_layer::Layer;
use tower_service::Service;

/// Packs a value. Replies with how many packs it saw before, and the application's own `baggage`.
async fn plain(Path(value): Path<u64>, headers: HeaderMap) -> (StatusCode, String) {
    let before = seen_count();
    pack(value);
    let own = headers.get("baggage").map_or("", |own| own.to_str().unwrap());
    let status = if value == 500 { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::OK };
    (status, format!("{before} {own}"))
}

/// Packs with each of three pieces of the body.
async fn streaming() -> Body {
    Body::from_stream(futures::stream::iter(0..3).map(|index| {
        pack(300 + index);
        Ok::<_, std::io::Error>(format!("{} ", seen_count()))
    }))
}

fn routes(layer: ServerLayer) -> Router {
    Router::new().route("/plain/{value}", get(plain)).route("/streaming", get(streaming)).layer(layer)
}

/// Starts the service in axum's server.
async fn axum_server(layer: ServerLayer) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async { axum::serve(listener, routes(layer)).await.unwrap() });
    address
}

/// Starts the service in hyper's server.
async fn hyper_server(layer: ServerLayer) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (connection, _) = listener.accept().await.unwrap();
            let service = TowerToHyperService::new(routes(layer.clone()));
            let http = hyper::server::conn::http1::Builder::new();
            tokio::spawn(http.serve_connection(TokioIo::new(connection), service));
        }
    });
    address
}

/// Calls with hyper's client, with a `baggage` header of the application's own. Returns the body.
async fn call(layer: ClientLayer, address: SocketAddr, path: &str) -> String {
    let mut client = layer.layer(Hyper::builder(TokioExecutor::new()).build_http());
    let call = Request::builder().uri(format!("http://{address}{path}")).header("baggage", "user=al%20ice;p");

    let reply = client.call(call.body(Body::empty()).unwrap()).await.unwrap();
    assert!(!reply.headers().contains_key("pivot-baggage"), "what was joined is taken away");

    let body = reply.into_body().collect().await.unwrap();
    String::from_utf8(body.to_bytes().to_vec()).unwrap()
}

/// Checks what calls to a server see and bring back, one after the other and concurrently.
async fn check_calls(address: SocketAddr) {
    request(async {
        pack(1);
        assert_eq!(call(ClientLayer::new(), address, "/plain/10").await, "1 user=al%20ice;p");
        assert_eq!(seen_count(), 2);

        assert_eq!(call(ClientLayer::new(), address, "/plain/500").await, "2 user=al%20ice;p");
        assert_eq!(seen_count(), 3);

        let both = ["/plain/11", "/plain/12"].map(|path| forked(call(ClientLayer::new(), address, path)));
        let [a, b] = both;
        let (a, b) = tokio::join!(a, b);
        assert_eq!((a.as_str(), b.as_str(), seen_count()), ("3 user=al%20ice;p", "3 user=al%20ice;p", 5));
        with_current(|current| assert_eq!(current.unwrap().share(), Share::whole()));
    })
    .await;
}

#[tokio::test]
async fn a_call_to_an_axum_server_brings_baggage_there_and_back() {
    check_calls(axum_server(ServerLayer::new()).await).await;
}

#[tokio::test]
async fn a_call_to_a_hyper_server_brings_baggage_there_and_back() {
    check_calls(hyper_server(ServerLayer::new()).await).await;
}

#[tokio::test]
async fn a_reply_that_streams_brings_back_in_its_trailers_what_it_packed() {
    let address = axum_server(ServerLayer::new()).await;
    request(async {
        pack(1);
        assert_eq!(call(ClientLayer::new(), address, "/streaming").await, "2 3 4 ");
        assert_eq!(seen_count(), 4);
    })
    .await;
}

#[tokio::test]
async fn the_bridge_shows_what_happened_before_and_brings_nothing_back() {
    let address = axum_server(ServerLayer::new()).await;
    request(async {
        pack(1);
        assert_eq!(call(ClientLayer::bridge(), address, "/plain/10").await, "1 user=al%20ice;p");
        assert_eq!(seen_count(), 1);
        with_current(|current| {
            let current = current.unwrap();
            assert_eq!((current.share(), current.is_partial()), (Share::whole(), false));
        });
    })
    .await;
}

#[tokio::test]
async fn at_the_edge_every_call_begins_a_request() {
    let address = axum_server(ServerLayer::edge()).await;
    request(async {
        pack(1);
        for layer in [ClientLayer::new(), ClientLayer::bridge()] {
            assert_eq!(call(layer, address, "/plain/10").await, "0 user=al%20ice;p");
        }
        assert_eq!(seen_count(), 1);
    })
    .await;
}

#[cfg(feature = "mac")]
#[tokio::test]
async fn only_baggage_signed_with_the_key_is_accepted() {
    let key = pivot_propagate::SigningKey::new(&[7; 32]);
    let other = pivot_propagate::SigningKey::new(&[8; 32]);

    let address = axum_server(ServerLayer::new().key(key.clone())).await;
    request(async {
        pack(1);
        for (layer, before) in [
            (ClientLayer::new(), "0"),
            (ClientLayer::new().key(other.clone()), "0"),
            (ClientLayer::bridge().key(other), "0"),
            (ClientLayer::bridge().key(key.clone()), "1"),
            (ClientLayer::new().key(key.clone()), "1"),
        ] {
            let reply = call(layer, address, "/plain/10").await;
            assert_eq!(reply.split(' ').next(), Some(before));
        }
        assert_eq!(seen_count(), 2);
    })
    .await;

    // A server without a key reads signed baggage, and does not sign its reply.
    let address = axum_server(ServerLayer::new()).await;
    request(async {
        pack(1);
        assert!(call(ClientLayer::new().key(key), address, "/plain/10").await.starts_with('1'));
        assert_eq!(seen_count(), 1, "the reply is not signed");
    })
    .await;
}

#[cfg(feature = "reqwest")]
#[tokio::test]
async fn a_call_with_reqwest_brings_baggage_there_and_back() {
    let address = axum_server(ServerLayer::new()).await;
    let plain = reqwest_middleware::reqwest::Client::new();
    let client = reqwest_middleware::ClientBuilder::new(plain).with(ClientLayer::new()).build();
    let get = |path: &str| {
        let call = client.get(format!("http://{address}{path}")).header("baggage", "a=1");
        async move { call.send().await.unwrap().text().await.unwrap() }
    };
    request(async {
        pack(1);
        assert_eq!(get("/plain/10").await, "1 a=1");
        assert_eq!(get("/streaming").await, "3 4 5 ");

        // reqwest does not accept trailers: a stream brings back what was packed before it.
        assert_eq!(seen_count(), 2);
    })
    .await;
}
