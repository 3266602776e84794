//! Whatever carries baggage from thread to thread: each has an answer that would be wrong if a branch were
//! lost, came twice, or saw a sibling.

#![allow(clippy::unwrap_used, missing_docs)]

use pivot_advice::{BagKey, Groups, QueryId, TemporalFilter, Value};
use pivot_baggage::{Baggage, Fan, Traced, enter_request, in_request, thread, with_current};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc;

const KEY: BagKey = BagKey { query: QueryId { frontend: 1, number: 7 }, stage: 1 };

fn pack(value: u64) {
    let mut rows = Groups::new(1, &[]);
    rows.entry(&[Value::U64(value)]).n = 1;
    with_current(|current| current.unwrap().pack(KEY, TemporalFilter::All, [rows]));
}

/// Returns all values that were packed before, each as often as it counts.
fn seen() -> Vec<u64> {
    let rows =
        with_current(|current| current.and_then(|baggage| baggage.unpack(KEY).map(|r| r.into_owned())));
    let each =
        |group: &pivot_advice::Group| vec![group.key[0].as_integer().unwrap() as u64; group.n as usize];
    let mut values: Vec<u64> = rows.iter().flat_map(|rows| rows.iter()).flat_map(each).collect();
    values.sort_unstable();
    values
}

/// Packs 0, runs `work`, and checks what is seen after it, and that everything folded.
fn check(work: impl FnOnce(), after: &[u64]) {
    let mut baggage = Baggage::new();
    baggage.request_or_begin();
    let scope = enter_request(Some(baggage));

    pack(0);
    work();
    assert_eq!(seen(), after);

    let baggage = scope.finish();
    assert_eq!((baggage.instance_count(), baggage.is_partial()), (0, false));
}

/// Packs a value in a branch, and returns what the branch has seen before.
fn branch(value: u64) -> Vec<u64> {
    let before = seen();
    pack(value);
    before
}

#[test]
fn a_thread_is_a_branch_and_joins_where_it_is_waited_for() {
    let work = || {
        let threads = [1, 2].map(|value| thread::spawn(move || branch(value)));
        pack(3);
        threads.into_iter().for_each(|thread| assert_eq!(thread.join().unwrap(), [0]));
    };
    check(work, &[0, 1, 2, 3]);
}

#[test]
fn a_thread_that_panics_loses_nothing() {
    let work = || {
        let thread = thread::spawn(|| {
            pack(1);
            resume_unwind(Box::new(()));
        });
        assert!(thread.join().is_err());
    };
    check(work, &[0, 1]);
}

#[test]
fn threads_of_a_scope_join_whether_waited_for_or_not() {
    let work = || {
        let value = 1;
        thread::scope(|scope| {
            let waited_for = scope.spawn(|| branch(value));
            pack(2);
            scope.spawn(|| assert_eq!(branch(3), [0, 2]));
            assert_eq!(waited_for.join().unwrap(), [0]);
        });
    };
    check(work, &[0, 1, 2, 3]);
}

#[test]
fn branches_of_a_fan_do_not_see_each_other_even_one_after_the_other() {
    let work = || {
        let fan = Fan::new();
        pack(9);

        std::thread::scope(|scope| {
            for value in 1..4 {
                scope.spawn({
                    let fan = &fan;
                    move || assert_eq!(fan.run(|| branch(value)), [0])
                });
            }
        });
        assert_eq!(fan.run(|| branch(4)), [0]);

        let panicked = catch_unwind(AssertUnwindSafe(|| {
            fan.run(|| {
                pack(5);
                resume_unwind(Box::new(()))
            })
        }));
        assert!(panicked.is_err());

        assert_eq!(seen(), [0, 9]);
        fan.join();
    };
    check(work, &[0, 1, 2, 3, 4, 5, 9]);
}

#[test]
fn a_message_brings_what_happened_before_it_was_sent_and_nothing_else() {
    let work = || {
        let (to_worker, at_worker) = mpsc::channel::<Traced<u64>>();
        let (to_us, here) = mpsc::channel();

        let worker = std::thread::spawn(move || {
            // The worker is outside any request; each message is worked for in its own.
            for message in at_worker {
                assert!(!in_request());
                to_us.send(message.run(branch)).unwrap();
            }
        });

        to_worker.send(Traced::new(1)).unwrap();
        pack(2);
        to_worker.send(Traced::new(3)).unwrap();
        drop(to_worker);
        worker.join().unwrap();

        let replies: Vec<_> = here.iter().map(Traced::join).collect();
        assert_eq!(replies, [vec![0], vec![0, 2]]);
    };
    check(work, &[0, 1, 2, 3]);
}

#[test]
fn a_message_that_could_not_be_sent_gives_its_branch_back() {
    let work = || {
        let (send, receive) = mpsc::channel();
        drop(receive);
        drop(send.send(Traced::new(1)).unwrap_err());
    };
    check(work, &[0]);
}

#[test]
fn each_receiver_of_a_broadcast_has_a_branch_of_its_own() {
    let work = || {
        let message = Traced::new(1);
        let receivers = [message.clone(), message.clone(), message];
        let replies: Vec<_> = (10..).zip(receivers).map(|(i, m)| m.run(|x| branch(x + i))).collect();
        replies.into_iter().for_each(|reply| assert_eq!(reply.join(), [0]));
    };
    check(work, &[0, 11, 12, 13]);
}

#[test]
fn a_detached_message_sees_and_is_not_seen() {
    let work = || assert_eq!(Traced::detached(1).run(branch).into_parts().0, [0]);
    check(work, &[0]);
}

#[test]
fn in_a_batch_every_request_keeps_its_own_baggage() {
    let (send, receive) = mpsc::channel();
    let requests: Vec<_> = (1..=3)
        .map(|value| {
            let scope = enter_request(Some(Baggage::new()));
            pack(value);
            send.send(Traced::new(value)).unwrap();
            scope.finish()
        })
        .collect();

    // One write for all of them is an event of each.
    let mut batch: Vec<Traced<u64>> = receive.try_iter().collect();
    let worker = enter_request(Some(Baggage::new()));
    pack(100);
    batch.iter_mut().for_each(|message| message.within(|value| assert_eq!(branch(10 + *value), [*value])));
    assert_eq!(seen(), [100]);
    drop(worker.finish());

    for (request, message) in requests.into_iter().zip(batch) {
        let scope = enter_request(Some(request));
        let value = message.join();
        assert_eq!(seen(), [value, 10 + value]);
        assert_eq!(scope.finish().instance_count(), 0);
    }
}

#[test]
fn a_message_from_outside_any_request_is_of_none() {
    let message = std::thread::spawn(|| Traced::new(1)).join().unwrap();
    let work = || {
        let message = message.run(|_| in_request());
        assert!(!message.join());
        thread::spawn(|| pack(1)).join().unwrap();
    };
    check(work, &[0, 1]);
    assert!(thread::spawn(|| !in_request()).join().unwrap());
    let fan = Fan::new();
    assert!(fan.run(|| !in_request()));
    fan.join();
}
