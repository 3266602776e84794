//! Messages that fit without the layers fit with them, whatever a query packs: real connections of hyper with the limits
//! that it has by itself.

#![allow(clippy::unwrap_used)]

use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::routing::get;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body_util::BodyExt;
use hyper_util::client::legacy::Client as Hyper;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use pivot_advice::{BagKey, Groups, QueryId, TemporalFilter, Value};
use pivot_baggage::withheld_counts::WithheldReason;
use pivot_baggage::{Share, in_request, set_carrying, with_current, withheld_messages};
use pivot_propagate::{ClientLayer, ServerLayer, request};
use std::net::SocketAddr;
use tokio::net::TcpListener;
use tower_layer::Layer;
use tower_service::Service;

const KEY: BagKey = BagKey { query: QueryId { frontend: 1, number: 7 }, stage: 1 };

/// Packs a text of 900 bytes, most of what may travel.
fn pack() {
    let mut rows = Groups::new(1, &[]);
    rows.entry(&[Value::str("x".repeat(900))]).n = 1;
    with_current(|current| current.unwrap().pack(KEY, TemporalFilter::All, [rows]));
}

/// Which version of HTTP is spoken.
#[derive(Debug, Clone, Copy)]
enum Http {
    V1,
    V2,
}

/// Packs, and answers with a header of as many bytes as it is asked for.
async fn answer(Path(bytes): Path<usize>) -> (HeaderMap, &'static str) {
    if in_request() {
        pack();
    }
    (headers(bytes, 1), "answer")
}

/// Returns so many lines of headers, the first with a value of so many bytes.
fn headers(bytes: usize, lines: usize) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in 0..lines {
        let value = "v".repeat(if line == 0 { bytes } else { 1 });
        let name = HeaderName::try_from(format!("own-{line}")).unwrap();
        headers.append(name, HeaderValue::try_from(value).unwrap());
    }
    headers
}

/// Starts a server, with or without the layer.
async fn serve(http: Http, layer: Option<ServerLayer>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let plain = Router::new().route("/{bytes}", get(answer));
    let routes = layer.map_or(plain.clone(), |layer| plain.layer(layer));

    tokio::spawn(async move {
        loop {
            let (connection, _) = listener.accept().await.unwrap();
            let (io, service) = (TokioIo::new(connection), TowerToHyperService::new(routes.clone()));
            tokio::spawn(async move {
                let http1 = hyper::server::conn::http1::Builder::new();
                let http2 = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                let _ = match http {
                    Http::V1 => http1.serve_connection(io, service).await,
                    Http::V2 => http2.serve_connection(io, service).await,
                };
            });
        }
    });
    address
}

/// A call: how large its headers are, and those of its reply.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    bytes: usize,
    lines: usize,
    reply_bytes: usize,
}

/// Makes a call through a client. Returns whether it succeeds.
async fn succeeds<S, R>(mut client: S, address: SocketAddr, sizes: Sizes) -> bool
where
    S: Service<Request<Body>, Response = Response<R>>,
    R: http_body::Body,
{
    let mut call = Request::builder()
        .uri(format!("http://{address}/{}", sizes.reply_bytes))
        .body(Body::empty())
        .unwrap();
    *call.headers_mut() = headers(sizes.bytes, sizes.lines);
    let Ok(reply) = client.call(call).await else { return false };
    let is_success = reply.status().is_success();
    is_success && reply.into_body().collect().await.is_ok()
}

/// Checks that each call that succeeds without the layers succeeds with them. Returns how many came back with what the
/// peer has packed.
async fn check(http: Http, calls: impl IntoIterator<Item = Sizes>) -> usize {
    set_carrying(true);
    let (bare, observed) = (serve(http, None).await, serve(http, Some(ServerLayer::new())).await);
    let client = Hyper::builder(TokioExecutor::new()).http2_only(matches!(http, Http::V2)).build_http();

    let mut brought_back = 0;
    for sizes in calls {
        let without = succeeds(client.clone(), bare, sizes).await;
        let calls = async {
            pack();
            let with = succeeds(ClientLayer::new().layer(client.clone()), observed, sizes).await;
            assert_eq!(with, without, "{sizes:?} with the layers");
            with_current(|baggage| {
                baggage.unwrap().unpack(KEY).map_or(0, |rows| rows.iter().map(|group| group.n).sum::<u64>())
            })
        };
        brought_back += usize::from(request(calls).await == 2);
    }
    brought_back
}

fn no_room() -> u64 {
    let of_reason =
        withheld_messages().into_iter().filter(|withheld| withheld.reason == WithheldReason::NoRoom);
    of_reason.map(|withheld| withheld.messages).sum()
}

/// Sizes of headers on both sides of the limit.
fn sizes() -> impl Iterator<Item = usize> {
    (0..=16_500).step_by(750).chain((14_000..16_500).step_by(100))
}

#[tokio::test]
async fn a_request_over_http_2_that_fits_without_baggage_fits_with_it() {
    let before = no_room();
    let calls = || sizes().map(|bytes| Sizes { bytes, lines: 1, reply_bytes: 0 });
    let brought_back = check(Http::V2, calls()).await;
    assert!(brought_back > 18 && brought_back < calls().count(), "{brought_back}");
    assert!(no_room() > before);
}

#[tokio::test]
async fn a_reply_over_http_2_that_fits_without_baggage_fits_with_it() {
    let before = no_room();
    let calls = || sizes().map(|reply_bytes| Sizes { bytes: 0, lines: 1, reply_bytes });
    let brought_back = check(Http::V2, calls()).await;
    assert!(brought_back > 18 && brought_back < calls().count(), "{brought_back}");
    assert!(no_room() > before);
}

#[tokio::test]
async fn a_request_over_http_1_with_as_many_headers_as_fit_gets_no_more() {
    let before = no_room();
    let calls = || (80..=102).map(|lines| Sizes { bytes: 1, lines, reply_bytes: 0 });
    let brought_back = check(Http::V1, calls()).await;
    assert!((10..=18).contains(&brought_back), "{brought_back}");
    assert!(no_room() > before);
}

#[tokio::test]
async fn a_branch_without_room_joins_again() {
    set_carrying(true);
    let server = serve(Http::V1, Some(ServerLayer::new())).await;
    let client = Hyper::builder(TokioExecutor::new()).build_http();
    request(async {
        pack();
        let sizes = Sizes { bytes: 1, lines: 98, reply_bytes: 0 };
        assert!(succeeds(ClientLayer::new().layer(client), server, sizes).await);
        with_current(|baggage| assert_eq!(baggage.unwrap().share(), Share::whole()));
    })
    .await;
}
