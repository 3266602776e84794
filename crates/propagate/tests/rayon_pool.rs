//! Work on rayon's thread pool runs in branches of its request.

#![cfg(feature = "rayon")]
#![allow(clippy::unwrap_used)]

use pivot_advice::{BagKey, Groups, QueryId, TemporalFilter, Value};
use pivot_baggage::{Baggage, Fan, enter_request, with_current};
use pivot_propagate::pool;
use rayon::prelude::*;

const KEY: BagKey = BagKey { query: QueryId { frontend: 1, number: 7 }, stage: 1 };

/// Packs a value. Returns how many were packed before.
fn pack(value: u64) -> u64 {
    let mut rows = Groups::new(1, &[]);
    rows.entry(&[Value::U64(value)]).n = 1;
    let before = seen();
    with_current(|current| current.unwrap().pack(KEY, TemporalFilter::All, [rows]));
    before
}

/// Returns how many packs happened before.
fn seen() -> u64 {
    with_current(|current| current.and_then(|b| b.unpack(KEY).map(|rows| rows.iter().map(|g| g.n).sum())))
        .unwrap_or(0)
}

/// Runs work in a request and checks how many packs are seen after it, and that all branches joined.
fn check(work: impl FnOnce(), after: u64) {
    let scope = enter_request(Some(Baggage::new()));
    pack(0);
    work();
    assert_eq!(seen(), after);
    assert_eq!(scope.finish().instance_count(), 0);
}

#[test]
fn both_sides_of_a_join_are_branches() {
    check(|| assert_eq!(pool::join(|| pack(1), || pack(2)), (1, 1)), 3);
}

#[test]
fn work_of_a_scope_sees_what_happened_before_it_was_spawned() {
    let work = || {
        pool::scope(|scope| {
            (1..50).for_each(|i| scope.spawn(move || assert_eq!(pack(i), 1)));
            pack(50);
            scope.spawn(|| assert_eq!(pack(51), 2));
        });
    };
    check(work, 52);
}

#[test]
fn the_items_of_a_parallel_iterator_do_not_see_each_other() {
    let work = || {
        let fan = Fan::new();
        let before: Vec<u64> = (1..500u64).into_par_iter().map(|i| fan.run(|| pack(i))).collect();
        assert!(before.into_iter().all(|before| before == 1));
        fan.join();
    };
    check(work, 500);
}
