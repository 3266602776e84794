//! A query with tens of thousands of groups, whose windows come faster than a client reads them.
#![allow(missing_docs, clippy::unwrap_used)]

use pivot_advice::{Exports, FieldDescriptor, Groups, Type, Value};
use pivot_protocol::wire::{self, frontend_client::FrontendClient};
use pivot_protocol::{MAX_MESSAGE_BYTES, from_wire, to_wire};
use pivot_tests::{PlayedAgent, ReportWindow, SECOND_NS, TestFrontend};
use std::time::{Duration, Instant};
use tonic::transport::Channel;
use wire::results_request::Wanted;

const GROUPS: u64 = 30_000;
const WINDOWS: i64 = 12;
/// Far beyond what anything here takes.
const PATIENCE: Duration = Duration::from_secs(120);

/// Attaches an agent whose tracepoint `T` exports a key.
async fn attach(url: &str) -> PlayedAgent {
    let fields = vec![FieldDescriptor { name: "key".into(), ty: Type::String }];
    let (file, module) = ("a.rs".into(), "a".into());
    let exports = Exports { tracepoint: "T".into(), fields, file, line: 1, module };

    let catalogue = vec![to_wire::exports(&exports)];
    PlayedAgent::attach(url, wire::Hello { incarnation: 1, catalogue, ..Default::default() }).await
}

/// Weaves until what is woven is as wanted.
async fn weave(agent: &mut PlayedAgent, is_wanted: impl Fn(&wire::Desired) -> bool) -> wire::Desired {
    loop {
        let desired = agent.weave().await;
        if is_wanted(&desired) {
            return desired;
        }
    }
}

/// Reports a window with all groups, and waits until that is merged.
async fn report(agent: &mut PlayedAgent, query: wire::QueryId, window: i64) {
    let mut groups = Groups::new(1, &[]);
    (0..GROUPS).for_each(|group| groups.entry(&[key(group)]).n = n(window, group));
    let emitted = (0..GROUPS).map(|group| n(window, group)).sum();

    let part =
        wire::Part { query: Some(query), groups: to_wire::groups(&groups), emitted, ..Default::default() };
    let start_ns = (1 + window) * SECOND_NS;
    agent.report(ReportWindow { start_ns, end_ns: start_ns + SECOND_NS }, part).await;
}

fn key(group: u64) -> Value {
    Value::str(format!("group {group}"))
}

/// How often a group occurred in a window: no two of one window as often.
fn n(window: i64, group: u64) -> u64 {
    1 + (group + 7_919 * window.unsigned_abs()) % GROUPS
}

/// The two most frequent groups, the least of equally frequent ones first.
fn most(count: impl Fn(u64) -> u64) -> Vec<(Value, u64)> {
    let mut all: Vec<(Value, u64)> = (0..GROUPS).map(|group| (key(group), count(group))).collect();
    all.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.group_cmp(&b.0)));
    all.truncate(2);
    all
}

fn rows(rows: &[wire::Row]) -> Vec<(Value, u64)> {
    let value = |value: &wire::Value| from_wire::value(value.clone()).unwrap();
    let row = |row: &wire::Row| {
        (value(&row.values[0]), u64::try_from(value(&row.values[1]).as_integer().unwrap()).unwrap())
    };
    rows.iter().map(row).collect()
}

async fn read(client: &FrontendClient<Channel>, query: u32, wanted: Wanted) -> Vec<wire::Frame> {
    let request = wire::ResultsRequest { query, wanted: wanted.into(), ..Default::default() };
    let mut stream = client.clone().results(request).await.unwrap().into_inner();
    let mut frames = Vec::new();
    while let Some(frame) = stream.message().await.unwrap() {
        frames.push(frame);
    }
    frames
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_window_is_read_in_the_end_and_the_result_since_install_is_made_once() {
    let mut frontend = TestFrontend::start().await;
    let mut agent = attach(&frontend.url()).await;
    let text = "FROM t IN T GROUP BY t.key SELECT t.key, COUNT AS n ORDER BY n DESC, t.key LIMIT 2";
    let query = frontend.install(text).await;
    let desired = weave(&mut agent, |desired| !desired.advice.is_empty()).await;
    let id = desired.advice[0].query.unwrap();

    let begun = Instant::now();
    let reader = tokio::spawn({
        let client = frontend.client.clone();
        async move { tokio::time::timeout(PATIENCE, read(&client, query, Wanted::Windows)).await.unwrap() }
    });
    for window in 0..WINDOWS {
        report(&mut agent, id, window).await;
    }
    let reported = begun.elapsed();
    assert!(frontend.uninstall(query).await);
    weave(&mut agent, |desired| desired.advice.is_empty()).await;
    let frames = reader.await.unwrap();
    println!("{WINDOWS} windows of {GROUPS} groups: reported in {reported:?}, read in {:?}", begun.elapsed());

    let (last, windows) = frames.split_last().unwrap();
    assert_eq!(windows.len() as i64, WINDOWS);
    for (window, frame) in (0..).zip(windows) {
        assert_eq!(frame.sequence, window as u64 + 1);
        assert_eq!(frame.window_start_ns, (1 + window) * SECOND_NS);
        assert_eq!(rows(&frame.rows), most(|group| n(window, group)));
        assert!(frame.without_cumulative && frame.cumulative.is_empty());
    }
    let whole = most(|group| (0..WINDOWS).map(|window| n(window, group)).sum());
    assert!(last.last && !last.without_cumulative);
    assert_eq!(rows(&last.cumulative), whole);

    // Who comes now and wants the newest need not wait for what was before it, and sees that.
    let newest = read(&frontend.client, query, Wanted::Newest).await;
    assert_eq!((newest.len(), newest[0].sequence), (1, last.sequence));
    assert_eq!(rows(&newest[0].cumulative), whole);
    // Who wants everything gets every window, and what is since install where nothing has come after it.
    let all = read(&frontend.client, query, Wanted::All).await;
    let with: Vec<u64> =
        all.iter().filter(|frame| !frame.without_cumulative).map(|frame| frame.sequence).collect();
    assert_eq!((all.len(), with), (frames.len(), vec![last.sequence]));
    frontend.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_that_is_larger_than_a_message_comes_without_its_last_rows() {
    let mut frontend = TestFrontend::start().await;
    let mut agent = attach(&frontend.url()).await;
    let query = frontend.install("FROM t IN T GROUP BY t.key SELECT t.key, COUNT").await;
    let desired = weave(&mut agent, |desired| !desired.advice.is_empty()).await;

    // The window and what is since install have 40 MB each.
    const LARGE_GROUPS: u64 = 10_000;
    let mut groups = Groups::new(1, &[]);
    (0..LARGE_GROUPS).for_each(|group| groups.entry(&[Value::str(format!("{group:04000}"))]).n = 1);
    let id = desired.advice[0].query;
    let groups = to_wire::groups(&groups);
    let part = wire::Part { query: id, groups, emitted: LARGE_GROUPS, ..Default::default() };
    agent.report(ReportWindow { start_ns: SECOND_NS, end_ns: 2 * SECOND_NS }, part).await;

    let mut client = frontend.client.clone().max_decoding_message_size(MAX_MESSAGE_BYTES);
    let request = wire::ResultsRequest { query, ..Default::default() };
    let mut stream = client.results(request).await.unwrap().into_inner();
    let frame = stream.message().await.expect("the stream goes on").expect("a frame");
    let found = [(&frame.rows, frame.completeness), (&frame.cumulative, frame.cumulative_completeness)];
    for (rows, completeness) in found {
        let completeness = completeness.unwrap();
        assert_eq!(rows.len() as u64 + completeness.rows_left_out, LARGE_GROUPS);
        assert!(!rows.is_empty() && completeness.partial);
    }
    frontend.stop().await;
}
