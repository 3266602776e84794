//! A query with tens of thousands of groups, whose windows come faster than a client reads them.
#![allow(missing_docs, clippy::unwrap_used)]

use pivot_advice::{Exports, Field, Groups, Type, Value};
use pivot_protocol::wire::{self, agents_client::AgentsClient, frontend_client::FrontendClient};
use pivot_protocol::{MAX_MESSAGE_BYTES, from_wire, to_wire};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tonic::transport::Channel;
use wire::from_agent::Kind;
use wire::results_request::Wanted;

const GROUPS: u64 = 30_000;
const WINDOWS: i64 = 12;
const SECOND_NS: i64 = 1_000_000_000;
/// Far beyond what anything here takes.
const PATIENCE: Duration = Duration::from_secs(120);

/// An agent that the test plays: it has woven what is wanted.
struct Agent {
    out: mpsc::Sender<wire::FromAgent>,
    incoming: tonic::Streaming<wire::ToAgent>,
}

impl Agent {
    async fn attach(url: &str) -> Agent {
        let fields = vec![Field { name: "key".into(), ty: Type::String }];
        let (file, module) = ("a.rs".into(), "a".into());
        let exports = Exports { tracepoint: "T".into(), fields, file, line: 1, module };
        let (out, messages) = mpsc::channel(1);
        let client = AgentsClient::connect(url.to_owned()).await.unwrap();
        let mut client = client.max_encoding_message_size(MAX_MESSAGE_BYTES);
        let messages = tokio_stream_of(messages);
        let catalogue = vec![to_wire::exports(&exports)];
        let hello = wire::Hello { incarnation: 1, catalogue, ..Default::default() };
        let (attached, ()) =
            tokio::join!(client.attach(messages), async { say(&out, Kind::Hello(hello)).await });

        Agent { incoming: attached.unwrap().into_inner(), out }
    }

    /// Waits for a message that is looked for.
    async fn hear<T>(&mut self, look: impl Fn(wire::to_agent::Kind) -> Option<T>) -> T {
        loop {
            let message = self.incoming.message().await.unwrap().unwrap();
            if let Some(found) = message.kind.and_then(&look) {
                return found;
            }
        }
    }

    /// Weaves what is wanted; gives the query that is.
    async fn weave(&mut self, wanted: impl Fn(&wire::Desired) -> bool) -> Option<wire::QueryId> {
        let desired = self.hear(|kind| match kind {
            wire::to_agent::Kind::Desired(desired) if wanted(&desired) => Some(desired),
            _ => None,
        });
        let desired = desired.await;
        let woven = wire::Woven { generation: desired.generation, ..Default::default() };
        say(&self.out, Kind::Woven(woven)).await;
        desired.advice.first().and_then(|advice| advice.query)
    }

    /// Reports a window, and waits until that is merged.
    async fn report(&mut self, query: wire::QueryId, window: i64) {
        let mut groups = Groups::new(1, &[]);
        (0..GROUPS).for_each(|group| groups.entry(&[key(group)]).n = n(window, group));
        let emitted = (0..GROUPS).map(|group| n(window, group)).sum();
        let groups = to_wire::groups(&groups);
        let part = wire::Part { query: Some(query), groups, emitted, ..Default::default() };
        let (sequence, start) = (window.unsigned_abs() + 1, (1 + window) * SECOND_NS);

        let report = wire::Report {
            sequence,
            window_start_ns: start,
            window_end_ns: start + SECOND_NS,
            watermark_ns: start + SECOND_NS,
            parts: vec![part],
            ..Default::default()
        };

        say(&self.out, Kind::Report(report)).await;
        let acknowledged = |kind| matches!(kind, wire::to_agent::Kind::Acknowledged(s) if s == sequence);
        self.hear(|kind| acknowledged(kind).then_some(())).await;
    }
}

fn tokio_stream_of(
    mut messages: mpsc::Receiver<wire::FromAgent>,
) -> impl futures::Stream<Item = wire::FromAgent> {
    futures::stream::poll_fn(move |context| messages.poll_recv(context))
}

async fn say(out: &mpsc::Sender<wire::FromAgent>, kind: Kind) {
    out.send(wire::FromAgent { kind: Some(kind) }).await.unwrap();
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
    let listen = "127.0.0.1:0".parse().unwrap();
    let options = pivot_frontend::FrontendOptions { listen, ..Default::default() };
    let frontend = pivot_frontend::start(options).await.unwrap();
    let url = format!("http://{}", frontend.address());
    let mut agent = Agent::attach(&url).await;
    let mut client = FrontendClient::connect(url).await.unwrap();
    let text = "FROM t IN T GROUP BY t.key SELECT t.key, COUNT AS n ORDER BY n DESC, t.key LIMIT 2";
    let request = wire::InstallRequest { text: text.into(), ..Default::default() };
    let query = client.install(request).await.unwrap().into_inner().query.unwrap();
    let id = agent.weave(|desired| !desired.advice.is_empty()).await.unwrap();

    let begun = Instant::now();
    let reader = tokio::spawn({
        let client = client.clone();
        async move { tokio::time::timeout(PATIENCE, read(&client, query, Wanted::Windows)).await.unwrap() }
    });
    for window in 0..WINDOWS {
        agent.report(id, window).await;
    }
    let reported = begun.elapsed();
    client.uninstall(wire::UninstallRequest { query }).await.unwrap();
    agent.weave(|desired| desired.advice.is_empty()).await;
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
    let newest = read(&client, query, Wanted::Newest).await;
    assert_eq!((newest.len(), newest[0].sequence), (1, last.sequence));
    assert_eq!(rows(&newest[0].cumulative), whole);
    // Who wants everything gets every window, and what is since install where nothing has come after it.
    let all = read(&client, query, Wanted::All).await;
    let with: Vec<u64> =
        all.iter().filter(|frame| !frame.without_cumulative).map(|frame| frame.sequence).collect();
    assert_eq!((all.len(), with), (frames.len(), vec![last.sequence]));
    frontend.stop().await;
}
