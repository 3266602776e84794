//! Tracepoints next to other instrumentation, in one run: `cargo run --release` in this folder. With
//! `control` behind it, what weaving and draining take.
//!
//! Every row runs in turn in every round; the least time of a row over all rounds is shown. Ratios
//! within one run are what counts.

mod control;
mod woven;

use fastrace::local::LocalSpan;
use opentelemetry::KeyValue;
use opentelemetry::trace::{Span, Tracer, TracerProvider};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::{counter::Counter, family::Family};
use std::cell::RefCell;
use std::collections::HashMap;
use std::hint::black_box;
use std::sync::OnceLock;
use std::time::Instant;
use tracing_subscriber::layer::SubscriberExt;
use woven::{Query, host};

const ROUNDS: usize = 25;
const TURNS: u64 = 20_000;
const THREADS: [usize; 3] = [1, 2, 8];

/// Of the machine; more threads than these take turns.
const PROCESSORS: f64 = 2.0;

struct Noop;

/// What the layers are not interested in is ruled out by its level, before any of them is asked.
const LEVEL: Option<tracing::metadata::LevelFilter> = Some(tracing::metadata::LevelFilter::INFO);

impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for Noop {
    fn max_level_hint(&self) -> Option<tracing::metadata::LevelFilter> {
        LEVEL
    }
}

/// Reads every field, as any useful layer must.
struct Visiting;

struct Visitor(u64);

impl tracing::field::Visit for Visitor {
    fn record_i64(&mut self, _: &tracing::field::Field, value: i64) {
        self.0 = self.0.wrapping_add(value as u64);
    }

    fn record_str(&mut self, _: &tracing::field::Field, value: &str) {
        self.0 = self.0.wrapping_add(value.len() as u64);
    }

    fn record_debug(&mut self, _: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        black_box(value);
    }
}

impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for Visiting {
    fn max_level_hint(&self) -> Option<tracing::metadata::LevelFilter> {
        LEVEL
    }

    fn on_event(&self, event: &tracing::Event<'_>, _: tracing_subscriber::layer::Context<'_, S>) {
        let mut visitor = Visitor(0);
        event.record(&mut visitor);
        black_box(visitor.0);
    }
}

/// Exports metrics to nobody.
struct Nowhere;

impl opentelemetry_sdk::metrics::exporter::PushMetricExporter for Nowhere {
    fn export(
        &self,
        metrics: &opentelemetry_sdk::metrics::data::ResourceMetrics,
    ) -> impl Future<Output = opentelemetry_sdk::error::OTelSdkResult> + Send {
        black_box(metrics);
        std::future::ready(Ok(()))
    }

    fn force_flush(&self) -> opentelemetry_sdk::error::OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: std::time::Duration) -> opentelemetry_sdk::error::OTelSdkResult {
        Ok(())
    }

    fn temporality(&self) -> opentelemetry_sdk::metrics::Temporality {
        opentelemetry_sdk::metrics::Temporality::Delta
    }
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Labels {
    host: String,
}

fn family() -> &'static Family<Labels, Counter> {
    static FAMILY: OnceLock<Family<Labels, Counter>> = OnceLock::new();
    FAMILY.get_or_init(Family::default)
}

fn tracer() -> &'static opentelemetry_sdk::trace::SdkTracer {
    static TRACER: OnceLock<opentelemetry_sdk::trace::SdkTracer> = OnceLock::new();
    TRACER.get_or_init(|| opentelemetry_sdk::trace::SdkTracerProvider::builder().build().tracer("bench"))
}

fn counter() -> &'static opentelemetry::metrics::Counter<u64> {
    static COUNTER: OnceLock<opentelemetry::metrics::Counter<u64>> = OnceLock::new();
    COUNTER.get_or_init(|| {
        let hour = std::time::Duration::from_secs(3600);
        let reader = opentelemetry_sdk::metrics::PeriodicReader::builder(Nowhere).with_interval(hour).build();
        let provider = opentelemetry_sdk::metrics::SdkMeterProvider::builder().with_reader(reader).build();
        let counter =
            opentelemetry::metrics::MeterProvider::meter(&provider, "bench").u64_counter("c").build();
        std::mem::forget(provider);
        counter
    })
}

/// A row of the table: its name, the query that is woven meanwhile, and what is timed.
struct Row(&'static str, Query, Box<dyn Fn() + Sync>);

fn turns(turn: impl Fn(u64) + Sync + 'static) -> Box<dyn Fn() + Sync> {
    Box::new(move || (0..TURNS).for_each(|i| turn(black_box(i))))
}

fn row(name: &'static str, turn: impl Fn(u64) + Sync + 'static) -> Row {
    Row(name, Query::None, turns(turn))
}

fn under(name: &'static str, dispatch: tracing::Dispatch, turn: impl Fn(u64) + Sync + 'static) -> Row {
    let run = turns(turn);
    Row(name, Query::None, Box::new(move || tracing::dispatcher::with_default(&dispatch, &run)))
}

/// Within a request that carries one tuple.
fn woven_row(name: &'static str, query: Query) -> Row {
    let run = turns(woven::hit);
    Row(
        name,
        query,
        Box::new(move || {
            let _scope = pivot_baggage::enter_request(Some(woven::request()));
            run();
        }),
    )
}

fn spans() {
    for root in 0..TURNS / 100 {
        let parent = fastrace::Span::root("root", fastrace::collector::SpanContext::random());
        let _guard = parent.set_local_parent();
        (0..100).for_each(|i| {
            black_box(root * 100 + i);
            drop(LocalSpan::enter_with_local_parent("op"));
        });
    }
}

thread_local! {
    static SUMS: RefCell<HashMap<String, (u64, i128), foldhash::fast::RandomState>> = RefCell::default();
}

/// What the query of a count and a sum by a text does, by hand, in a table of the thread.
fn by_hand(i: u64) {
    let (host, delta) = (host(i), black_box(i as i64));
    if delta > -1 {
        SUMS.with_borrow_mut(|sums| match sums.get_mut(host) {
            Some(sum) => *sum = (sum.0 + 1, sum.1 + i128::from(delta)),
            None => drop(sums.insert(host.to_owned(), (1, i128::from(delta)))),
        });
    }
}

fn rows() -> Vec<Row> {
    let event = |i: u64| tracing::info!(delta = i as i64, host = host(i));
    let span = |i: u64| drop(tracing::info_span!("op", delta = i as i64, host = host(i)).entered());
    let noop = || tracing::Dispatch::new(tracing_subscriber::registry().with(Noop));
    let visiting = || tracing::Dispatch::new(tracing_subscriber::registry().with(Visiting));
    let counters = prometheus::IntCounterVec::new(prometheus::Opts::new("c", "counts"), &["host"]);
    let counters = counters.expect("a counter of that name");

    vec![
        row("empty turn", |i| {
            black_box(host(i));
        }),
        row("idle: tracepoint", |i| {
            let (delta, host) = (i as i64, black_box(host(i)));
            pivot_agent::tracepoint!("Bench.idle", host: &str = host, delta: i64 = delta);
        }),
        row("idle: tracing event, ruled out by its level", |i| {
            let (delta, host) = (i as i64, black_box(host(i)));
            tracing::debug!(delta, host);
        }),
        row("idle: log::debug!", |i| {
            let (delta, host) = (i as i64, black_box(host(i)));
            log::debug!("delta={delta} host={host}");
        }),
        row("idle: fastrace local span, no parent", |_| drop(LocalSpan::enter_with_local_parent("op"))),
        row("COUNT, SUM by string, by hand", by_hand),
        woven_row("woven: filter rejects", Query::Rejects),
        woven_row("woven: COUNT by string", Query::Count),
        woven_row("woven: x > k, COUNT, SUM by string", Query::FilteredSum),
        woven_row("woven: SUM by two strings", Query::SumByTwo),
        woven_row("woven: histogram by string", Query::Histogram),
        woven_row("woven: two of x > k, COUNT, SUM", Query::Two),
        woven_row("woven: happened-before join", Query::Join),
        woven_row("woven: PACK, added to a group", Query::Pack),
        woven_row("woven: PACK, First is chosen", Query::PackFirst),
        row("one hop of a request with one tuple", woven::hop),
        under("tracing event, no-op layer", noop(), event),
        under("tracing event, visiting layer", visiting(), event),
        under("tracing span, no-op layer", noop(), span),
        Row("fastrace local span, 100 a root", Query::None, Box::new(spans)),
        row("otel span, no processor", |_| tracer().start("op").end()),
        row("otel counter, dynamic attribute", |i| counter().add(i, &[KeyValue::new("host", host(i))])),
        row("otel Baggage::get", |_| {
            black_box(baggage().get("a key of baggage"));
        }),
        row("metrics counter, dynamic label", |i| metrics::counter!("c", "host" => host(i)).increment(i)),
        row("prometheus counter vector", move |i| counters.with_label_values(&[host(i)]).inc_by(i)),
        row("prometheus-client family, new label", |i| {
            family().get_or_create(&Labels { host: host(i).to_owned() }).inc_by(i);
        }),
    ]
}

fn baggage() -> &'static opentelemetry::baggage::Baggage {
    static BAGGAGE: OnceLock<opentelemetry::baggage::Baggage> = OnceLock::new();
    BAGGAGE.get_or_init(|| {
        let mut baggage = opentelemetry::baggage::Baggage::new();
        (0..8).for_each(|i| drop(baggage.insert(format!("key{i}"), i.to_string())));
        baggage.insert("a key of baggage", "FSread4m");
        baggage
    })
}

/// Nanoseconds of one thread for a turn, with so many threads at it. Of more threads than processors,
/// those that wait are not counted.
fn ns(run: &(dyn Fn() + Sync), threads: usize) -> f64 {
    let begun = Instant::now();
    std::thread::scope(|scope| {
        (1..threads).for_each(|_| drop(scope.spawn(run)));
        run();
    });
    let waiting = (threads as f64 / PROCESSORS).max(1.0);
    begun.elapsed().as_nanos() as f64 / TURNS as f64 / waiting
}

fn main() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    assert!(metrics::set_global_recorder(recorder).is_ok(), "there is no other recorder");
    pivot_baggage::set_carrying(true);

    if std::env::args().any(|argument| argument == "control") {
        return control::run();
    }

    let rows = rows();
    let mut least = vec![[f64::INFINITY; THREADS.len()]; rows.len()];
    for _ in 0..ROUNDS {
        for (Row(_, query, run), least) in rows.iter().zip(&mut least) {
            woven::weave(*query);
            pivot_agent::drain();
            // Tables are there when it counts.
            ns(run, 1);
            for (threads, least) in THREADS.iter().zip(least) {
                *least = least.min(ns(run, *threads));
            }
        }
    }

    println!(
        "| | 1 thread | less an empty turn | 2 threads | 2 to 1 | 8 threads |\n|---|---|---|---|---|---|"
    );
    let empty = least[0][0];

    for (Row(name, ..), [one, two, eight]) in rows.iter().zip(&least) {
        let (own, ratio) = (one - empty, two / one);
        println!("| {name} | {one:.2} ns | {own:.2} | {two:.2} | {ratio:.2} | {eight:.2} |");
    }
}
