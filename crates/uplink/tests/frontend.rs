//! An agent against a frontend that a test plays.
#![allow(missing_docs, clippy::unwrap_used)]

use pivot_advice::{Advice, EmitMode, Instruction, QueryId, Type};
use pivot_agent::report::reporter::MAX_IN_FLIGHT;
use pivot_protocol::{to_wire, wire};
use pivot_uplink::{Config, Uplink};
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError, mpsc as channel};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::{TcpListenerStream, UnboundedReceiverStream};
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status, Streaming};
use wire::agents_server::{Agents, AgentsServer};
use wire::from_agent::Kind;
use wire::query_status::State;

/// Far beyond what anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// The agent is one for the process.
static SERIAL: Mutex<()> = Mutex::new(());

/// Wants one query woven, acknowledges every report, and tells the test what it hears. While it hangs it
/// does nothing of it, and connections stay open.
struct Played {
    desired: wire::Desired,
    heard: channel::Sender<Kind>,
    hangs: watch::Receiver<bool>,
    /// Ends all connections whenever it changes.
    cuts: watch::Receiver<u32>,
}

#[tonic::async_trait]
impl Agents for Played {
    type AttachStream = Pin<Box<dyn Stream<Item = Result<wire::ToAgent, Status>> + Send>>;

    async fn attach(
        &self,
        request: Request<Streaming<wire::FromAgent>>,
    ) -> Result<Response<Self::AttachStream>, Status> {
        let mut hangs = self.hangs.clone();
        hangs.wait_for(|hangs| !hangs).await.unwrap();
        let (out, messages) = mpsc::unbounded_channel();
        let send = move |kind| out.send(wire::ToAgent { kind: Some(kind) }).is_ok();
        send(wire::to_agent::Kind::Desired(self.desired.clone()));
        let (mut incoming, heard) = (request.into_inner(), self.heard.clone());
        let mut cuts = self.cuts.clone();
        cuts.mark_unchanged();
        tokio::spawn(async move {
            loop {
                let message = tokio::select! {
                    message = incoming.message() => message,
                    _ = cuts.changed() => return,
                };
                let Ok(Some(message)) = message else { return };
                if hangs.wait_for(|hangs| !hangs).await.is_err() {
                    return;
                }
                let kind = message.kind.unwrap();
                if let Kind::Report(report) = &kind {
                    send(wire::to_agent::Kind::Acknowledged(report.sequence));
                }
                let _ = heard.send(kind);
            }
        });
        Ok(Response::new(Box::pin(UnboundedReceiverStream::new(messages).map(Ok))))
    }
}

struct Bench {
    heard: channel::Receiver<Kind>,
    hangs: watch::Sender<bool>,
    cuts: watch::Sender<u32>,
    uplink: Option<Uplink>,
    _runtime: tokio::runtime::Runtime,
    _serial: MutexGuard<'static, ()>,
}

const QUERY: QueryId = QueryId { frontend: 1, number: 1 };

impl Bench {
    fn start(tracepoint: &str, configure: impl FnOnce(Config) -> Config) -> Bench {
        Bench::start_with_windows(0, tracepoint, configure)
    }

    /// Starts a frontend that asks for windows of this length; 0 means a second.
    fn start_with_windows(
        window_ns: i64,
        tracepoint: &str,
        configure: impl FnOnce(Config) -> Config,
    ) -> Bench {
        let serial = SERIAL.lock().unwrap_or_else(PoisonError::into_inner);
        let instructions = vec![
            Instruction::Observe { field: "n".into() },
            Instruction::Emit { keys: vec![0], folds: vec![], form: EmitMode::Groups },
        ];
        let advice = Advice { query: QUERY, stage: 0, tracepoint: tracepoint.into(), instructions };
        let advice = vec![to_wire::advice(&advice)];
        // One that this version cannot read is left out.
        let carriers = vec!["uplink::**".to_owned(), "uplink::{of a later version}".to_owned()];
        let desired = wire::Desired { generation: 1, advice, window_ns, carriers, ..Default::default() };
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (tell, heard) = channel::channel();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (hangs, observed) = watch::channel(false);
        let (cuts, cut) = watch::channel(0);
        let service = AgentsServer::new(Played { desired, heard: tell, hangs: observed, cuts: cut });
        let incoming = TcpListenerStream::new(listener);
        runtime.spawn(tonic::transport::Server::builder().add_service(service).serve_with_incoming(incoming));
        let uplink = configure(Config::new().process("tested").frontend(url)).start().unwrap();
        assert!(uplink.wait_until_woven(PATIENCE));
        Bench { heard, hangs, cuts, uplink: Some(uplink), _runtime: runtime, _serial: serial }
    }

    /// The first message that is looked for; others before it are passed over.
    fn hear<T>(&self, mut look: impl FnMut(Kind) -> Option<T>) -> T {
        let until = Instant::now() + PATIENCE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let kind = self.heard.recv_timeout(left).expect("the message that a test waits for");
            if let Some(found) = look(kind) {
                return found;
            }
        }
    }

    fn hear_state(&self, expected: State) -> wire::QueryStatus {
        self.hear(|kind| match kind {
            Kind::Woven(woven) => woven.statuses.into_iter().find(|status| status.state() == expected),
            _ => None,
        })
    }

    /// Hears parts of the query until they add up to so many rows.
    fn hear_rows(&self, rows: u64) -> wire::Part {
        let heard = std::cell::Cell::new(0);
        self.hear(|kind| match kind {
            Kind::Report(report) => report.parts.into_iter().find(|part| {
                heard.set(heard.get() + part.emitted);
                heard.get() >= rows
            }),
            _ => None,
        })
    }
}

fn hit(n: u64) {
    pivot_agent::tracepoint!("Uplink.hit", n: u64 = n);
}

#[test]
fn a_frontend_hears_how_a_query_stands_and_what_it_cost() {
    let bench = Bench::start("Uplink.hit", |config| config);
    let hello = bench.hear(|kind| match kind {
        Kind::Hello(hello) => Some(hello),
        _ => None,
    });
    assert_eq!((hello.process.as_str(), hello.build.len()), ("tested", 16));
    let status = bench.hear_state(State::Active);
    assert_eq!((status.query, status.keep), (Some(to_wire::query_id(QUERY)), 1.0));
    (0..10).for_each(hit);
    let part = bench.hear_rows(10);
    let cost = part.cost.unwrap();
    assert!(cost.events > 0 && cost.busy_ns > 0, "{cost:?}");
}

#[test]
fn a_tracepoint_that_becomes_known_later_is_told_and_woven() {
    let bench = Bench::start("Uplink.late", |config| config);
    bench.hear_state(State::Pending);
    let place = pivot_agent::SourceLocation { module: "late", file: "late.rs", line: 1 };
    let late = pivot_agent::Tracepoint::register("Uplink.late", &[("n", Type::U64)], place);
    late.fire(&|_| pivot_agent::Value::U64(5));
    let told = bench.hear(|kind| match kind {
        Kind::Exported(exported) => Some(exported.catalogue),
        _ => None,
    });
    assert!(told.iter().any(|exports| exports.tracepoint == "Uplink.late"));
    bench.hear_rows(1);
}

#[test]
fn an_operator_can_switch_weaving_off_with_a_file() {
    let file = std::env::temp_dir().join(format!("pivot-uplink-{}", std::process::id()));
    let bench = Bench::start("Uplink.hit", |config| config.disable_file(&file));
    bench.hear_state(State::Active);
    std::fs::write(&file, "").unwrap();
    bench.hear_state(State::Disabled);
    std::fs::remove_file(&file).unwrap();
    bench.hear_state(State::Active);
    hit(1);
    bench.hear_rows(1);
}

#[test]
fn rows_arrive_when_the_application_asks_panics_or_ends() {
    let mut bench = Bench::start("Uplink.hit", |config| config.flush_on_panic());
    hit(1);
    assert!(bench.uplink.as_ref().unwrap().flush(PATIENCE));
    bench.hear_rows(1);
    let panics = || {
        hit(2);
        panic!("on purpose");
    };
    assert!(std::thread::spawn(panics).join().is_err());
    // By now it has been acknowledged: it is in the channel already.
    let reported: u64 = bench.heard.try_iter().map(|kind| rows(&kind)).sum();
    assert_eq!(reported, 1);
    hit(3);
    drop(bench.uplink.take());
    let reported: u64 = bench.heard.try_iter().map(|kind| rows(&kind)).sum();
    assert_eq!(reported, 1);
    hit(4);
    assert!(pivot_agent::drain().is_empty());
    drop(std::panic::take_hook());
}

fn rows(kind: &Kind) -> u64 {
    match kind {
        Kind::Report(report) => report.parts.iter().map(|part| part.emitted).sum(),
        _ => 0,
    }
}

#[test]
fn a_query_that_panics_is_reported_as_put_away() {
    let bench = Bench::start("Uplink.dangerous", |config| config);
    bench.hear_state(State::Active);
    let zero = 0_u64;
    pivot_agent::tracepoint!("Uplink.dangerous", n: u64 = 1 / std::hint::black_box(zero));
    let status = bench.hear_state(State::Quarantined);
    assert!(status.detail.contains("Uplink.dangerous"), "{status:?}");
    // What it misses from now on nobody counts, so its windows say for how long it was away.
    let away_ns = bench.hear(|kind| match kind {
        Kind::Report(report) => report.parts.into_iter().find_map(|part| part.loss.filter(|l| l.away_ns > 0)),
        _ => None,
    });
    assert!(away_ns.away_ns <= PATIENCE.as_nanos() as u64, "{away_ns:?}");
}

#[test]
fn what_a_process_loses_whatever_the_query_is_told() {
    struct Curious;
    impl std::fmt::Display for Curious {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            pivot_agent::tracepoint!("Uplink.curious", n: u64 = 7);
            f.write_str("curious")
        }
    }
    let bench = Bench::start("Uplink.curious", |config| config);
    pivot_agent::tracepoint!("Uplink.curious", n = %Curious);
    let skipped = bench.hear(|kind| match kind {
        Kind::Lost(lost) => Some(lost.skipped),
        _ => None,
    });
    assert!(skipped > 0);
}

/// Waits for something that happens to this process.
fn wait_until(what: &str, come: impl Fn() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !come() {
        assert!(Instant::now() < until, "{what} within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Returns how many globs the frontend has named for spans that carry a request.
fn named_carriers() -> usize {
    pivot_agent::frontend_carriers().len()
}

#[test]
fn queries_of_a_silent_frontend_are_unwoven_and_their_absence_is_reported_when_it_is_back() {
    let bench = Bench::start("Uplink.hit", |config| config.lease(Duration::from_millis(1_500)));
    let told = bench.hear(|kind| if let Kind::Woven(woven) = kind { Some(woven.carriers) } else { None });
    assert_eq!((told.len(), told[0].glob.as_str(), named_carriers()), (1, "uplink::**", 1));
    hit(1);
    bench.hear_rows(1);
    bench.hangs.send_replace(true);
    // Within the lease events count.
    hit(2);
    wait_until("the lease lapses", || !pivot_agent::suspended_queries().is_empty());
    wait_until("carriers lapse with it", || named_carriers() == 0);
    let unwoven = now_ns();
    hit(3);
    std::thread::sleep(Duration::from_millis(2_500));
    hit(4);
    let back = now_ns();
    bench.hangs.send_replace(false);
    wait_until("the query is woven again", || pivot_agent::suspended_queries().is_empty());
    assert_eq!(named_carriers(), 1);
    hit(5);

    let mut away_ns = std::collections::BTreeMap::new();
    let mut sequence = 0;
    let mut rows = 0;
    while rows < 2 {
        let report = bench.hear(|kind| match kind {
            Kind::Report(report) if report.sequence > sequence => Some(report),
            _ => None,
        });
        sequence = report.sequence;
        for part in &report.parts {
            rows += part.emitted;
            *away_ns.entry(report.window_start_ns).or_insert(0) += part.loss.unwrap().away_ns;
        }
    }
    assert_eq!(rows, 2, "one within the lease, one after it");
    // Each window in between says so, and none is longer away than it lasts.
    let windows = away_ns.range(unwoven..back - 1_000_000_000);
    assert!(windows.clone().count() >= 1 && windows.clone().all(|(_, away)| *away > 0), "{away_ns:?}");
    assert!(i64::try_from(away_ns.values().sum::<u64>()).unwrap() >= back - unwoven, "{away_ns:?}");
}

/// A generation that is woven means that all rows from before are with the frontend. After a long outage there are
/// more reports than may be on their way at once.
#[test]
fn a_generation_is_woven_only_after_every_report_from_before_it() {
    let bench = Bench::start_with_windows(20_000_000, "Uplink.hit", |config| config);
    bench.hear_state(State::Active);
    bench.hangs.send_replace(true);
    bench.cuts.send_modify(|cuts| *cuts += 1);
    let hits = 3 * MAX_IN_FLIGHT as u64;
    for n in 0..hits {
        hit(n);
        std::thread::sleep(Duration::from_millis(20));
    }
    bench.hangs.send_replace(false);

    // A report that was on its way when the connection ended comes twice.
    let mut rows_by_sequence = std::collections::BTreeMap::new();
    let mut is_back = false;
    bench.hear(|kind| {
        match &kind {
            Kind::Hello(_) => is_back = true,
            Kind::Report(report) => drop(rows_by_sequence.insert(report.sequence, rows(&kind))),
            _ => {}
        }
        (is_back && matches!(kind, Kind::Woven(_))).then_some(())
    });
    assert!(rows_by_sequence.len() > MAX_IN_FLIGHT, "{} reports", rows_by_sequence.len());
    assert_eq!(rows_by_sequence.values().sum::<u64>(), hits);
}

fn now_ns() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_nanos()).unwrap()
}
