//! Work on rayon's thread pool runs in branches of its request.

#![cfg(feature = "rayon")]
#![allow(clippy::unwrap_used)]

mod harness;

use harness::{pack, seen_count};
use pivot_baggage::{Baggage, Fan, enter_request};
use pivot_propagate::rayon_pool;
use rayon::prelude::*;

/// Packs a value; returns how many packs were seen before.
fn pack_counting(value: u64) -> u64 {
    let before = seen_count();
    pack(value);
    before
}

/// Runs work in a request and checks how many packs are seen after it, and that all branches joined.
fn check(work: impl FnOnce(), after: u64) {
    let scope = enter_request(Some(Baggage::new()));
    pack_counting(0);
    work();
    assert_eq!(seen_count(), after);
    assert_eq!(scope.finish().instance_count(), 0);
}

#[test]
fn both_sides_of_a_join_are_branches() {
    check(|| assert_eq!(rayon_pool::join(|| pack_counting(1), || pack_counting(2)), (1, 1)), 3);
}

#[test]
fn work_of_a_scope_sees_what_happened_before_it_was_spawned() {
    let work = || {
        rayon_pool::scope(|scope| {
            (1..50).for_each(|i| scope.spawn(move || assert_eq!(pack_counting(i), 1)));
            pack_counting(50);
            scope.spawn(|| assert_eq!(pack_counting(51), 2));
        });
    };
    check(work, 52);
}

#[test]
fn the_items_of_a_parallel_iterator_do_not_see_each_other() {
    let work = || {
        let fan = Fan::new();
        let before: Vec<u64> = (1..500u64).into_par_iter().map(|i| fan.run(|| pack_counting(i))).collect();
        assert!(before.into_iter().all(|before| before == 1));
        fan.join();
    };
    check(work, 500);
}
