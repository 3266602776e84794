//! What a request costs while nothing is packed anywhere.
//!
//! One test, because the switch that it throws is one for the process.

#![allow(clippy::unwrap_used, missing_docs)]

use pivot_advice::{BagKey, Groups, QueryId, TemporalFilter};
use pivot_baggage::request_generation::{set_woven_everywhere, set_woven_here};
use pivot_baggage::{Baggage, current, enter_request, set_carrying};

#[test]
fn baggage_has_an_id_once_somebody_packs_or_may_pack() {
    assert_eq!(size_of::<Baggage>(), size_of::<usize>());
    let scope = enter_request(None);
    let mut child = current::fork().unwrap();
    assert!(child.has_no_id() && current::detach().unwrap().has_no_id());
    assert!(child.fork().encode().is_empty());
    current::join(child);
    let mut request = scope.finish();
    assert!(request.has_no_id() && request.request().is_none());

    let key = BagKey { query: QueryId::new(1, 1), stage: 1 };
    request.pack(key, TemporalFilter::All, [Groups::new(0, &[])]);
    assert!(request.has_no_id(), "no rows are nothing to carry");

    set_carrying(true);
    let child = request.fork();
    assert_eq!((child.request(), request.has_no_id()), (request.request(), false));
    assert_eq!(child.generation(), 0, "it began at some time before");

    set_woven_everywhere(7);
    set_woven_here(8);
    let mut second = enter_request(None).finish();
    assert_eq!((second.generation(), second.fork().generation()), (7, 7));
    let mut third = second.fork();
    let bytes = second.fork().encode();
    set_woven_here(5);
    let lagging = Baggage::decode(&bytes).unwrap();
    assert_eq!(lagging.generation(), 5, "it has passed a process that has woven less");
    let reply = lagging.encode();
    set_woven_here(8);
    third.join(Baggage::decode(&reply).unwrap());
    assert_eq!(third.generation(), 5, "which its caller learns");
    let mut caller = Baggage::new();
    caller.join(second);
    assert_eq!((caller.has_no_id(), caller.generation()), (false, 0), "its caller began before it");

    set_carrying(false);
    let onward = Baggage::decode(&request.fork().encode()).unwrap();
    assert_eq!(onward.request(), request.request(), "an id is always passed on");
}
