//! HTTP on the port of a frontend: whether it lives and is ready, its figures, and who is kept out.
#![allow(missing_docs, clippy::unwrap_used)]

use axum::http::{Request, StatusCode, Version};
use http_body_util::BodyExt;
use pivot_protocol::wire;
use pivot_tests::{PATIENCE, PlayedAgent, ServerProcess, TestFrontend};
use std::collections::BTreeMap;
use std::process::Command;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::body::Body;
use tonic::transport::Channel;
use tower_service::Service;

/// An answer over HTTP/1.1.
struct Answer {
    status: u16,
    head: String,
    body: String,
}

/// Sends a request over HTTP/1.1 as it is, on a connection of its own.
async fn send(url: &str, request: &str) -> Answer {
    let mut stream = TcpStream::connect(url.strip_prefix("http://").unwrap()).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(PATIENCE, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
}

async fn get(url: &str, path: &str, host: &str) -> Answer {
    send(url, &format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")).await
}

/// Asks over HTTP/2, on a connection as clients have one.
async fn get_over_http2(url: &str, path: &str) -> (StatusCode, Version, String) {
    let mut channel = Channel::from_shared(url.to_owned()).unwrap().connect().await.unwrap();
    let request = Request::get(format!("{url}{path}")).body(Body::empty()).unwrap();
    std::future::poll_fn(|context| channel.poll_ready(context)).await.unwrap();
    let answer = channel.call(request).await.unwrap();
    let (head, body) = answer.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (head.status, head.version, String::from_utf8(body.to_vec()).unwrap())
}

/// The samples of a text that Prometheus would read. Checks its form on the way.
fn samples(text: &str) -> BTreeMap<String, f64> {
    let mut samples = BTreeMap::new();
    let mut family = String::new();
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            family = help.split(' ').next().unwrap().to_owned();
            continue;
        }
        if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            assert!(name == family && ["gauge", "counter", "histogram"].contains(&kind), "{line}");
            assert!(kind != "counter" || name.ends_with("_total"), "{line}");
            continue;
        }
        let (name, value) = line.rsplit_once(' ').unwrap();
        assert!(name.starts_with(&family), "{line} belongs to {family}");
        assert!(samples.insert(name.to_owned(), value.parse().unwrap()).is_none(), "{line} is there twice");
    }
    samples
}

#[tokio::test]
async fn a_frontend_that_serves_is_alive_and_ready_over_both_versions_of_http() {
    let frontend = TestFrontend::start().await;
    for (path, text) in [("/healthz", "alive\n"), ("/readyz", "ready\n")] {
        let answer = get(&frontend.url(), path, "localhost:7468").await;
        assert_eq!((answer.status, answer.body.as_str()), (200, text));
        assert!(answer.head.contains("content-type: text/plain; charset=utf-8"), "{}", answer.head);
        let expected = (StatusCode::OK, Version::HTTP_2, text.to_owned());
        assert_eq!(get_over_http2(&frontend.url(), path).await, expected);
    }

    // A check of a load balancer of old.
    let answer = send(&frontend.url(), "GET /healthz HTTP/1.0\r\n\r\n").await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "alive\n"));
    frontend.stop().await;
}

#[tokio::test]
async fn a_web_page_does_not_reach_a_frontend_on_loopback() {
    let mut frontend = TestFrontend::start().await;
    let url = frontend.url();
    for path in ["/metrics", "/healthz", "/readyz", "/"] {
        let answer = get(&url, path, "evil.example").await;
        assert_eq!(answer.status, 403, "{path}");
        assert!(answer.body.contains("Host is localhost"), "{}", answer.body);
    }
    assert_eq!(get(&url, "/favicon.ico", "localhost").await.status, 404);

    // A browser sends no other version than this without TLS.
    let install = "POST /pivot.v1.Frontend/ListQueries HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n";
    for content in ["application/grpc", "application/grpc-web", "application/grpc+proto"] {
        let body = format!("{install}Content-Type: {content}\r\nContent-Length: 5\r\n\r\n\0\0\0\0\0");
        assert_eq!(send(&url, &body).await.status, 505, "{content}");
    }
    let body = format!("{install}Content-Type: text/plain\r\nContent-Length: 5\r\n\r\n\0\0\0\0\0");
    assert_eq!(send(&url, &body).await.status, 404);
    frontend.client.list_queries(wire::ListQueriesRequest {}).await.unwrap();
    frontend.stop().await;
}

#[tokio::test]
async fn a_frontend_measures_itself() {
    let mut frontend = TestFrontend::start().await;
    let before = samples(&get(&frontend.url(), "/metrics", "localhost").await.body);
    assert_eq!((before[r#"pivot_agents{state="connected"}"#], before["pivot_rows_total"]), (0.0, 0.0));
    assert!(before["process_resident_memory_bytes"] > 1e6 && before["process_open_fds"] > 3.0);
    assert!(!before.contains_key("pivot_store_bytes"), "nothing is kept");

    let hello = wire::Hello { incarnation: 1, ..Default::default() };
    let mut agent = PlayedAgent::attach(&frontend.url(), hello).await;
    agent.weave().await;
    let query = frontend.install("FROM t IN T SELECT COUNT").await;
    let results = frontend.results(query).await;

    let answer = get(&frontend.url(), "/metrics", "127.0.0.1:80").await;
    assert!(
        answer.head.contains("content-type: text/plain; version=0.0.4; charset=utf-8"),
        "{}",
        answer.head
    );
    let after = samples(&answer.body);
    assert_eq!(after[r#"pivot_agents{state="connected"}"#], 1.0);
    assert_eq!((after[r#"pivot_queries{state="active"}"#], after["pivot_results_streams"]), (1.0, 1.0));
    assert_eq!(after["pivot_generation"], before["pivot_generation"] + 1.0);
    assert!(after[r#"pivot_connections{state="served"}"#] >= 2.0, "{}", answer.body);
    assert_eq!(after[r#"pivot_build_info{version="0.1.0"}"#], 1.0);
    drop(results);
    frontend.stop().await;
}

#[tokio::test]
async fn the_figures_of_a_store_are_those_of_its_commits() {
    let server = ServerProcess::start().await;
    let request = wire::InstallRequest { text: "FROM t IN T SELECT COUNT".into(), ..Default::default() };
    server.client().await.install(request).await.unwrap();
    let found = samples(&get(&server.url(), "/metrics", "localhost").await.body);
    assert!(found["pivot_store_bytes"] > 0.0 && found["pivot_store_failing"] == 0.0, "{found:?}");

    let name = "pivot_commit_duration_seconds";
    let count = found[&format!("{name}_count")];
    assert!(count >= 1.0 && found[&format!("{name}_sum")] > 0.0, "{found:?}");
    assert_eq!(found[&format!("{name}_bucket{{le=\"+Inf\"}}")], count);
    let fast = found[&format!("{name}_bucket{{le=\"0.001\"}}")];
    assert!(fast <= found[&format!("{name}_bucket{{le=\"5\"}}")], "{found:?}");
}

/// Lets a process write files up to a size.
fn limit_files(server: &ServerProcess, size: &str) {
    let (pid, size) = (server.pid().to_string(), format!("--fsize={size}:"));
    assert!(Command::new("prlimit").args(["--pid", &pid, &size]).status().unwrap().success());
}

/// Waits until a path is answered with a status, and returns the body.
async fn wait_for_status(server: &ServerProcess, path: &str, status: u16) -> String {
    let until = Instant::now() + PATIENCE;
    loop {
        let answer = get(&server.url(), path, "localhost").await;
        if answer.status == status {
            return answer.body;
        }
        assert!(Instant::now() < until, "{path} answers {} {}", answer.status, answer.body);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_frontend_that_cannot_store_is_alive_and_not_ready_until_it_can() {
    // Whoever ignores the signal gets an error for what is too large.
    let wrapper = ["sh", "-c", r#"trap '' XFSZ; exec "$0" "$@""#];
    let server = ServerProcess::start_wrapped(&wrapper, &[]).await;
    let text = "FROM t IN T SELECT COUNT";
    let request = || wire::InstallRequest { text: text.into(), ..Default::default() };
    server.client().await.install(request()).await.unwrap();
    assert_eq!(wait_for_status(&server, "/readyz", 200).await, "ready\n");

    limit_files(&server, "1");
    let refused = server.client().await.install(request()).await.unwrap_err();
    assert!(refused.message().contains("cannot store its state"), "{refused}");
    let reason = wait_for_status(&server, "/readyz", 503).await;
    assert!(reason.contains("cannot store its state") && reason.contains("pivot.redb"), "{reason}");
    assert_eq!(get(&server.url(), "/healthz", "localhost").await.status, 200);
    let found = samples(&get(&server.url(), "/metrics", "localhost").await.body);
    assert!(found["pivot_store_failing"] == 1.0 && found["pivot_commits_failed_total"] >= 1.0, "{found:?}");

    limit_files(&server, "unlimited");
    wait_for_status(&server, "/readyz", 200).await;
    server.client().await.install(request()).await.unwrap();
}

#[tokio::test]
async fn many_requests_over_one_connection_are_answered() {
    let frontend = TestFrontend::start().await;
    let url = frontend.url();
    let mut stream = TcpStream::connect(url.strip_prefix("http://").unwrap()).await.unwrap();
    for _ in 0..20 {
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        let mut answer = [0; 4096];
        let read = tokio::time::timeout(PATIENCE, stream.read(&mut answer)).await.unwrap().unwrap();
        assert!(answer[..read].ends_with(b"alive\n"));
    }

    // Nobody keeps a connection of HTTP/1 for long.
    let mut rest = Vec::new();
    let closed = tokio::time::timeout(Duration::from_secs(30), stream.read_to_end(&mut rest)).await;
    assert!(closed.is_ok() && rest.is_empty(), "it is closed");
    frontend.stop().await;
}
