//! Baggage is bounded by what goes on at once, not by how long a request has gone on.
#![allow(clippy::unwrap_used, missing_docs)]

mod kinds;

use kinds::{Kind, sum_of};
use pivot_advice::TemporalFilter;
use pivot_baggage::{Baggage, JoinOutcome, Share};

/// Makes a remote call that packs and makes a nested call, `depth` deep. Returns the most bytes that
/// travelled.
fn call(caller: &mut Baggage, depth: usize, instances: &mut usize) -> usize {
    let request = caller.fork().encode();
    let mut callee = Baggage::decode(&request).unwrap();
    for kind in &Kind::ALL[1..] {
        callee.pack(kind.key(), kind.keep(), [kind.rows(depth)]);
    }

    let nested = if depth > 1 { call(&mut callee, depth - 1, instances) } else { 0 };
    *instances = (*instances).max(callee.instance_count());

    let reply = callee.encode();
    let longest = nested.max(request.len()).max(reply.len());
    assert_eq!(caller.join(Baggage::decode(&reply).unwrap()), JoinOutcome::Merged);
    longest
}

#[test]
fn a_thousand_calls_one_after_the_other_carry_one_counter() {
    let mut client = Baggage::new();
    client.request_or_begin();
    let (mut bytes, mut instances) = (0, 0);
    for _ in 0..1000 {
        bytes = call(&mut client, 3, &mut instances).max(bytes);
        assert_eq!((client.instance_count(), client.share()), (0, Share::whole()));
    }
    assert_eq!(instances, 3);
    assert!(bytes < 1024, "{bytes} bytes");
    assert_eq!(sum_of(&client.unpack(Kind::Sum.key()).unwrap()), (3000, 6000));
}

#[test]
fn a_thousand_concurrent_children_rejoin_to_nothing_but_their_sum() {
    let mut parent = Baggage::new();
    parent.pack(Kind::Sum.key(), TemporalFilter::All, [Kind::Sum.rows(1)]);
    let mut children: Vec<Baggage> = (0..1000).map(|_| parent.fork()).collect();
    assert!(children.iter().all(|child| child.share().depth() < 24));
    for child in &mut children {
        child.pack(Kind::Sum.key(), TemporalFilter::All, [Kind::Sum.rows(1)]);
    }

    // Every third one first, so that they return in another order than they left.
    let mut longest = 0;
    for (i, child) in (0..3).flat_map(|rest| (rest..1000).step_by(3)).enumerate() {
        assert_eq!(parent.join(std::mem::take(&mut children[child])), JoinOutcome::Merged);
        assert_eq!(sum_of(&parent.unpack(Kind::Sum.key()).unwrap()).0, i as u64 + 2);
        if i % 97 == 0 {
            let another = parent.fork().encode();
            longest = longest.max(another.len());
            assert_eq!(parent.join(Baggage::decode(&another).unwrap()), JoinOutcome::Merged);
        }
    }

    println!("{longest} bytes at most on the way");
    assert!(longest < 1024, "{longest} bytes");
    assert_eq!((parent.instance_count(), parent.share()), (0, Share::whole()));
}
