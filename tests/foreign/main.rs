//! Services that know nothing of us between a client and a server that do: a query that joins their
//! events gives what it would give without them, and the application's own W3C baggage arrives.
//!
//! The services are real: Flask and requests, and grpcio, with OpenTelemetry for Python, Node's http
//! with OpenTelemetry for Node, and nginx. `tests/foreign/install` brings them into the target folder.
#![allow(missing_docs, clippy::unwrap_used)]

mod grpc;

use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::http::{HeaderMap, Request};
use axum::routing::get;
use http_body_util::BodyExt;
use hyper_util::client::legacy::Client as Hyper;
use hyper_util::rt::TokioExecutor;
use pivot_advice::{LossCounts, QueryId};
use pivot_agent::tracepoint;
use pivot_propagate::{ClientLayer, ServerLayer, request};
use pivot_query::{Catalog, CompileOptions, compile_with};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tower_layer::Layer;
use tower_service::Service;

const USERS: [&str; 3] = ["ann", "bob", "eve"];

const QUERY: &str = "
    From handled In Server.handle
    Join called In Client.call On called -> handled
    GroupBy called.user, handled.path
    Select called.user, handled.path, COUNT";

/// What happened on the way back: only where the peer itself knows of baggage.
const RETURN_QUERY: &str = "
    From done In Client.done
    Join handled In Server.handle On handled -> done
    GroupBy done.user, handled.path
    Select done.user, handled.path, COUNT";

fn here() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("foreign")
}

fn installed() -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("foreign");
    let status = Command::new(here().join("install")).arg(&folder).status().unwrap();
    assert!(status.success(), "the foreign services cannot be installed: {status}");
    folder
}

/// A process that ends with its owner.
struct Foreign {
    child: Child,
    address: SocketAddr,
}

impl Drop for Foreign {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Foreign {
    async fn start(command: impl FnOnce(SocketAddr) -> Command) -> Foreign {
        let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let mut foreign = Foreign { child: command(address).spawn().unwrap(), address };
        for _ in 0..600 {
            if TcpStream::connect(address).await.is_ok() {
                return foreign;
            }
            if let Some(status) = foreign.child.try_wait().unwrap() {
                panic!("the foreign service ended: {status}");
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }

        panic!("the foreign service does not listen");
    }
}

fn python(address: SocketAddr) -> Command {
    let mut command = Command::new(installed().join("venv/bin/python"));
    command.arg(here().join("python/app.py")).arg(address.port().to_string());
    command
}

fn python_grpc(address: SocketAddr, upstream: SocketAddr) -> Command {
    let mut command = Command::new(installed().join("venv/bin/python"));
    command.arg(here().join("python/relay.py")).arg(address.to_string()).arg(upstream.to_string());
    command
}

fn node(address: SocketAddr) -> Command {
    let mut command = Command::new("node");
    command.arg(here().join("node/app.js")).arg(address.port().to_string());
    command.current_dir(installed().join("node"));
    command
}

fn nginx(address: SocketAddr, upstream: SocketAddr) -> Command {
    let folder = installed().join("nginx");
    std::fs::create_dir_all(&folder).unwrap();
    let text = std::fs::read_to_string(here().join("nginx.conf")).unwrap();
    let text = text.replace("FOLDER", folder.to_str().unwrap()).replace("PORT", &address.port().to_string());
    std::fs::write(folder.join("nginx.conf"), text.replace("UPSTREAM", &upstream.to_string())).unwrap();
    let mut command = Command::new("nginx");
    command.arg("-p").arg(&folder).arg("-c").arg(folder.join("nginx.conf"));
    command
}

fn called(user: &'static str) {
    tracepoint!("Client.call", user: &str = user);
}

fn handled(path: String) {
    tracepoint!("Server.handle", path: String = path);
}

/// The server: its answer is the application's own baggage as it arrived.
async fn server() -> SocketAddr {
    async fn handle(Path(path): Path<String>, headers: HeaderMap) -> String {
        handled(path);
        let lines = headers.get_all("baggage").iter().map(|line| line.to_str().unwrap());
        lines.collect::<Vec<_>>().join(",")
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let routes = Router::new().route("/{path}", get(handle)).layer(ServerLayer::new());
    tokio::spawn(async { axum::serve(listener, routes).await.unwrap() });
    address
}

/// What the application itself puts into its `baggage`.
fn own(user: &str) -> String {
    format!("user={user},tier=gold-2")
}

fn check_own(user: &str, arrived: &str) {
    let arrived: Vec<&str> = arrived.split(',').map(str::trim).collect();
    assert_eq!(arrived, own(user).split(',').collect::<Vec<_>>());
}

/// The client: two requests of each user, all at once. Its own baggage reaches the server.
async fn calls(layer: ClientLayer, url: impl Fn(&str) -> String) {
    let call = |user: &'static str, path: &'static str| {
        let (url, mut client) = (url(path), layer.layer(Hyper::builder(TokioExecutor::new()).build_http()));
        request(async move {
            called(user);
            let call = Request::builder().uri(url).header("baggage", own(user));
            let reply = client.call(call.body(Body::empty()).unwrap()).await.unwrap();
            let body = reply.into_body().collect().await.unwrap().to_bytes();
            check_own(user, std::str::from_utf8(&body).unwrap());
            tracepoint!("Client.done", user: &str = user);
        })
    };

    let all = USERS.into_iter().flat_map(|user| [call(user, "read"), call(user, "write")]);
    futures::future::join_all(all).await;
}

/// The rows of a query over these calls: key columns and count, in order.
async fn rows(text: &str, calls: impl Future<Output = ()>) -> Vec<String> {
    let mut catalog = Catalog::default();
    pivot_agent::catalogue().iter().for_each(|exports| catalog.add(exports));
    let program = compile_with(text, &catalog, &CompileOptions::default());
    let query = QueryId::new(1, 1);
    let advice = program.map_err(|wrong| format!("{wrong:?}")).unwrap().advice(query);
    pivot_baggage::set_carrying(true);
    assert!(pivot_agent::weave(&advice).is_empty());
    calls.await;
    let part = pivot_agent::drain().remove(&query).unwrap();
    pivot_agent::weave(&[]);
    assert_eq!(part.loss, LossCounts::default());
    let groups = part.groups.unwrap();
    let mut rows: Vec<String> =
        groups.iter().map(|group| format!("{} {} {}", group.key[0], group.key[1], group.n)).collect();
    rows.sort();

    rows
}

const EACH_ONCE: [&str; 6] =
    ["ann read 1", "ann write 1", "bob read 1", "bob write 1", "eve read 1", "eve write 1"];

/// One test, because what is woven is one for the process.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_joins_events_across_services_that_know_nothing_of_it() {
    let server = server().await;
    for service in [Foreign::start(python).await, Foreign::start(node).await] {
        let url = |path: &str| format!("http://{}/call?to=http://{server}/{path}", service.address);
        assert_eq!(rows(QUERY, calls(ClientLayer::bridge(), url)).await, EACH_ONCE);
    }

    let server_grpc = grpc::server().await;
    let relay = Foreign::start(|address| python_grpc(address, server_grpc)).await;
    assert_eq!(rows(QUERY, grpc::calls(ClientLayer::bridge(), relay.address)).await, EACH_ONCE);
    let proxy = Foreign::start(|address| nginx(address, server)).await;
    let url = |path: &str| format!("http://{}/{path}", proxy.address);
    assert_eq!(rows(QUERY, calls(ClientLayer::bridge(), url)).await, EACH_ONCE);
    assert_eq!(rows(QUERY, calls(ClientLayer::new(), url)).await, EACH_ONCE);
    assert_eq!(rows(RETURN_QUERY, calls(ClientLayer::new(), url)).await, EACH_ONCE);
}
