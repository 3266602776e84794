//! Everything that carries baggage through tasks. Each test has an answer that would be wrong if a branch were
//! lost, joined twice, or saw a sibling.

#![allow(clippy::unwrap_used)]

mod harness;

use futures::stream::{FuturesUnordered, StreamExt, iter};
use harness::{pack, seen};
use pivot_baggage::{Baggage, FutureExt, in_request};
use pivot_propagate::{JoinSet, Traced, carried_stream, forked, spawn, spawn_blocking, spawn_detached};
use std::future::{pending, poll_fn};
use std::panic::resume_unwind;
use std::task::Poll;
use std::time::Duration;
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::task::yield_now;

/// Packs 0, runs `work`, and checks what is seen after it, and that all branches joined and folded.
async fn check(work: impl Future<Output = ()>, after: &[u64]) {
    let mut baggage = Baggage::new();
    baggage.request_or_begin();
    let work = async {
        pack(0);
        work.await;
        assert_eq!(seen(), after);
    };
    let ((), baggage) = work.in_baggage(baggage).await;
    assert_eq!((baggage.instance_count(), baggage.is_partial()), (0, false));
}

/// Packs a value, waits, and packs the next. Returns what it saw at first.
async fn branch(value: u64) -> Vec<u64> {
    let before = seen();
    pack(value);
    yield_now().await;
    pack(value + 1);
    before
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_is_a_branch_and_joins_where_it_is_awaited() {
    let work = async {
        let (a, b) = (spawn(branch(10)), spawn_blocking(|| (seen(), pack(20))));
        pack(1);
        assert_eq!(a.await.unwrap(), [0]);
        assert_eq!(b.await.unwrap().0, [0]);
    };
    check(work, &[0, 1, 10, 11, 20]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_that_panics_or_is_cancelled_keeps_what_it_did_before() {
    let work = async {
        let panics = spawn(async {
            pack(1);
            resume_unwind(Box::new(()));
        });
        assert!(panics.await.unwrap_err().is_panic());

        let (ready, is_ready) = oneshot::channel();
        let cancelled = spawn(async move {
            pack(2);
            ready.send(()).unwrap();
            pending::<()>().await;
        });

        is_ready.await.unwrap();
        cancelled.abort();
        assert!(cancelled.await.unwrap_err().is_cancelled());

        let panics = spawn_blocking(|| {
            pack(3);
            resume_unwind(Box::new(()));
        });
        assert!(panics.await.unwrap_err().is_panic());
    };
    check(work, &[0, 1, 2, 3]).await;
}

#[tokio::test]
async fn a_detached_task_sees_and_is_not_seen() {
    check(async { assert_eq!(spawn_detached(branch(1)).await.unwrap(), [0]) }, &[0]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tasks_of_a_set_join_one_by_one_as_they_are_taken_out() {
    let work = async {
        let mut set = JoinSet::new();
        (1..4).for_each(|i| drop(set.spawn(branch(10 * i))));
        set.spawn_blocking(|| {
            let before = seen();
            pack(40);
            before
        });

        let mut taken = 0;
        while let Some(before) = set.join_next().await {
            taken += 1;
            assert_eq!(before.unwrap(), [0]);
            assert!((taken + 1..=2 * taken + 1).contains(&seen().len()));
        }
    };
    check(work, &[0, 10, 11, 20, 21, 30, 31, 40]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_set_that_is_shut_down_keeps_what_its_tasks_did_before() {
    let work = async {
        let mut set = JoinSet::new();
        let (send, mut receive) = mpsc::channel(8);
        for value in 1..3 {
            let send = send.clone();
            set.spawn(async move {
                pack(value);
                send.send(()).await.unwrap();
                pending::<()>().await;
            });
        }
        receive.recv().await.unwrap();
        receive.recv().await.unwrap();

        set.shutdown().await;
        assert!(set.is_empty() && set.try_join_next().is_none());

        let mut all = JoinSet::new();
        all.spawn(async { pack(3) });
        all.join_all().await;
    };
    check(work, &[0, 1, 2, 3]).await;
}

#[tokio::test]
async fn the_futures_of_a_join_do_not_see_each_other() {
    let work = async {
        let (a, b) = pivot_propagate::join!(branch(10), branch(20));
        assert_eq!((a, b), (vec![0], vec![0]));
    };
    check(work, &[0, 10, 11, 20, 21]).await;
}

#[tokio::test]
async fn a_try_join_that_fails_keeps_what_happened_before_it_did() {
    let work = async {
        let fails = async {
            branch(10).await;
            Err::<(), &str>("no")
        };
        let waits = async {
            pack(20);
            pending::<()>().await;
            Ok::<(), &str>(())
        };

        assert_eq!(pivot_propagate::try_join!(fails, waits), Err("no"));
    };
    check(work, &[0, 10, 11, 20]).await;
}

#[tokio::test]
async fn a_select_keeps_what_winner_and_losers_did() {
    let work = async {
        for round in 1..3 {
            let loses = async {
                pack(100 * round);
                pending::<()>().await;
            };

            let before = pivot_propagate::select! {
                biased;
                () = loses, if round > 0 => unreachable!(),
                before = branch(10 * round) => before,
                else => unreachable!(),
            };
            // The loser of this round is not seen by its winner.
            assert_eq!(before.len() as u64, 1 + 3 * (round - 1));
        }
    };
    check(work, &[0, 10, 11, 20, 21, 100, 200]).await;
}

#[tokio::test]
async fn futures_in_a_set_or_a_buffer_do_not_see_each_other() {
    let work = async {
        let mut set: FuturesUnordered<_> = (1..4).map(|i| forked(branch(10 * i))).collect();
        while let Some(before) = set.next().await {
            assert_eq!(before, [0]);
        }
    };
    check(work, &[0, 10, 11, 20, 21, 30, 31]).await;
    let work = async {
        let ended = iter(1..4).map(|i| forked(branch(10 * i))).buffer_unordered(3).collect::<Vec<_>>().await;
        assert!(ended.into_iter().all(|before| before == [0]));
    };
    check(work, &[0, 10, 11, 20, 21, 30, 31]).await;
}

#[tokio::test]
async fn a_buffer_that_is_given_up_keeps_what_its_futures_did() {
    let work = async {
        let waits = |i| async move {
            pack(i);
            pending::<()>().await;
        };

        let mut buffer = Box::pin(iter(1..3).map(|i| forked(waits(i))).buffer_unordered(2));
        let mut polled = false;
        poll_fn(|cx| {
            assert!(buffer.poll_next_unpin(cx).is_pending());
            polled = true;
            Poll::Ready(())
        })
        .await;
        assert_eq!((polled, seen()), (true, vec![0]));
    };
    check(work, &[0, 1, 2]).await;
}

#[tokio::test]
async fn a_timeout_keeps_what_happened_before_it() {
    let work = async {
        let slow = |value| async move {
            pack(value);
            pending::<()>().await;
        };
        assert!(tokio::time::timeout(Duration::from_millis(1), slow(1)).await.is_err());
        assert!(tokio::time::timeout(Duration::from_millis(1), forked(slow(2))).await.is_err());
    };
    check(work, &[0, 1, 2]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_is_polled_elsewhere_belongs_to_its_request() {
    let work = async {
        let (stream, ending) = carried_stream(iter(1..4).map(pack));
        let elsewhere = tokio::spawn(async { (stream.count().await, in_request()) });
        assert_eq!((elsewhere.await.unwrap(), seen()), ((3, false), vec![0]));
        ending.join();

        let (mut given_up, ending) = carried_stream(iter(4..9).map(pack));
        given_up.next().await;
        drop(given_up);
        ending.join();
    };
    check(work, &[0, 1, 2, 3, 4]).await;
}

/// The channel on which the sender of a message waits for the reply.
type ReplyChannel = oneshot::Sender<Traced<Vec<u64>>>;

/// A worker outside any request that packs with each message and replies.
async fn serve(mut messages: mpsc::Receiver<Traced<(u64, ReplyChannel)>>) {
    while let Some(message) = messages.recv().await {
        assert!(!in_request());
        let reply = message.process(|(value, back)| async move { (branch(value).await, back) }).await;

        let mut back = None;
        let reply = reply.run(|(before, sender)| {
            back = Some(sender);
            before
        });
        back.unwrap().send(reply).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_through_mpsc_and_oneshot_bring_baggage_there_and_back() {
    let (send, receive) = mpsc::channel(4);
    let worker = tokio::spawn(serve(receive));
    let ask = |value| {
        let send = send.clone();
        async move {
            let (back, reply) = oneshot::channel();
            send.send(Traced::new((value, back))).await.unwrap();
            reply.await.unwrap().join()
        }
    };
    let work = async {
        let (a, b) = pivot_propagate::join!(ask(10), ask(20));
        assert_eq!((a, b), (vec![0], vec![0]));
        assert_eq!(ask(30).await, [0, 10, 11, 20, 21]);
    };
    check(work, &[0, 10, 11, 20, 21, 30, 31]).await;
    drop(send);
    worker.await.unwrap();
}

#[tokio::test]
async fn each_receiver_of_a_broadcast_is_a_branch() {
    let work = async {
        let (send, receive) = broadcast::channel(4);
        let mut receivers = [send.subscribe(), send.subscribe(), receive];
        assert!(send.send(Traced::new(10)).is_ok());

        let mut replies = Vec::new();
        for (i, receiver) in (0..).zip(&mut receivers) {
            replies.push(receiver.recv().await.unwrap().run(|value| (seen(), pack(value + i)).0));
        }
        // The channel keeps the message, and with it a share, until it is gone.
        drop((send, receivers));
        replies.into_iter().for_each(|reply| assert_eq!(reply.join(), [0]));
    };
    check(work, &[0, 10, 11, 12]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn channels_of_other_crates_take_the_same_envelope() {
    let work = async {
        let (send, receive) = crossbeam_channel::unbounded::<Traced<u64>>();
        let (reply, replies) = async_channel::unbounded();
        let worker = std::thread::spawn(move || {
            receive.iter().for_each(|m| reply.try_send(m.run(|v| (seen(), pack(v)).0)).unwrap());
        });

        (1..4).for_each(|value| send.send(Traced::new(value)).unwrap());
        drop(send);

        for _ in 1..4 {
            let message = replies.recv().await.unwrap();
            assert_eq!(message.join(), [0]);
        }
        worker.join().unwrap();
    };
    check(work, &[0, 1, 2, 3]).await;
}

#[tokio::test]
async fn outside_a_request_everything_runs_as_it_is() {
    assert!(!spawn(async { in_request() }).await.unwrap());
    assert!(!spawn_blocking(in_request).await.unwrap());
    assert!(!spawn_detached(async { in_request() }).await.unwrap());
    assert!(!Traced::new(()).process(|()| async { in_request() }).await.join());
}
