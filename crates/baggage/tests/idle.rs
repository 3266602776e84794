//! What a request costs while nothing is packed anywhere.
//!
//! One test, because the switch that it throws is one for the process.

#![allow(clippy::unwrap_used, missing_docs)]

use pivot_advice::{BagKey, Groups, Keep, QueryId};
use pivot_baggage::{Baggage, current, enter_request, set_carrying};

#[test]
fn baggage_is_born_when_somebody_packs_or_may_pack() {
    assert_eq!(size_of::<Baggage>(), size_of::<usize>());
    let scope = enter_request(None);
    let mut child = current::fork().unwrap();
    assert!(child.is_unborn() && current::detach().unwrap().is_unborn());
    assert!(child.fork().encode().is_empty());
    current::join(child);
    let mut request = scope.finish();
    assert!(request.is_unborn() && request.request().is_none());

    let key = BagKey { query: QueryId::new(1, 1), stage: 1 };
    request.pack(key, Keep::All, [Groups::new(0, &[])]);
    assert!(request.is_unborn(), "no rows are nothing to carry");

    set_carrying(true);
    let child = request.fork();
    assert_eq!((child.request(), request.is_unborn()), (request.request(), false));
    assert_eq!(child.began_ns(), None, "it began at some time before");
    let mut second = enter_request(None).finish();
    let began = second.began_ns();
    assert!(began.is_some_and(|began| began > 0) && second.fork().began_ns() == began);
    let mut caller = Baggage::new();
    caller.join(second);
    assert_eq!((caller.is_unborn(), caller.began_ns()), (false, None), "its caller began before it");

    set_carrying(false);
    let onward = Baggage::decode(&request.fork().encode()).unwrap();
    assert_eq!(onward.request(), request.request(), "once born it is always passed on");
}
