//! Spans begin requests because somebody has named them at the prompt: a real agent and frontend, and the `pivot` command
//! as a process.
#![allow(missing_docs, clippy::unwrap_used)]

use pivot_protocol::wire;
use pivot_tests::{PATIENCE, TestFrontend, pivot_binary};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};
use tracing::info_span;
use tracing_subscriber::Registry;

const JOIN: &str = "FROM q IN Carriers.query JOIN r IN Carriers.begin ON r -> q SELECT COUNT";

/// Serves a request in a span that is no carrier by itself.
fn serve() {
    info_span!(target: "app::web", "http_request").in_scope(|| {
        pivot::tracepoint!("Carriers.begin");
        pivot::tracepoint!("Carriers.query");
    });
}

fn output(url: &str, command: &str) -> Output {
    let mut pivot = Command::new(pivot_binary());
    pivot.args(["--frontend", url, "-c", command]).stdin(Stdio::null()).output().unwrap()
}

/// Runs a command that succeeds, and returns what it prints.
fn pivot(url: &str, command: &str) -> String {
    let output = output(url, command);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Serves until a result says so, and returns how many rows it has joined and how many had no request.
async fn serve_until(frontend: &mut TestFrontend, is_done: impl Fn(u64, u64) -> bool) -> (u64, u64) {
    let query = frontend.install(JOIN).await;
    let mut frames = frontend.results(query).await;
    let until = Instant::now() + PATIENCE;
    let mut found = (0, 0);
    while !is_done(found.0, found.1) {
        assert!(Instant::now() < until, "{found:?}");
        serve();
        let next = tokio::time::timeout(Duration::from_millis(5), frames.message()).await;
        let Ok(frame) = next else { continue };
        if let Some(since) = frame.unwrap().and_then(|frame| frame.cumulative_completeness) {
            found = (since.emitted, since.loss.unwrap_or_default().without_request);
        }
    }
    frontend.finish(query).await;
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spans_that_are_named_at_the_prompt_begin_requests_until_they_are_no_more() {
    let subscriber = pivot_subscriber::SubscriberBridge::new(Registry::default());
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let mut frontend = TestFrontend::start().await;
    let agent = pivot::builder().process("web").frontend(frontend.url()).init().unwrap();
    let url = frontend.url();
    assert!(pivot(&url, "\\carriers").contains("no span is named here"));

    // The span is no carrier: the join finds no request.
    let (joined, _) = serve_until(&mut frontend, |_, without| without > 0).await;
    assert_eq!(joined, 0);

    // The command answers when the agent has said that it holds, and for which spans.
    let named = pivot(&url, "\\carriers app::*::http_request, none::**");
    assert!(named.contains("app::*::http_request     1/1  app::web::http_request"), "{named}");
    assert!(named.contains("none::**                 1/1  none was reached yet"), "{named}");
    assert_eq!(pivot(&url, "\\carriers"), named);
    let (_, without) = serve_until(&mut frontend, |joined, _| joined > 0).await;
    assert_eq!(without, 0);

    // One that cannot be read changes nothing, at the prompt or behind it.
    let refused = output(&url, "\\carriers app::{a}");
    assert!(
        !refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("`{` has no meaning")
    );
    let request = wire::SetCarriersRequest { globs: vec!["app::{a}".into()] };
    assert!(frontend.client.set_carriers(request).await.unwrap_err().message().contains("has no meaning"));
    assert_eq!(pivot(&url, "\\carriers"), named);

    let off = pivot(&url, "\\carriers off");
    assert!(
        off.contains("no span is named") && off.contains("before: app::*::http_request, none::**"),
        "{off}"
    );
    let (joined, _) = serve_until(&mut frontend, |_, without| without > 0).await;
    assert_eq!(joined, 0);

    drop(agent);
    frontend.stop().await;
}
