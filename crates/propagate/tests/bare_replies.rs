//! Replies that lose their baggage on the way, over real connections: through a proxy that removes our header.

#![allow(clippy::unwrap_used)]

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{Request, Response, header};
use axum::routing::get;
use futures::StreamExt;
use http_body_util::BodyExt;
use hyper_util::client::legacy::Client as Hyper;
use hyper_util::rt::TokioExecutor;
use pivot_advice::{LossCounts, QueryId};
use pivot_agent::{QueryReport, tracepoint};
use pivot_baggage::reply_ledger;
use pivot_propagate::{ClientLayer, ServerLayer, TEXT_HEADER, request};
use pivot_query::{Catalog, CompileOptions, compile_with};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Mutex;
use tower_layer::Layer;
use tower_service::Service;

/// What is woven is woven in the whole process: one test at a time.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

const ABSENT: &str = "FROM e IN Caller.end ANTI JOIN w IN Callee.work ON w -> e SELECT COUNT";

/// Weaves a query, runs the work, and returns what is reported of the query.
async fn report_of(text: &str, work: impl Future<Output = ()>) -> QueryReport {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let mut catalog = Catalog::default();
    pivot_agent::catalogue().iter().for_each(|exports| catalog.add(exports));
    let program = compile_with(text, &catalog, &CompileOptions::default());
    let query = QueryId::new(2, NEXT.fetch_add(1, Relaxed));
    let advice = program.map_err(|wrong| format!("{wrong:?}")).unwrap().advice(query);

    pivot_baggage::set_carrying(true);
    assert!(pivot_agent::weave(&advice).is_empty());
    work.await;
    let report = pivot_agent::drain().remove(&query).unwrap();
    assert!(pivot_agent::weave(&[]).is_empty());
    report
}

async fn work() -> &'static str {
    tracepoint!("Callee.work", done: bool = true);
    "done"
}

/// A body whose pieces are events.
async fn stream() -> Body {
    Body::from_stream(futures::stream::iter(0..3).map(|_| {
        tracepoint!("Callee.work", done: bool = true);
        Ok::<_, Infallible>("piece")
    }))
}

async fn never() {
    tracepoint!("Callee.work", done: bool = true);
    std::future::pending().await
}

async fn listen(routes: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async { axum::serve(listener, routes).await.unwrap() });
    address
}

async fn server() -> SocketAddr {
    let routes =
        Router::new().route("/work", get(work)).route("/stream", get(stream)).route("/never", get(never));
    listen(routes.layer(ServerLayer::new())).await
}

/// A hop that forwards requests and replies, without our header in the latter while `strips` says so, and without
/// `TE`, as most proxies do.
async fn proxy(to: SocketAddr, strips: Arc<AtomicBool>) -> SocketAddr {
    async fn forward(
        State((to, strips)): State<(SocketAddr, Arc<AtomicBool>)>,
        request: Request<Body>,
    ) -> Response<Body> {
        let (mut parts, body) = request.into_parts();
        parts.uri = format!("http://{to}{}", parts.uri.path()).parse().unwrap();
        parts.headers.remove(header::TE);

        let client = Hyper::builder(TokioExecutor::new()).build_http::<Body>();
        let mut reply = client.request(Request::from_parts(parts, body)).await.unwrap().map(Body::new);
        if strips.load(Relaxed) {
            reply.headers_mut().remove(TEXT_HEADER);
        }
        reply
    }

    listen(Router::new().fallback(forward).with_state((to, strips))).await
}

/// Makes a request that calls and then ends.
async fn requested(address: SocketAddr, path: &str) {
    request(async {
        let mut client = ClientLayer::new().layer(Hyper::builder(TokioExecutor::new()).build_http());
        let call = Request::builder().uri(format!("http://{address}{path}")).body(Body::empty()).unwrap();
        client.call(call).await.unwrap().into_body().collect().await.unwrap();
        tracepoint!("Caller.end", done: bool = true);
    })
    .await;
}

/// Returns the replies of a peer that brought baggage back, and those that did not.
fn replies_of(peer: SocketAddr) -> (u64, u64) {
    let all = reply_ledger::peer_replies();
    let found = all.iter().find(|replies| replies.peer == peer.to_string());
    found.map_or((0, 0), |replies| (replies.returned, replies.bare))
}

#[tokio::test]
async fn a_peer_that_always_loses_its_baggage_is_found_out_by_the_tags_of_both_ends() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let proxy = proxy(server().await, Arc::new(AtomicBool::new(true))).await;
    let report = report_of(ABSENT, async {
        for _ in 0..100 {
            requested(proxy, "/work").await;
        }
    });
    let report = report.await;

    // The caller alone cannot tell the peer from a service without Pivot.
    assert_eq!((report.emitted, report.loss), (100, LossCounts { undecided: 100, ..LossCounts::default() }));
    assert_eq!(replies_of(proxy), (0, 100));
    let bare = reply_ledger::recent_bare_replies();
    let both = bare.iter().filter(|(tag, peer)| report.left.contains(tag) && *peer == proxy.to_string());
    assert_eq!((both.count(), report.left.len()), (reply_ledger::MAX_TAGS, reply_ledger::MAX_TAGS));
}

#[tokio::test]
async fn a_service_without_pivot_loses_nothing() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let plain = listen(Router::new().route("/work", get(|| async { "done" }))).await;
    let report = report_of(ABSENT, async {
        requested(plain, "/work").await;
    });
    let report = report.await;
    assert_eq!((report.emitted, report.loss.undecided), (1, 1));
    assert!(report.loss.is_zero() && report.left.is_empty());
    assert_eq!(replies_of(plain), (0, 1));
}

#[tokio::test]
async fn a_reply_without_the_baggage_that_its_peer_returns_otherwise_makes_absences_uncertain() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let strips = Arc::new(AtomicBool::new(false));
    let proxy = proxy(server().await, strips.clone()).await;
    pivot_baggage::leaks::watch(true);

    let report = report_of(ABSENT, async {
        requested(proxy, "/work").await;
        strips.store(true, Relaxed);
        requested(proxy, "/work").await;
        strips.store(false, Relaxed);
        requested(proxy, "/work").await;
    });
    let report = report.await;
    pivot_baggage::leaks::watch(false);

    assert_eq!((report.emitted, report.loss.uncertain, report.loss.undecided), (1, 1, 0));
    assert_eq!(replies_of(proxy), (2, 1));
    let leaks = pivot_baggage::leaks();
    assert!(leaks.iter().any(|leak| leak.place.contains(&proxy.to_string())), "{leaks:?}");
}

#[tokio::test]
async fn a_call_that_is_cancelled_leaves_no_way_back_and_its_absence_is_exact() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let address = server().await;
    requested(address, "/work").await;
    let before = reply_ledger::unanswered_calls();

    let report = report_of(ABSENT, async {
        request(async {
            let mut client = ClientLayer::new().layer(Hyper::builder(TokioExecutor::new()).build_http());
            let call = Request::builder().uri(format!("http://{address}/never")).body(Body::empty()).unwrap();
            assert!(tokio::time::timeout(Duration::from_millis(300), client.call(call)).await.is_err());
            tracepoint!("Caller.end", done: bool = true);
        })
        .await;
    });

    let report = report.await;
    assert_eq!((report.emitted, report.loss), (1, LossCounts::default()));
    assert_eq!(reply_ledger::unanswered_calls() - before, 1);
}

#[tokio::test]
async fn what_a_streamed_body_packs_behind_the_headers_is_counted() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let server = server().await;
    let proxy = proxy(server, Arc::new(AtomicBool::new(false))).await;
    let joined = "FROM e IN Caller.end JOIN w IN Callee.work ON w -> e SELECT COUNT";
    // With trailers nothing is late; a proxy that asks for none leaves no place for what the body packs.
    let report = report_of(joined, requested(server, "/stream")).await;
    assert_eq!((report.emitted, report.loss), (3, LossCounts::default()));
    let report = report_of(joined, requested(proxy, "/stream")).await;
    assert_eq!((report.emitted, report.loss), (0, LossCounts { late: 3, ..LossCounts::default() }));
}

#[tokio::test]
async fn a_body_that_is_dropped_before_its_trailers_is_a_reply_without_baggage() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let address = server().await;
    let report = report_of(ABSENT, async {
        requested(address, "/work").await;
        request(async {
            let mut client = ClientLayer::new().layer(Hyper::builder(TokioExecutor::new()).build_http());
            let call =
                Request::builder().uri(format!("http://{address}/stream")).body(Body::empty()).unwrap();
            drop(client.call(call).await.unwrap());
            tracepoint!("Caller.end", done: bool = true);
        })
        .await;
    });

    let report = report.await;
    assert_eq!((report.emitted, report.loss.uncertain), (1, 1));
}
