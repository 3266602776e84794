//! Requests and calls as events: what queries find of them over real connections.

#![allow(clippy::unwrap_used)]

use axum::Router;
use axum::body::Body;
use axum::extract::{MatchedPath, Path};
use axum::http::{Request, StatusCode};
use axum::routing::get;
use futures::StreamExt;
use http::{HeaderMap, HeaderValue, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use hyper_util::client::legacy::Client as Hyper;
use hyper_util::rt::TokioExecutor;
use pivot_advice::{QueryId, Value};
use pivot_agent::tracepoint;
use pivot_propagate::{ClientLayer, ServerLayer, request};
use pivot_query::{Catalog, CompileOptions, compile_with};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Mutex;
use tower_layer::Layer;
use tower_service::Service;

/// What is woven is woven in the whole process: one test at a time.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

/// Weaves a query, runs the work, and returns the groups that came of it: their keys as text, and how many rows.
async fn groups_of(text: &str, work: impl Future<Output = ()>) -> Vec<(String, u64)> {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    drop((ClientLayer::new(), ServerLayer::new()));
    let mut catalog = Catalog::default();
    pivot_agent::catalogue().iter().for_each(|exports| catalog.add(exports));
    let program = compile_with(text, &catalog, &CompileOptions::default());
    let query = QueryId::new(1, NEXT.fetch_add(1, Relaxed));
    let advice = program.map_err(|wrong| format!("{wrong:?}")).unwrap().advice(query);

    pivot_baggage::set_carrying(true);
    assert!(pivot_agent::weave(&advice).is_empty());
    work.await;
    let report = pivot_agent::drain().remove(&query);
    assert!(pivot_agent::weave(&[]).is_empty());

    let groups = report.and_then(|report| report.groups);
    let mut rows: Vec<(String, u64)> = groups.iter().flat_map(|groups| groups.iter()).map(row).collect();
    rows.sort();
    rows
}

fn row(group: &pivot_advice::Group) -> (String, u64) {
    let key: Vec<String> = group.key.iter().map(Value::to_string).collect();
    (key.join(" "), group.n)
}

async fn plain(Path(value): Path<u16>) -> (StatusCode, &'static str) {
    (StatusCode::from_u16(value).unwrap(), "text")
}

/// A body of three pieces, each of which is an event.
async fn pieces() -> Body {
    Body::from_stream(futures::stream::iter(0..3).map(|index| {
        tracepoint!("Body.piece", index: u64 = index);
        Ok::<_, Infallible>("piece")
    }))
}

/// A stream of known length, which is sent without trailers.
async fn measured() -> Response<Body> {
    Response::builder().header("content-length", "15").body(pieces().await).unwrap()
}

async fn failing() -> Body {
    let fails = futures::stream::once(async {
        tokio::task::yield_now().await;
        Err(std::io::Error::other("disk"))
    });
    Body::from_stream(futures::stream::iter([Ok("piece")]).chain(fails))
}

async fn never() {
    tracepoint!("Never.begins");
    std::future::pending().await
}

async fn server() -> SocketAddr {
    let layer = ServerLayer::new()
        .path_template(|parts| parts.extensions.get::<MatchedPath>().map(MatchedPath::as_str));
    let routes = Router::new()
        .route("/plain/{status}", get(plain))
        .route("/pieces", get(pieces))
        .route("/measured", get(measured))
        .route("/failing", get(failing))
        .route("/never", get(never))
        .layer(layer);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async { axum::serve(listener, routes).await.unwrap() });
    address
}

/// Calls a path and reads the whole reply, or as much as there is of it.
async fn call(address: SocketAddr, path: &str) {
    let mut client = ClientLayer::new().layer(Hyper::builder(TokioExecutor::new()).build_http());
    let call = Request::builder().uri(format!("http://{address}{path}")).body(Body::empty()).unwrap();
    let reply = client.call(call).await.unwrap();
    let _maybe_cut = reply.into_body().collect().await;
}

#[tokio::test]
async fn calls_are_counted_by_template_status_and_outcome() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let address = server().await;
    let calls = || async move {
        for path in ["/plain/200", "/plain/200", "/plain/404", "/plain/500", "/pieces", "/failing", "/lost"] {
            request(call(address, path)).await;
        }
    };

    let found = groups_of(
        "FROM s IN pivot::server@exit GROUP BY s.method, s.path_template, s.status, s.outcome
         SELECT s.method, s.path_template, s.status, s.outcome, COUNT, MAX(s.elapsed)",
        calls(),
    );
    let expected = [
        ("GET /failing 200 err", 1),
        ("GET /pieces 200 ok", 1),
        ("GET /plain/{status} 200 ok", 2),
        ("GET /plain/{status} 404 ok", 1),
        ("GET /plain/{status} 500 err", 1),
        ("GET null 404 ok", 1),
    ];
    assert_eq!(found.await, expected.map(|(key, n)| (key.to_owned(), n)));

    let found = groups_of(
        "FROM c IN pivot::client@exit GROUP BY c.path, c.status, c.outcome, c.peer
         SELECT c.path, c.status, c.outcome, c.peer, COUNT",
        calls(),
    );
    let expected = [
        ("/failing 200 err 127.0.0.1", 1),
        ("/lost 404 err 127.0.0.1", 1),
        ("/pieces 200 ok 127.0.0.1", 1),
        ("/plain/200 200 ok 127.0.0.1", 2),
        ("/plain/404 404 err 127.0.0.1", 1),
        ("/plain/500 500 err 127.0.0.1", 1),
    ];
    assert_eq!(found.await, expected.map(|(key, n)| (key.to_owned(), n)));
}

#[tokio::test]
async fn the_end_of_a_call_at_the_server_happened_before_its_end_at_the_client() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let address = server().await;
    let text = "FROM c IN pivot::client@exit JOIN s IN pivot::server@exit ON s -> c
                JOIN e IN pivot::client@enter ON e -> s
                GROUP BY c.path, s.outcome SELECT c.path, s.outcome, COUNT";
    let found = groups_of(text, async {
        request(call(address, "/plain/200")).await;
        request(call(address, "/pieces")).await;
    });
    assert_eq!(found.await, [("/pieces ok".to_owned(), 1), ("/plain/200 ok".to_owned(), 1)]);
}

#[tokio::test]
async fn a_call_ends_with_the_body_of_its_reply_and_inside_its_request() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let address = server().await;
    let text =
        "FROM s IN pivot::server@exit JOIN p IN Body.piece ON p -> s JOIN e IN pivot::server@enter ON e -> p
                GROUP BY s.path SELECT s.path, COUNT";
    let found = groups_of(text, async {
        request(call(address, "/pieces")).await;
        request(call(address, "/measured")).await;
        // A caller without Pivot.
        let client = Hyper::builder(TokioExecutor::new()).build_http::<Body>();
        let reply = client.get(format!("http://{address}/pieces").parse().unwrap()).await.unwrap();
        reply.into_body().collect().await.unwrap();
    });
    assert_eq!(found.await, [("/measured".to_owned(), 3), ("/pieces".to_owned(), 6)]);
}

#[tokio::test]
async fn a_call_that_is_dropped_ends_once_and_as_cancelled_on_both_sides() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let address = server().await;
    let text = "FROM x IN pivot::server@exit, pivot::client@exit, pivot::request@exit
                GROUP BY x.tracepoint, x.outcome SELECT x.tracepoint, x.outcome, COUNT";
    let found = groups_of(text, async {
        let call = request(async {
            tokio::time::timeout(Duration::from_millis(300), call(address, "/never")).await
        });
        assert!(call.await.is_err());
        assert!(
            tokio::time::timeout(Duration::from_millis(300), request(call_never(address))).await.is_err()
        );
        // The server notices that the connection has gone.
        tokio::time::sleep(Duration::from_millis(300)).await;
    });
    let expected = [
        ("pivot::client@exit cancelled", 2),
        ("pivot::request@exit cancelled", 1),
        ("pivot::request@exit ok", 1),
        ("pivot::server@exit cancelled", 2),
    ];
    assert_eq!(found.await, expected.map(|(key, n)| (key.to_owned(), n)));
}

async fn call_never(address: SocketAddr) {
    call(address, "/never").await;
}

#[tokio::test]
async fn a_request_that_panics_says_so() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let text = "FROM r IN pivot::request@exit JOIN b IN pivot::request@enter ON b -> r
                GROUP BY r.outcome SELECT r.outcome, COUNT, MIN(r.elapsed)";
    let found = groups_of(text, async {
        request(async {}).await;
        let panics = tokio::spawn(request(async { std::panic::resume_unwind(Box::new("gone")) }));
        assert!(panics.await.is_err());
    });
    assert_eq!(found.await, [("ok".to_owned(), 1), ("panic".to_owned(), 1)]);
}

#[tokio::test]
async fn grpc_calls_tell_service_method_and_the_status_of_their_trailers() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let text = "FROM s IN pivot::server@exit, pivot::client@exit
                GROUP BY s.tracepoint, s.grpc_service, s.grpc_method, s.grpc_status, s.outcome, s.status
                SELECT s.tracepoint, s.grpc_service, s.grpc_method, s.grpc_status, s.outcome, s.status, COUNT";
    let found = groups_of(text, async {
        for status in ["0", "14", ""] {
            let service = tower::service_fn(move |_: Request<()>| async move {
                let mut trailers = HeaderMap::new();
                if !status.is_empty() {
                    trailers.insert("grpc-status", HeaderValue::from_static(status));
                }
                let frames =
                    [Ok::<_, Infallible>(Frame::data(&b"message"[..])), Ok(Frame::trailers(trailers))];
                Ok::<_, Infallible>(Response::new(StreamBody::new(futures::stream::iter(frames))))
            });
            let mut call = ClientLayer::new().layer(ServerLayer::new().layer(service));
            let request =
                Request::builder().uri("/store.v1.Blocks/Read").header("content-type", "application/grpc");
            call.call(request.body(()).unwrap()).await.unwrap().into_body().collect().await.unwrap();
        }
    });
    let expected = [
        "pivot::client@exit store.v1.Blocks Read 0 ok 200",
        "pivot::client@exit store.v1.Blocks Read 14 err 200",
        "pivot::client@exit store.v1.Blocks Read null ok 200",
        "pivot::server@exit store.v1.Blocks Read 0 ok 200",
        "pivot::server@exit store.v1.Blocks Read 14 err 200",
        "pivot::server@exit store.v1.Blocks Read null ok 200",
    ];
    assert_eq!(found.await, expected.map(|key| (key.to_owned(), 1)));
}

#[tokio::test]
async fn the_peer_and_the_path_are_evaluated_only_if_they_are_read() {
    let _alone = ONE_AT_A_TIME.lock().await;
    static ASKED: AtomicU32 = AtomicU32::new(0);
    let layer = ServerLayer::new()
        .path_template(|_| {
            ASKED.fetch_add(1, Relaxed);
            Some("/t")
        })
        .peer_address(|_| {
            ASKED.fetch_add(1, Relaxed);
            Some(([10, 0, 0, 7], 80).into())
        });
    let calls = || async {
        let answer =
            tower::service_fn(|_: Request<()>| async { Ok::<_, Infallible>(Response::new(Body::empty())) });
        layer.layer(answer).call(Request::new(())).await.unwrap();
    };

    calls().await;
    groups_of("FROM s IN pivot::server@exit GROUP BY s.outcome SELECT s.outcome, COUNT", calls()).await;
    assert_eq!(ASKED.load(Relaxed), 0);
    let text = "FROM s IN pivot::server@enter GROUP BY s.peer, s.path_template SELECT s.peer, s.path_template, COUNT";
    assert_eq!(groups_of(text, calls()).await, [("10.0.0.7 /t".to_owned(), 1)]);
    assert_eq!(ASKED.load(Relaxed), 2);
}

#[test]
fn the_ready_made_queries_about_calls_fit_these_tracepoints() {
    drop((ClientLayer::new(), ServerLayer::new()));
    let mut catalog = Catalog::default();
    pivot_agent::catalogue().iter().for_each(|exports| catalog.add(exports));
    for text in [
        include_str!("../../../queries/calls/failures.pivot"),
        include_str!("../../../queries/calls/fan_out.pivot"),
        include_str!("../../../queries/calls/latency.pivot"),
        include_str!("../../../queries/calls/on_the_way.pivot"),
        include_str!("../../../queries/calls/requests.pivot"),
    ] {
        for statement in pivot_query::statements(text) {
            let program = compile_with(&statement.text, &catalog, &CompileOptions::default());
            let warnings = program.map_err(|wrong| format!("{text}: {wrong:?}")).unwrap().warnings;
            assert!(warnings.is_empty(), "{text}: {warnings:?}");
        }
    }
}
