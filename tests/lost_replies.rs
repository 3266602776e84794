//! Baggage that does not come back, through real processes: a client, a server, and between them what loses it.
//!
//! ```text
//! this process                frontend, queries
//!    │ stdin, stdout             ▲            ▲
//!    ▼                           │ agent      │ agent
//! client process ──HTTP──▶ proxy process ──▶ server process
//!                          forwards, or strips `pivot-baggage` from replies, or hangs up
//! ```
//!
//! Every process is this test binary once more: see [`played_role`].
#![allow(missing_docs, clippy::unwrap_used)]

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Request, Response, header};
use axum::routing::get;
use futures::StreamExt;
use http_body_util::BodyExt;
use hyper_util::client::legacy::Client as Hyper;
use hyper_util::rt::TokioExecutor;
use pivot::tracepoint;
use pivot_propagate::{ClientLayer, ServerLayer, TEXT_HEADER, request};
use pivot_protocol::{from_wire, wire};
use pivot_tests::{PATIENCE, TestFrontend};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io::{BufRead, BufReader, Lines, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;
use tokio::net::TcpListener;
use tower_layer::Layer;
use tower_service::Service;

/// How many requests the client makes of a kind.
const REQUESTS: u64 = 20;

const ABSENT: &str = "FROM e IN Caller.end ANTI JOIN w IN Callee.work ON w -> e SELECT COUNT";

const OPTIONAL: &str =
    "FROM e IN Caller.end LEFT JOIN w IN Callee.work ON w -> e GROUP BY w.n SELECT w.n, COUNT ORDER BY w.n";

const JOINED: &str = "FROM e IN Caller.end JOIN w IN Callee.work ON w -> e SELECT COUNT";

/// Tells by its rows since when absence is certain in new requests.
const WARM: &str = "FROM e IN Warm.end ANTI JOIN b IN Warm.begin ON b -> e SELECT COUNT";

/// What stands between the client and the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Forwards requests and replies.
    Forwards,
    /// Removes our header from replies.
    Strips,
    /// Takes a request and closes the connection.
    HangsUp,
    /// Answers by itself, and knows nothing of Pivot.
    Answers,
}

/// A process of this binary that plays a role, and ends with its owner.
struct Played {
    child: Child,
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Played {
    /// Starts a process and waits until it is ready. Returns what it says then.
    fn start(role: &str, variables: &[(&str, &str)]) -> (Played, String) {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--ignored", "--exact", "--nocapture", "played_role"]).env("LOST_REPLIES_ROLE", role);
        let command = command.envs(variables.iter().copied()).stdin(Stdio::piped()).stdout(Stdio::piped());

        let mut child = command.spawn().unwrap();
        let (stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut played = Played { child, stdin, lines: BufReader::new(stdout).lines() };
        let ready = played.answer();
        (played, ready)
    }

    /// Gives an order, and returns the answer.
    fn order(&mut self, order: &str) -> String {
        writeln!(self.stdin, "{order}").unwrap();
        self.answer()
    }

    /// Returns the next line that is meant for this process; the test harness prints others.
    fn answer(&mut self) -> String {
        let mut lines = self.lines.by_ref().map(Result::unwrap);
        lines.find_map(|line| Some(line.split_once("> ")?.1.to_owned())).expect("the process goes on")
    }
}

impl Drop for Played {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The frontend, and the processes that it watches.
struct System {
    frontend: TestFrontend,
    server: Played,
    client: Played,
    /// Where the client sends its calls.
    address: String,
    _proxy: Played,
}

impl System {
    async fn start(way: Way) -> System {
        let frontend = TestFrontend::start().await;
        let url = frontend.url();
        let (server, address) = Played::start("server", &[("PIVOT_FRONTEND", &url)]);
        let (proxy, address) = Played::start(&format!("{way:?}"), &[("LOST_REPLIES_TO", &address)]);
        let (client, _) = Played::start("client", &[("PIVOT_FRONTEND", &url)]);
        System { frontend, server, client, address, _proxy: proxy }
    }

    /// Installs a query, and waits until requests are certain to be seen from their beginning.
    async fn install(&mut self, text: &str) -> u32 {
        let query = self.frontend.install(text).await;
        let warm = self.frontend.install(WARM).await;
        let mut frames = self.frontend.results(warm).await;

        let certain = async {
            loop {
                self.client.order("warm");
                let frame = frames.message().await.unwrap().unwrap();
                let uncertain = loss(frame.completeness.as_ref()).uncertain;
                if counts(&frame.rows).values().any(|count| *count > 0) && uncertain == 0 {
                    return;
                }
            }
        };
        tokio::time::timeout(PATIENCE, certain).await.expect("requests of the new generation");
        assert!(self.frontend.uninstall(warm).await);
        query
    }

    /// Has the client make requests that call a path, and returns the last frame of the query.
    async fn answer(&mut self, query: u32, path: &str) -> wire::Frame {
        let order = format!("call {} {path}", self.address);
        assert_eq!(self.client.order(&order), "done");
        assert_eq!(self.server.order("flush"), "done");
        self.frontend.finish(query).await
    }

    /// Waits until the client has told of so many calls that were cancelled or never answered.
    async fn unanswered(&mut self, calls: u64) {
        let told = async {
            loop {
                let agents = self.frontend.client.list_agents(wire::ListAgentsRequest {}).await.unwrap();
                let lost = agents.into_inner().agents.into_iter().filter_map(|agent| agent.lost);
                match lost.map(|lost| lost.unanswered).sum::<u64>() {
                    found if found < calls => tokio::time::sleep(Duration::from_millis(20)).await,
                    found => return found,
                }
            }
        };
        let told = tokio::time::timeout(PATIENCE, told).await;
        assert_eq!(told.expect("the calls are told of"), calls);
    }

    /// Returns the peers whose replies lost tuples of a query.
    async fn unreturned_from(&mut self, query: u32) -> Vec<String> {
        let queries =
            self.frontend.client.list_queries(wire::ListQueriesRequest {}).await.unwrap().into_inner();
        let found = queries.queries.into_iter().find(|found| found.number == query);
        found.map_or(vec![], |found| found.unreturned_from)
    }
}

fn loss(completeness: Option<&wire::Completeness>) -> wire::Loss {
    completeness.and_then(|completeness| completeness.loss).unwrap_or_default()
}

/// Returns the counts of rows by what stands before them, which may be nothing.
fn counts(rows: &[wire::Row]) -> BTreeMap<String, u64> {
    let count = |row: &wire::Row| {
        let values = row.values.iter().map(|value| from_wire::value(value.clone()).unwrap().to_string());
        let mut values: Vec<String> = values.collect();
        let count = values.pop().unwrap().parse().unwrap();
        (values.join(" "), count)
    };
    rows.iter().map(count).collect()
}

/// Checks the rows of a result, and what it lacks.
fn check(frame: &wire::Frame, rows: &[(&str, u64)], uncertain: u64) -> wire::Loss {
    let expected: BTreeMap<String, u64> = rows.iter().map(|(key, n)| ((*key).to_owned(), *n)).collect();
    let completeness = frame.cumulative_completeness.as_ref();
    let loss = loss(completeness);
    assert_eq!((counts(&frame.cumulative), loss.uncertain), (expected, uncertain), "{completeness:?}");
    loss
}

fn check_exact(frame: &wire::Frame, rows: &[(&str, u64)]) {
    check(frame, rows, 0);
    let completeness = frame.cumulative_completeness.as_ref().unwrap();
    assert!(!completeness.partial, "{completeness:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn absences_behind_a_proxy_that_strips_our_header_are_uncertain_and_name_it() {
    let mut system = System::start(Way::Strips).await;
    for (text, rows) in [(ABSENT, ("", REQUESTS)), (OPTIONAL, ("null", REQUESTS))] {
        let query = system.install(text).await;
        let order = format!("call {} /work", system.address);
        assert_eq!(system.client.order(&order), "done");
        assert_eq!(system.server.order("flush"), "done");

        // Both ends tell of the replies, in whatever order.
        let named = async {
            while !system.unreturned_from(query).await.iter().any(|peer| peer.contains(&system.address)) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, named).await.expect("the peer is named");
        let frame = system.frontend.finish(query).await;
        let loss = check(&frame, &[rows], REQUESTS);
        assert!(loss.unreturned > 0 && frame.cumulative_completeness.as_ref().unwrap().partial);
    }
    system.frontend.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn absences_are_exact_if_the_header_is_left_in() {
    let mut system = System::start(Way::Forwards).await;
    let query = system.install(ABSENT).await;
    check_exact(&system.answer(query, "/work").await, &[("", 0)]);
    let query = system.install(OPTIONAL).await;
    check_exact(&system.answer(query, "/work").await, &[("7", REQUESTS)]);

    // The server is called, and does something else: it did not happen, and that is certain.
    let query = system.install(ABSENT).await;
    check_exact(&system.answer(query, "/idle").await, &[("", REQUESTS)]);
    system.frontend.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn absences_behind_a_service_without_pivot_are_exact() {
    let mut system = System::start(Way::Answers).await;
    let query = system.install(ABSENT).await;
    check_exact(&system.answer(query, "/work").await, &[("", REQUESTS)]);
    system.frontend.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_of_a_streamed_body_behind_the_headers_are_counted() {
    let mut system = System::start(Way::Forwards).await;
    let query = system.install(JOINED).await;
    let frame = system.answer(query, "/stream").await;
    let loss = check(&frame, &[("", 0)], 0);
    assert_eq!(loss.late, 3 * REQUESTS);
    assert!(frame.cumulative_completeness.unwrap().partial);
    system.frontend.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn absences_behind_calls_that_are_cancelled_are_exact_and_the_calls_counted() {
    let mut system = System::start(Way::Forwards).await;
    let query = system.install(ABSENT).await;
    check_exact(&system.answer(query, "/never").await, &[("", REQUESTS)]);
    system.unanswered(REQUESTS).await;
    system.frontend.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn absences_behind_calls_that_are_never_answered_are_exact_and_the_calls_counted() {
    let mut system = System::start(Way::HangsUp).await;
    let query = system.install(ABSENT).await;
    check_exact(&system.answer(query, "/work").await, &[("", REQUESTS)]);
    system.unanswered(REQUESTS).await;
    system.frontend.stop().await;
}

/// A process of its own, started by the other tests.
#[test]
#[ignore = "a role that other tests have played"]
fn played_role() {
    let Ok(role) = std::env::var("LOST_REPLIES_ROLE") else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    match role.as_str() {
        "server" => play_server(&runtime),
        "client" => play_client(&runtime),
        "Forwards" => play_proxy(&runtime, Way::Forwards),
        "Strips" => play_proxy(&runtime, Way::Strips),
        "HangsUp" => play_proxy(&runtime, Way::HangsUp),
        _ => play_proxy(&runtime, Way::Answers),
    }
}

/// Says something to the process of the tests.
fn say(text: &str) {
    println!("\n> {text}");
}

/// Returns the orders of the process of the tests, until it ends.
fn orders() -> impl Iterator<Item = String> {
    std::io::stdin().lines().map_while(Result::ok)
}

async fn work() -> &'static str {
    tracepoint!("Callee.work", n: u64 = 7);
    "done"
}

async fn idle() -> &'static str {
    tracepoint!("Callee.idle", n: u64 = 7);
    "done"
}

async fn never() {
    tracepoint!("Callee.work", n: u64 = 7);
    std::future::pending().await
}

/// A body whose pieces are events.
async fn stream() -> Body {
    Body::from_stream(futures::stream::iter(0..3_u64).map(|n| {
        tracepoint!("Callee.work", n: u64 = n);
        Ok::<_, Infallible>("piece")
    }))
}

fn play_server(runtime: &tokio::runtime::Runtime) {
    let agent = pivot::builder().process("server").init().unwrap();
    let routes = Router::new()
        .route("/work", get(work))
        .route("/idle", get(idle))
        .route("/never", get(never))
        .route("/stream", get(stream));
    serve(runtime, routes.layer(ServerLayer::new()));

    for _ in orders() {
        assert!(agent.flush(PATIENCE));
        say("done");
    }
}

/// Serves at a free port, and says which.
fn serve(runtime: &tokio::runtime::Runtime, routes: Router) {
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    say(&listener.local_addr().unwrap().to_string());
    runtime.spawn(async { axum::serve(listener, routes).await.unwrap() });
}

fn play_proxy(runtime: &tokio::runtime::Runtime, way: Way) {
    let to = std::env::var("LOST_REPLIES_TO").unwrap();
    match way {
        Way::HangsUp => {
            let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
            say(&listener.local_addr().unwrap().to_string());
            runtime.spawn(async move {
                while let Ok((connection, _)) = listener.accept().await {
                    connection.readable().await.unwrap();
                    drop(connection);
                }
            });
        }
        Way::Answers => serve(runtime, Router::new().fallback(async || "done")),
        Way::Forwards | Way::Strips => {
            serve(runtime, Router::new().fallback(forward).with_state((to, way)));
        }
    }
    orders().for_each(drop);
}

/// Forwards a request without `TE`, as most proxies do, and its reply.
async fn forward(State((to, way)): State<(String, Way)>, request: Request<Body>) -> Response<Body> {
    let (mut parts, body) = request.into_parts();
    parts.uri = format!("http://{to}{}", parts.uri.path()).parse().unwrap();
    parts.headers.remove(header::TE);

    let client = Hyper::builder(TokioExecutor::new()).build_http::<Body>();
    let mut reply = client.request(Request::from_parts(parts, body)).await.unwrap().map(Body::new);
    if way == Way::Strips {
        let headers: &mut HeaderMap = reply.headers_mut();
        assert!(headers.remove(TEXT_HEADER).is_some(), "the server returns baggage");
    }
    reply
}

fn play_client(runtime: &tokio::runtime::Runtime) {
    let agent = pivot::builder().process("client").init().unwrap();
    say("ready");

    for order in orders() {
        match order.split(' ').collect::<Vec<_>>().as_slice() {
            ["call", address, path] => {
                for _ in 0..REQUESTS {
                    runtime.block_on(requested(&format!("http://{address}{path}")));
                }
            }
            // What is never ordered is absent.
            ["begin"] => tracepoint!("Warm.begin", n: u64 = 1),
            _ => runtime.block_on(request(async { tracepoint!("Warm.end", n: u64 = 1) })),
        }
        assert!(agent.flush(PATIENCE));
        say("done");
    }
}

/// Makes a request that calls, gives up after a while, and ends.
async fn requested(uri: &str) {
    request(async {
        let mut client = ClientLayer::new().layer(Hyper::builder(TokioExecutor::new()).build_http());
        let call = Request::builder().uri(uri).body(Body::empty()).unwrap();
        let answered = async {
            if let Ok(reply) = client.call(call).await {
                let _ = reply.into_body().collect().await;
            }
        };
        // A call that is never answered is cancelled, others take less.
        let patience = if uri.ends_with("/never") { Duration::from_millis(100) } else { PATIENCE };
        let _ = tokio::time::timeout(patience, answered).await;
        tracepoint!("Caller.end", done: bool = true);
    })
    .await;
}
