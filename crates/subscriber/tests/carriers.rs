//! Requests go wherever their carrier is entered: tasks, branches, other threads.
#![allow(missing_docs, clippy::unwrap_used)]

mod harness;

use harness::{Counts, pack_at, packed, request, under_wrapped};
use pivot_subscriber::SubscriberBridge;
use std::sync::mpsc;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use tracing::{Instrument, Span, info_span};
use tracing_core::Subscriber;
use tracing_core::subscriber::NoSubscriber;
use tracing_subscriber::Registry;

/// Passes an event that packs.
fn pack(n: u64) {
    tracing::info!(name: "pack", target: "carried", n);
}

/// Returns the values that this thread sees. The event makes threads inside of the same span exchange theirs.
fn look() -> Option<Vec<u64>> {
    pack(0);
    packed().map(|all| all.into_iter().filter(|n| *n > 0).collect())
}

/// Runs with a bridge whose carriers are the spans of the target `carrier`, and with `pack` woven.
fn carrying<S: Subscriber + Send + Sync>(inner: S, run: impl FnOnce()) {
    let wrapped = SubscriberBridge::new(inner).carriers(|span| span.target() == "carrier");
    under_wrapped(wrapped, || {
        pack(0);
        assert_eq!(pivot_agent::weave(&[pack_at("carried::pack", "n")]), []);
        pivot_baggage::set_carrying(true);
        run();
        pivot_baggage::set_carrying(false);
    });
}

/// Returns a runtime whose threads have this thread's subscriber.
fn runtime(threads: usize) -> Runtime {
    let dispatch = tracing_core::dispatcher::get_default(Clone::clone);
    let start = move || std::mem::forget(tracing_core::dispatcher::set_default(&dispatch));
    Builder::new_multi_thread().worker_threads(threads).on_thread_start(start).enable_time().build().unwrap()
}

/// Runs on a thread that has this thread's subscriber and is outside any request.
fn elsewhere<T: Send>(run: impl FnOnce() -> T + Send) -> T {
    let dispatch = tracing_core::dispatcher::get_default(Clone::clone);
    let run = || tracing_core::dispatcher::with_default(&dispatch, run);
    std::thread::scope(|threads| threads.spawn(run).join().unwrap())
}

#[test]
fn tasks_keep_their_requests_apart_on_whatever_thread_they_run() {
    carrying(NoSubscriber::default(), || {
        let runtime = runtime(3);
        let task = |n: u64| async move {
            let first = request();
            for step in 0..20 {
                pack(n * 100 + step);
                tokio::task::yield_now().await;
                assert_eq!(request(), first);
            }
            (first, look())
        };
        let span = || info_span!(target: "carrier", "request");
        let tasks: Vec<_> = (1..9).map(|n| runtime.spawn(task(n).instrument(span()))).collect();
        let ended: Vec<_> = tasks.into_iter().map(|task| runtime.block_on(task).unwrap()).collect();

        for (n, (id, seen)) in (1..).zip(&ended) {
            assert_eq!(seen.as_deref(), Some((n * 100..n * 100 + 20).collect::<Vec<_>>().as_slice()));
            assert!(id.is_some() && ended.iter().filter(|(other, _)| other == id).count() == 1);
        }
        assert!(!pivot_baggage::in_request());
    });
}

#[test]
fn branches_of_one_task_do_not_see_each_other_until_they_have_joined() {
    carrying(NoSubscriber::default(), || {
        let branch = |n: u64| {
            let work = async move {
                pack(n);
                tokio::task::yield_now().await;
                look()
            };
            work.instrument(info_span!(target: "carrier", "branch", n))
        };
        let whole = async {
            pack(1);
            let seen = tokio::join!(branch(2), branch(3));
            (seen, look())
        };

        let (seen, all) = runtime(1).block_on(whole.instrument(info_span!(target: "carrier", "request")));
        assert_eq!(seen, (Some(vec![1, 2]), Some(vec![1, 3])));
        assert_eq!(all, Some(vec![1, 2, 3]));
    });
}

#[test]
fn losers_of_a_select_and_futures_that_time_out_join_where_they_are_dropped() {
    carrying(NoSubscriber::default(), || {
        let endless = |n: u64| {
            let work = async move {
                pack(n);
                std::future::pending::<()>().await;
            };
            work.instrument(info_span!(target: "carrier", "branch", n))
        };
        let whole = async {
            tokio::select! {
                biased;
                () = endless(1) => {}
                () = tokio::time::sleep(Duration::from_millis(1)) => {}
            }
            let first = look();
            let _ = tokio::time::timeout(Duration::from_millis(1), endless(2)).await;
            (first, look())
        };
        let seen = runtime(1).block_on(whole.instrument(info_span!(target: "carrier", "request")));
        assert_eq!(seen, (Some(vec![1]), Some(vec![1, 2])));
    });
}

#[test]
fn a_branch_that_is_dropped_elsewhere_joins_the_carrier_in_which_it_was_made() {
    carrying(NoSubscriber::default(), || {
        let request = info_span!(target: "carrier", "request");
        let branch = request.in_scope(|| info_span!(target: "carrier", "branch"));
        elsewhere(|| branch.in_scope(|| pack(1)));

        info_span!(target: "carrier", "other").in_scope(|| {
            drop(branch);
            assert_eq!(look(), Some(vec![]));
        });
        assert_eq!(request.in_scope(look), Some(vec![1]));
    });
}

#[test]
fn spans_may_be_left_in_another_order_than_they_were_entered() {
    carrying(NoSubscriber::default(), || {
        let [a, b] = ["a", "b"].map(|name| info_span!(target: "carrier", "request", name));
        let (inside_a, inside_b) = (a.enter(), b.enter());
        pack(2);

        drop(inside_a);
        assert_eq!(look(), Some(vec![2]), "b is still entered");

        drop(inside_b);
        assert!(!pivot_baggage::in_request());
        a.in_scope(|| pack(1));
        assert_eq!((a.in_scope(look), b.in_scope(look)), (Some(vec![1]), Some(vec![2])));
    });
}

#[test]
fn a_span_that_two_threads_are_in_leaves_each_where_it_was() {
    carrying(NoSubscriber::default(), || {
        let (span, other) =
            (info_span!(target: "carrier", "request"), info_span!(target: "carrier", "other"));
        let inside = span.enter();
        let (id, handle) = (request(), span.clone());
        let ((told, first), (tell, last)) = (mpsc::channel(), mpsc::channel());
        let dispatch = tracing_core::dispatcher::get_default(Clone::clone);
        let thread = std::thread::spawn(move || {
            let _default = tracing_core::dispatcher::set_default(&dispatch);
            let _other = other.entered();
            let outside = request();
            let inside = handle.enter();
            assert_eq!(request(), id);
            pack(1);
            told.send(()).unwrap();
            last.recv().unwrap();
            pack(2);
            drop(inside);
            assert_eq!((request(), look()), (outside, Some(vec![])));
        });

        first.recv().unwrap();
        drop(inside);
        assert!(!pivot_baggage::in_request(), "the thread's own request was none");
        tell.send(()).unwrap();
        thread.join().unwrap();
        assert_eq!(span.in_scope(|| (request(), look())), (id, Some(vec![1, 2])));
    });
}

/// Has work done as `sqlx` does: a worker enters the span that was current where the work was ordered, in the
/// carrier or in a span of this name within. Returns what whoever ordered it sees.
fn order_work(ordered_in: &str) -> Option<Vec<u64>> {
    let (order, orders) = mpsc::channel::<(Span, mpsc::Sender<()>)>();
    let dispatch = tracing_core::dispatcher::get_default(Clone::clone);
    let worker = std::thread::spawn(move || {
        let _default = tracing_core::dispatcher::set_default(&dispatch);
        for (span, answer) in orders {
            let _inside = span.enter();
            pack(7);
            answer.send(()).unwrap();
            // Whoever has the answer goes on while the worker is still inside.
            std::thread::sleep(Duration::from_millis(20));
        }
        pivot_baggage::in_request()
    });
    let work = || {
        let (answer, answered) = mpsc::channel();
        order.send((Span::current(), answer)).unwrap();
        answered.recv().unwrap();
        look()
    };

    let seen = info_span!(target: "carrier", "request").in_scope(|| match ordered_in {
        "" => work(),
        name => info_span!(target: "other", "detail", name).in_scope(work),
    });
    drop(order);
    assert!(!worker.join().unwrap());
    seen
}

#[test]
fn a_worker_that_enters_the_current_span_works_for_the_request() {
    carrying(NoSubscriber::default(), || assert_eq!(order_work(""), Some(vec![7]), "nobody wants the span"));
    carrying(Registry::default(), || assert_eq!(order_work(""), Some(vec![7]), "the application's own"));
    carrying(Registry::default(), || assert_eq!(order_work("deep"), Some(vec![7]), "a span inside of it"));
}

#[test]
fn a_span_that_several_requests_hand_on_carries_none_of_them() {
    carrying(Registry::default(), || {
        let everybodys = info_span!(target: "other", "pool");
        let hand_on = || everybodys.in_scope(Span::current);
        let requests = [1, 2].map(|n| info_span!(target: "carrier", "request", n));
        let handles = requests.each_ref().map(|request| request.in_scope(hand_on));

        let seen = handles.map(|handle| elsewhere(|| handle.in_scope(pivot_baggage::in_request)));
        assert_eq!(seen, [false, false]);
    });
}

#[test]
fn the_application_finds_its_own_span_current_before_a_carrier_that_it_does_not_want() {
    let targets = tracing_subscriber::filter::Targets::new().with_target("wanted", tracing_core::Level::INFO);
    use tracing_subscriber::layer::SubscriberExt;
    carrying(Registry::default().with(targets), || {
        let current = || Span::current().metadata().map(|metadata| metadata.name());
        let carrier = || info_span!(target: "carrier", "request");
        assert_eq!(carrier().in_scope(current), Some("request"));
        info_span!(target: "wanted", "own").in_scope(|| assert_eq!(carrier().in_scope(current), Some("own")));
        carrier().in_scope(|| assert_eq!(info_span!(target: "wanted", "own").in_scope(current), Some("own")));
        assert_eq!(current(), None);
    });
}

#[test]
fn the_beginning_and_the_end_of_a_span_belong_to_its_request() {
    carrying(Counts::default(), || {
        let span = || tracing::debug_span!(target: "carrier", "whole", n = 3);
        span().in_scope(|| pack(0));
        let woven =
            [pack_at("carrier::whole@enter", "n"), harness::emit("carrier::whole@exit", &["request", "n"])];
        assert_eq!(pivot_agent::weave(&woven), []);

        let whole = span();
        let (id, seen) = whole.in_scope(|| (request().unwrap(), packed()));
        drop(whole);
        assert_eq!(seen, Some(vec![3]));
        assert_eq!(harness::rows(), [format!("{id:032x} 3")]);
    });
}

/// The application's code formats a value where it is recorded, and may pass events of its own there.
#[test]
fn a_recorded_value_whose_text_causes_an_event_blocks_nobody() {
    struct Chatty;
    impl std::fmt::Debug for Chatty {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            pack(5);
            f.write_str("chatty")
        }
    }
    carrying(NoSubscriber::default(), || {
        let span = || info_span!(target: "carrier", "recorded", who = tracing::field::Empty);
        drop(span());
        assert_eq!(
            pivot_agent::weave(&[
                pack_at("carried::pack", "n"),
                harness::emit("carrier::recorded@exit", &["who"])
            ]),
            []
        );

        let dispatch = tracing_core::dispatcher::get_default(Clone::clone);
        let (done, is_done) = mpsc::channel();
        std::thread::spawn(move || {
            let _default = tracing_core::dispatcher::set_default(&dispatch);
            let span = span();
            let seen = span.in_scope(|| {
                span.record("who", tracing::field::debug(Chatty));
                look()
            });
            drop(span);
            let _ = done.send(seen);
        });
        let seen = is_done.recv_timeout(Duration::from_secs(20)).expect("the thread waits for itself");
        assert_eq!((seen, harness::rows()), (Some(vec![5]), vec!["chatty".to_owned()]));
    });
}

#[test]
fn a_branch_joins_when_it_is_done_even_if_a_worker_still_has_a_handle() {
    carrying(NoSubscriber::default(), || {
        let branch = || {
            let span = info_span!(target: "carrier", "branch");
            let handle = span.clone();
            span.in_scope(|| pack(1));
            (span, handle)
        };
        info_span!(target: "carrier", "request").in_scope(|| {
            let (done, _kept) = branch();
            drop(done);
            assert_eq!(look(), Some(vec![1]));
            drop(_kept);
            assert_eq!(look(), Some(vec![1]), "once");
        });
        info_span!(target: "carrier", "request").in_scope(|| {
            let (first, second) = branch();
            let third = second.clone();
            third.in_scope(|| ());
            pack(2);
            elsewhere(|| drop(first));
            assert_eq!(look(), Some(vec![2]), "only who did it says when it is done");

            drop((second, third));
            assert_eq!(look(), Some(vec![1, 2]));
        });
    });
}

#[test]
fn many_requests_that_share_a_few_workers_keep_what_was_done_for_each() {
    carrying(Registry::default(), || {
        let (order, orders) = mpsc::channel::<(Span, u64, tokio::sync::oneshot::Sender<()>)>();
        let orders = std::sync::Arc::new(std::sync::Mutex::new(orders));
        let dispatch = tracing_core::dispatcher::get_default(Clone::clone);
        let worker = || {
            let (orders, dispatch) = (orders.clone(), dispatch.clone());
            std::thread::spawn(move || {
                let _default = tracing_core::dispatcher::set_default(&dispatch);
                loop {
                    let next = orders.lock().unwrap().recv();
                    let Ok((span, number, answer)) = next else { return };
                    let _inside = span.enter();
                    pack(number);
                    let _ = answer.send(());
                }
            })
        };

        let workers: Vec<_> = (0..3).map(|_| worker()).collect();

        let task = |n: u64, order: mpsc::Sender<_>| async move {
            let mut done = Vec::new();
            for step in 1..=20 {
                let number = n * 100 + step;
                let work = async {
                    let (answer, answered) = tokio::sync::oneshot::channel();
                    order.send((Span::current(), number, answer)).unwrap();
                    answered.await.unwrap();
                };
                // Now and then in a span of the application's within.
                match step % 3 {
                    0 => work.instrument(info_span!(target: "other", "step")).await,
                    _ => work.await,
                }
                done.push(number);
                assert_eq!(look().as_ref(), Some(&done));
            }
        };
        let runtime = runtime(3);
        let spawn = |n| {
            let order = order.clone();
            runtime.spawn(task(n, order).instrument(info_span!(target: "carrier", "request", n)))
        };

        let tasks: Vec<_> = (1..=60).map(spawn).collect();
        tasks.into_iter().for_each(|task| runtime.block_on(task).unwrap());
        drop(order);
        workers.into_iter().for_each(|worker| worker.join().unwrap());
    });
}
