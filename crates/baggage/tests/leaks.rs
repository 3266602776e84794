//! The leak detector. One test, because it watches the whole process.

#![allow(clippy::unwrap_used, missing_docs)]

use pivot_baggage::leaks::watch;
use pivot_baggage::{Baggage, LeakKind, Traced, current, enter_request, forked, leaks, thread};

/// What was found since the last call: fault, line, times.
fn found() -> Vec<(LeakKind, u32, u64)> {
    let line = |place: &str| place.rsplit(':').nth(1).unwrap().parse().unwrap();
    leaks().into_iter().map(|leak| (leak.kind, line(&leak.place), leak.times)).collect()
}

fn begun() -> Baggage {
    let mut baggage = Baggage::new();
    baggage.request_or_begin();
    baggage
}

#[test]
fn the_detector_names_the_place_where_baggage_was_lost() {
    let scope = enter_request(Some(begun()));
    drop(current::fork());
    assert_eq!(found(), [], "nobody watched");

    watch(true);
    (0..2).for_each(|_| drop(current::fork())); // line of the leak
    assert_eq!(found(), [(LeakKind::Dropped, line!() - 1, 2)]);

    let thread = thread::spawn(|| ());
    while !thread.is_finished() {
        std::thread::yield_now();
    }
    drop(thread);
    assert_eq!(found(), [(LeakKind::Dropped, line!() - 5, 1)]);

    // In order: joined, sent, detached, rejoined, finished.
    current::join(current::fork().unwrap());
    let arrived = Baggage::decode(&current::fork().unwrap().encode()).unwrap();
    current::join(Baggage::decode(&arrived.encode()).unwrap());
    drop(current::detach());
    drop((forked(async {}), Traced::new(())));
    drop(scope.finish());
    assert_eq!(found(), []);

    let arrived = begun().encode();
    drop(Baggage::decode(&arrived));
    assert_eq!(found(), [(LeakKind::Dropped, line!() - 1, 1)]);

    let scope = enter_request(Some(begun()));
    current::join(begun());
    assert_eq!(found(), [(LeakKind::Crossed, line!() - 1, 1)]);
    drop(scope);

    pivot_baggage::leaks::set_span_namer(|| Some("append"));
    let event = || pivot_baggage::leaks::outside("Store.read", "store.rs", 7);
    std::thread::Builder::new().name("raft-core".to_owned()).spawn(event).unwrap().join().unwrap();
    let leak = leaks().remove(0);
    let place = "Store.read at store.rs:7, thread raft-core, span append";
    assert_eq!((leak.kind, leak.place.as_str()), (LeakKind::Outside, place));
    let text = format!("pivot: baggage got lost: no request at an event that needs one, {place}");
    assert_eq!(leak.to_string(), text);
    watch(false);
}
