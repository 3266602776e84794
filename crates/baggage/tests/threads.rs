//! The places where threads meet, under a scheduler that tries many orders.
//!
//! `RUSTFLAGS="--cfg pivot_shuttle" cargo test -p pivot-baggage --features shuttle --test threads` compiles the crate
//! with the scheduler's mutexes and thread-locals (see `src/sync.rs`), best into a target directory of its own.

#![cfg(pivot_shuttle)]
#![allow(clippy::unwrap_used, missing_docs)]

use pivot_advice::{BagKey, Groups, QueryId, TemporalFilter, Value};
use pivot_baggage::current::attach;
use pivot_baggage::{Baggage, Fan, carried, with_current};
use shuttle::sync::Arc;
use shuttle::thread;

const SCHEDULES: usize = 2000;
const KEY: BagKey = BagKey { query: QueryId { frontend: 1, number: 7 }, stage: 1 };

/// Packs a value; gives how many were seen before.
fn pack(value: u64) -> u64 {
    let before = seen();
    let mut rows = Groups::new(1, &[]);
    rows.entry(&[Value::U64(value)]).n = 1;
    with_current(|current| current.unwrap().pack(KEY, TemporalFilter::All, [rows]));
    thread::yield_now();
    before
}

fn seen() -> u64 {
    with_current(|current| {
        current.unwrap().unpack(KEY).map_or(0, |rows| rows.iter().map(|group| group.n).sum())
    })
}

/// Runs a request under many schedules; everything that was packed is seen at its end, once.
fn check(packed: u64, request: impl Fn() + Send + Sync + 'static) {
    let run = move || {
        let mut baggage = Baggage::new();
        baggage.request_or_begin();
        attach(Some(baggage));
        assert_eq!(pack(0), 0);
        request();
        assert_eq!(seen(), packed);
        let baggage = attach(None).unwrap();
        assert_eq!((baggage.instance_count(), baggage.is_partial()), (0, false));
    };
    shuttle::check_random(run, SCHEDULES);
}

#[test]
fn of_two_that_wait_for_a_branch_one_joins_it_and_nothing_is_lost() {
    check(3, || {
        let (work, ending) = carried(|| pack(1));
        let branch = thread::spawn(move || assert_eq!(work(), 1));
        let left = ending.clone();
        let (wait, waiting) = carried(move || {
            pack(2);
            left.join().is_some()
        });
        let waiter = thread::spawn(wait);
        branch.join().unwrap();
        let here = ending.join().is_some();
        let there = waiter.join().unwrap();
        waiting.join();
        assert!(here != there && ending.take().is_none());
    });
}

#[test]
fn branches_of_a_fan_do_not_see_each_other_in_any_order() {
    check(4, || {
        let fan = Arc::new(Fan::new());
        let threads: Vec<_> = (1..4)
            .map(|value| {
                let fan = fan.clone();
                thread::spawn(move || assert_eq!(fan.run(|| pack(value)), 1))
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        Arc::into_inner(fan).unwrap().join();
    });
}
