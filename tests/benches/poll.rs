//! What does it cost per poll that a future carries baggage, next to other ways to carry something?
//!
//! `cargo bench --bench poll` in `tests/benches` prints nanoseconds above the bare future, all measured
//! in turn in one run; the ratios count.
//!
//! On two busy cores (EPYC, Zen 5): +1.35 ns a poll, which is 0.36 of tokio's task_local, 0.13 of tracing's
//! Instrument, 0.24 of fastrace's no-op span, 0.06 of OpenTelemetry's with_context.
#![allow(missing_docs)]

use fastrace::future::FutureExt as _;
use opentelemetry::trace::FutureExt as _;
use pivot_baggage::{Baggage, FutureExt as _};
use std::future::Future;
use std::hint::black_box;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;
use tracing::Instrument;
use tracing_subscriber::prelude::*;

const ROUNDS: usize = 101;
const POLLS: usize = 20_000;

tokio::task_local!(static LOCAL: Arc<u64>);

/// Counts its polls and is never ready.
struct Never(u64);

impl Future for Never {
    type Output = ();

    #[inline(never)]
    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        self.0 += 1;
        Poll::Pending
    }
}

/// A layer that sees everything and does nothing.
struct Nothing;

impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for Nothing {}

struct Discard;

impl fastrace::collector::Reporter for Discard {
    fn report(&mut self, _: Vec<fastrace::collector::SpanRecord>) {}
}

type Polled = (&'static str, Pin<Box<dyn Future<Output = ()>>>);

fn main() {
    tracing_subscriber::registry().with(Nothing).init();
    fastrace::set_reporter(Discard, fastrace::collector::Config::default());
    let mut begun = Baggage::new();
    begun.request_or_begin();
    let otel = opentelemetry::Context::current().with_value(7u64);
    let root = || fastrace::Span::root("request", fastrace::collector::SpanContext::random());
    let carried = |baggage| async move { drop(Never(0).in_baggage(baggage).await) };

    let mut futures: Vec<Polled> = vec![
        ("bare", Box::pin(Never(0))),
        ("pivot, empty", Box::pin(carried(Baggage::new()))),
        ("pivot, a branch", Box::pin(carried(begun))),
        ("tokio task_local", Box::pin(LOCAL.scope(Arc::new(1), Never(0)))),
        ("tracing Instrument", Box::pin(Never(0).instrument(tracing::info_span!("request")))),
        ("fastrace, no-op span", Box::pin(Never(0).in_span(fastrace::Span::noop()))),
        ("fastrace, live span", Box::pin(Never(0).in_span(root()))),
        ("opentelemetry", Box::pin(Never(0).with_context(otel))),
    ];

    let mut least = vec![f64::INFINITY; futures.len()];
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..ROUNDS {
        // The queue of a live span fills up, and then costs nothing any more.
        futures[6].1 = Box::pin(Never(0).in_span(root()));
        for ((name, future), least) in futures.iter_mut().zip(&mut least) {
            let polls = if name.starts_with("fastrace, live") { 64 } else { POLLS };
            let start = Instant::now();
            for _ in 0..polls {
                let _pending = black_box(future.as_mut().poll(&mut context));
            }
            *least = least.min(start.elapsed().as_nanos() as f64 / polls as f64);
        }
    }

    let ours = least[1] - least[0];
    println!("bare future           {:>8.2} ns a poll", least[0]);

    for ((name, _), ns) in futures.iter().zip(&least).skip(1) {
        println!("{name:<22}{:>+8.2} ns, pivot / it {:.2}", ns - least[0], ours / (ns - least[0]));
    }
}
