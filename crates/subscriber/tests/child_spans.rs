//! Spans that are made in a request take it to the tasks and threads that enter them.
#![allow(missing_docs, clippy::unwrap_used)]

mod harness;

use harness::{pack_at, packed, request, under_wrapped};
use pivot_baggage::{Baggage, FutureExt};
use pivot_subscriber::SubscriberBridge;
use std::future::Future;
use tokio::runtime::{Builder, Runtime};
use tracing::{Instrument, Span, info_span};
use tracing_core::Subscriber;
use tracing_subscriber::Registry;

fn pack(n: u64) {
    tracing::info!(name: "pack", target: "child", n);
}

/// Returns the values that this thread sees, as any woven event would, or `None` outside any request.
fn seen() -> Option<Vec<u64>> {
    packed().map(|all| all.into_iter().filter(|n| *n > 0).collect())
}

/// Runs with a bridge whose carriers are the spans of the target `carrier`, and with `pack` woven.
fn carrying(inner: impl Subscriber + Send + Sync, run: impl FnOnce()) {
    let wrapped = SubscriberBridge::new(inner).carriers(|span| span.target() == "carrier");
    under_wrapped(wrapped, || {
        pack(0);
        assert_eq!(pivot_agent::weave(&[pack_at("child::pack", "n")]), []);
        pivot_baggage::set_carrying(true);
        run();
        pivot_baggage::set_carrying(false);
    });
}

/// Returns a runtime whose threads have this thread's subscriber.
fn runtime() -> Runtime {
    let dispatch = tracing_core::dispatcher::get_default(Clone::clone);
    let start = move || std::mem::forget(tracing_core::dispatcher::set_default(&dispatch));
    Builder::new_multi_thread().worker_threads(2).on_thread_start(start).enable_time().build().unwrap()
}

/// Runs a future as a request with a carrier.
fn in_carrier<T>(future: impl Future<Output = T>) -> T {
    runtime().block_on(future.instrument(info_span!(target: "carrier", "request")))
}

/// Packs in a request of its own task, and returns the request and what it saw before.
async fn leaf(n: u64) -> (Option<u128>, Option<Vec<u64>>) {
    tokio::task::yield_now().await;
    let before = (request(), seen());
    pack(n);
    before
}

/// Does what `#[instrument]` makes of a function.
async fn instrumented(n: u64) -> (Option<u128>, Option<Vec<u64>>) {
    leaf(n).instrument(info_span!("instrumented")).await
}

/// Starts tasks in all the ways that keep them in the request by their span, and checks that each sees what
/// happened before it was started, and that the request sees what it packed once it has ended.
async fn start_in_all_ways() {
    pack(1);
    let this = request();
    let child = || info_span!("child");
    let spawn = |n: u64, span: Span| tokio::spawn(leaf(n).instrument(span));
    let mut known = vec![1];
    let mut check = |what: &str, n: u64, found: (Option<u128>, Option<Vec<u64>>)| {
        assert_eq!(found, (this, Some(known.clone())), "{what}");
        known.push(n);
        assert_eq!(seen(), Some(known.clone()), "{what}: its end happened before");
    };

    check("child", 2, spawn(2, child()).await.unwrap());
    check("child by its parent", 3, spawn(3, info_span!(parent: &Span::current(), "child")).await.unwrap());
    check("grandchild", 4, spawn(4, child().in_scope(child)).await.unwrap());

    let nested = async { spawn(5, child()).await.unwrap() }.instrument(child());
    check("child of a nested span", 5, nested.await);
    let deep = async move { tokio::spawn(instrumented(6).instrument(child())).await.unwrap() };
    check("task of a task", 6, tokio::spawn(deep.instrument(child())).await.unwrap());

    let span = child();
    check("thread", 7, on_thread(move || span.in_scope(|| after_a_moment(7))));
    let span = child();
    let work = move || {
        let _inside = span.enter();
        after_a_moment(8)
    };
    check("blocking", 8, tokio::task::spawn_blocking(work).await.unwrap());
    check("entered here", 9, child().in_scope(|| after_a_moment(9)));

    // What happens between the beginning of a span and that of its task happens before the task.
    let (span, parent) = (child(), child());
    pack(10);
    assert_eq!(spawn(11, span).await.unwrap().1, Some((1..=10).collect()));
    let child_of_child = info_span!(parent: &parent, "child");
    assert_eq!(spawn(12, child_of_child).await.unwrap(), (this, Some((1..=11).collect())));
}

fn after_a_moment(n: u64) -> (Option<u128>, Option<Vec<u64>>) {
    let before = (request(), seen());
    pack(n);
    before
}

fn on_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let dispatch = tracing_core::dispatcher::get_default(Clone::clone);
    std::thread::spawn(move || tracing_core::dispatcher::with_default(&dispatch, work)).join().unwrap()
}

#[test]
fn a_task_in_a_child_of_the_carrier_belongs_to_the_request() {
    carrying(Registry::default(), || in_carrier(start_in_all_ways()));
}

#[test]
fn a_task_in_a_span_that_was_made_in_any_other_request_belongs_to_it() {
    carrying(Registry::default(), || {
        let handler = async { start_in_all_ways().instrument(info_span!("handler")).await };
        runtime().block_on(handler.in_baggage(Baggage::begin()));
    });
}

#[test]
fn the_baggage_that_ends_a_request_has_what_its_tasks_packed() {
    carrying(Registry::default(), || {
        let work = async {
            let task = tokio::spawn(leaf(2).instrument(info_span!("child")));
            pack(1);
            task.await.unwrap();
        };
        let (_, baggage) = runtime().block_on(work.in_baggage(Baggage::begin()));
        let arrived = Baggage::decode(&baggage.encode()).unwrap();
        assert_eq!((arrived.unpack(harness::BAG).unwrap().len(), arrived.instance_count()), (2, 0));
        let whole = Baggage::begin().share();
        assert_eq!(arrived.share(), whole, "every branch has come back");
    });
}

#[test]
fn tasks_beside_each_other_do_not_see_each_other() {
    carrying(Registry::default(), || {
        in_carrier(async {
            let (first, second) = (info_span!("child", n = 1), info_span!("child", n = 2));
            let (met, meets) = tokio::sync::oneshot::channel();
            let one = tokio::spawn(
                async {
                    pack(1);
                    met.send(()).unwrap()
                }
                .instrument(first),
            );
            let other = async move {
                meets.await.unwrap();
                let before = seen();
                pack(2);
                before
            };
            let seen_by_other = tokio::spawn(other.instrument(second)).await.unwrap();
            one.await.unwrap();
            // The second began when the first had not ended, or when it had: never in its midst.
            assert!([Some(vec![]), Some(vec![1])].contains(&seen_by_other), "{seen_by_other:?}");
            assert_eq!(seen(), Some(vec![1, 2]));
        });
    });
}

#[test]
fn a_thread_that_works_for_another_request_stays_in_it() {
    carrying(Registry::default(), || {
        let pool = in_carrier(async { info_span!("pool") });
        let (own, inside) = in_carrier(async { (request(), pool.in_scope(request)) });
        assert!(own.is_some());
        assert_eq!(own, inside);
    });
}

#[test]
fn spans_outside_of_requests_carry_none() {
    carrying(Registry::default(), || {
        in_carrier(async {
            let free = info_span!(parent: None, "free");
            assert_eq!(tokio::spawn(async { request() }.instrument(free)).await.unwrap(), None);
            assert_eq!(tokio::spawn(async { request() }).await.unwrap(), None);
        });
        let outside = info_span!("outside");
        assert_eq!(outside.in_scope(|| info_span!("inner").in_scope(request)), None);
    });
}

#[test]
fn an_endless_line_of_tasks_that_start_each_other_leaves_nothing_behind() {
    fn tick(n: u64) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> {
        let next = async move {
            if n > 0 {
                tokio::spawn(tick(n - 1).instrument(info_span!("tick", n)));
                tokio::task::yield_now().await;
            }
        };
        Box::pin(next)
    }
    carrying(Registry::default(), || {
        let runtime = runtime();
        runtime.block_on(tick(20_000).instrument(info_span!(target: "carrier", "request")));
        let metrics = runtime.metrics();
        while metrics.num_alive_tasks() > 0 {
            std::thread::yield_now();
        }
    });
}

#[test]
fn a_worker_that_enters_a_span_again_stays_inside_until_it_has_left_both_times() {
    carrying(Registry::default(), || {
        let span = in_carrier(async { info_span!("child") });
        let outer = span.enter();
        let inner = span.enter();
        assert!(request().is_some());
        drop(inner);
        assert!(request().is_some());
        drop(outer);
        assert!(request().is_none());
    });
}

/// Returns how many rows of the test's query came after the answer of their request, and how many there were.
fn after_the_answer() -> (u64, u64) {
    let drained = pivot_agent::drain();
    let parts = || drained.values();
    (parts().map(|part| part.loss.after_answer).sum(), parts().map(|part| part.emitted).sum())
}

/// Runs with `pack` woven, and a join at `child::job` that emits what was packed before.
fn joining(run: impl FnOnce()) {
    carrying(Registry::default(), || {
        tracing::info!(name: "job", target: "child", "known");
        assert_eq!(
            pivot_agent::weave(&[pack_at("child::pack", "n"), harness::emit_packed("child::job")]),
            []
        );
        pivot_agent::drain();
        run();
    });
}

fn job() {
    tracing::info!(name: "job", target: "child", "done");
}

/// Has a worker, which the first request starts, do a job for each of three requests. Returns how many rows
/// came after the answer, and how many there were.
fn serve_with_a_worker(
    start: impl Fn(tokio::sync::mpsc::Receiver<tokio::sync::oneshot::Sender<()>>),
) -> (u64, u64) {
    runtime().block_on(async {
        let mut worker = None;
        for n in 1..=3 {
            let request = async {
                pack(n);
                let worker = worker.get_or_insert_with(|| {
                    let (send, receive) = tokio::sync::mpsc::channel(1);
                    start(receive);
                    send
                });
                let (done, is_done) = tokio::sync::oneshot::channel();
                worker.send(done).await.unwrap();
                is_done.await.unwrap();
            };
            request.instrument(info_span!(target: "carrier", "request", n)).await;
        }
    });
    after_the_answer()
}

async fn work(mut jobs: tokio::sync::mpsc::Receiver<tokio::sync::oneshot::Sender<()>>) {
    while let Some(done) = jobs.recv().await {
        job();
        let _ = done.send(());
    }
}

#[test]
fn what_a_worker_does_after_the_answer_of_the_request_that_started_it_is_counted() {
    joining(|| {
        let current = serve_with_a_worker(|jobs| drop(tokio::spawn(work(jobs).in_current_span())));
        assert_eq!(current, (2, 3), "in the current span");
        let child = serve_with_a_worker(|jobs| drop(tokio::spawn(work(jobs).instrument(info_span!("pool")))));
        assert_eq!(child, (2, 3), "in a span of its own");
    });
}

#[test]
fn a_task_that_ends_before_the_answer_does_not_make_the_rest_come_after_it() {
    joining(|| {
        in_carrier(async {
            pack(1);
            let span = Span::current();
            tokio::spawn(async { job() }.instrument(span.clone())).await.unwrap();
            std::future::ready(()).instrument(span.clone()).await;
            drop(span);
            job();
        });
        assert_eq!(after_the_answer(), (0, 2));

        // Whoever opened it leaves it, and comes back.
        let span = info_span!(target: "carrier", "request");
        runtime().block_on(async {
            async { pack(1) }.instrument(span.clone()).await;
            async { job() }.instrument(span).await;
        });
        assert_eq!(after_the_answer(), (0, 1));
    });
}

#[test]
fn the_leak_detector_names_the_span_and_the_thread_of_an_event_outside_any_request() {
    carrying(Registry::default(), || {
        pivot_baggage::leaks::watch(true);
        let dispatch = tracing_core::dispatcher::get_default(Clone::clone);
        let work = move || {
            let _default = tracing_core::dispatcher::set_default(&dispatch);
            info_span!("append").in_scope(|| pivot_baggage::leaks::outside("Log.append", "log.rs", 3));
        };
        std::thread::Builder::new().name("raft-core".to_owned()).spawn(work).unwrap().join().unwrap();
        pivot_baggage::leaks::watch(false);

        let found = pivot_baggage::leaks();
        let place = "Log.append at log.rs:3, thread raft-core, span append";
        assert!(found.iter().any(|leak| leak.place == place), "{found:?}");
    });
}

#[test]
fn a_report_names_the_span_and_the_thread_of_a_join_outside_any_request() {
    joining(|| {
        let dispatch = tracing_core::dispatcher::get_default(Clone::clone);
        let work = move || {
            let _default = tracing_core::dispatcher::set_default(&dispatch);
            info_span!("append").in_scope(job);
            job();
        };
        std::thread::Builder::new().name("raft-core".to_owned()).spawn(work).unwrap().join().unwrap();

        let drained = pivot_agent::drain();
        let places: Vec<_> = drained.values().flat_map(|part| part.outside.iter()).collect();
        let found: Vec<_> = places.iter().map(|place| (&place.span[..], &place.thread[..])).collect();
        assert_eq!(found, [("append", "raft-core"), ("", "raft-core")], "{places:?}");
        assert_eq!(drained.values().map(|part| part.loss.without_request).sum::<u64>(), 2);
    });
}
