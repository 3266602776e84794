//! Tracepoints next to other instrumentation, in one run: `cargo run --release` in this folder.
//!
//! Every row runs in turn in every round; the least time of a row over all rounds is shown. Ratios
//! within one run are what counts.

mod woven;

use fastrace::local::LocalSpan;
use opentelemetry::KeyValue;
use opentelemetry::trace::{Span, Tracer, TracerProvider};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::{counter::Counter, family::Family};
use std::hint::black_box;
use std::sync::OnceLock;
use std::time::Instant;
use tracing_subscriber::layer::SubscriberExt;
use woven::{Query, host, weave};

const ROUNDS: usize = 31;
const TURNS: u64 = 20_000;

struct Noop;

impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for Noop {}

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

/// A name and what one turn does.
type Row = (&'static str, Box<dyn Fn()>);

fn turns(turn: impl Fn(u64) + 'static) -> Box<dyn Fn()> {
    Box::new(move || (0..TURNS).for_each(|i| turn(black_box(i))))
}

fn under(dispatch: tracing::Dispatch, run: Box<dyn Fn()>) -> Box<dyn Fn()> {
    Box::new(move || tracing::dispatcher::with_default(&dispatch, &run))
}

fn woven_row(query: Query) -> Box<dyn Fn()> {
    Box::new(move || {
        weave(query);
        (0..TURNS).for_each(|i| woven::hit(black_box(i)));
        weave(Query::None);
    })
}

fn rows() -> Vec<Row> {
    let event = |i: u64| tracing::info!(delta = i as i64, host = host(i));
    let span = |i: u64| drop(tracing::info_span!("op", delta = i as i64, host = host(i)).entered());
    let layered = |run| under(tracing::Dispatch::new(tracing_subscriber::registry().with(Noop)), run);
    let visited = |run| under(tracing::Dispatch::new(tracing_subscriber::registry().with(Visiting)), run);
    vec![
        (
            "empty turn",
            turns(|i| {
                black_box(host(i));
            }),
        ),
        ("idle: tracepoint", turns(woven::hit)),
        ("idle: tracing event, no subscriber", turns(event)),
        ("idle: log::debug!", turns(|i| log::debug!("delta={} host={}", i, host(i)))),
        ("idle: fastrace local span, no parent", turns(|_| drop(LocalSpan::enter_with_local_parent("op")))),
        ("woven: filter rejects", woven_row(Query::Rejects)),
        ("woven: COUNT by string", woven_row(Query::Count)),
        ("woven: x > k, COUNT, SUM by string", woven_row(Query::FilteredSum)),
        ("woven: SUM by two strings", woven_row(Query::SumByTwo)),
        ("woven: histogram by string", woven_row(Query::Histogram)),
        ("tracing event, no-op layer", layered(turns(event))),
        ("tracing event, visiting layer", visited(turns(event))),
        ("tracing span, no-op layer", layered(turns(span))),
        (
            "fastrace local span, 100 a root",
            Box::new(|| {
                for root in 0..TURNS / 100 {
                    let parent = fastrace::Span::root("root", fastrace::collector::SpanContext::random());
                    let _guard = parent.set_local_parent();
                    (0..100).for_each(|i| {
                        black_box(root * 100 + i);
                        drop(LocalSpan::enter_with_local_parent("op"));
                    });
                }
            }),
        ),
        ("otel span, no processor", turns(|_| tracer().start("op").end())),
        ("otel counter, dynamic attribute", turns(|i| counter().add(i, &[KeyValue::new("host", host(i))]))),
        ("metrics counter, dynamic label", turns(|i| metrics::counter!("c", "host" => host(i)).increment(i))),
        (
            "prometheus-client family, new label",
            turns(|i| {
                family().get_or_create(&Labels { host: host(i).to_owned() }).inc_by(i);
            }),
        ),
    ]
}

fn main() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    assert!(metrics::set_global_recorder(recorder).is_ok(), "there is no other recorder");
    let rows = rows();
    let mut least = vec![f64::INFINITY; rows.len()];
    for _ in 0..ROUNDS {
        for ((_, run), least) in rows.iter().zip(&mut least) {
            let begun = Instant::now();
            run();
            *least = least.min(begun.elapsed().as_nanos() as f64 / TURNS as f64);
        }
    }
    let empty = least[0];
    for ((name, _), turn) in rows.iter().zip(&least) {
        println!("{name:<40} {turn:>9.2} ns   {:>9.2} more than an empty turn", turn - empty);
    }
}
