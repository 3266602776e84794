//! Byte budgets of single queries. They are those of the process, so one test sets them, step by step.
#![allow(missing_docs, clippy::unwrap_used)]

use pivot_advice::{BagKey, Groups, QueryId, TemporalFilter, Value};
use pivot_baggage::{Baggage, losses, set_query_budgets};
use std::collections::BTreeMap;

const LIMITED: BagKey = BagKey { query: QueryId { frontend: 0, number: 1 }, stage: 1 };
const OTHER: BagKey = BagKey { query: QueryId { frontend: 0, number: 2 }, stage: 1 };

fn row(key: u64) -> Groups {
    let mut rows = Groups::new(1, &[]);
    rows.entry(&[Value::str(format!("key number {key}"))]).n = 1;
    rows
}

/// Baggage with tuples of both queries, each with its own key.
fn packed(tuples: u64) -> Baggage {
    let mut baggage = Baggage::new();
    for key in 0..tuples {
        baggage.pack(LIMITED, TemporalFilter::All, [row(key)]);
        baggage.pack(OTHER, TemporalFilter::All, [row(key)]);
    }
    baggage
}

fn rows(baggage: &Baggage, key: BagKey) -> usize {
    baggage.unpack(key).map_or(0, |rows| rows.len())
}

fn grant(bytes: usize) {
    set_query_budgets(&BTreeMap::from([(LIMITED.query, bytes)]));
}

#[test]
fn a_query_is_kept_within_its_budget_and_no_other_is_cut() {
    // Without a budget of its own a query has what the process has.
    let unlimited = packed(12);
    assert_eq!((rows(&unlimited, LIMITED), rows(&unlimited, OTHER)), (12, 12));
    let travelling = unlimited.encode();

    // Where it packs.
    grant(100);
    let lost_before = losses().overflowed;
    let limited = packed(12);
    assert!((1..12).contains(&rows(&limited, LIMITED)), "{}", rows(&limited, LIMITED));
    assert_eq!(rows(&limited, OTHER), 12);
    assert_eq!(losses().overflowed - lost_before, 12 - rows(&limited, LIMITED) as u64);

    // The groups that survive are those of the lowest hashes: of the same keys, more tuples leave no others.
    let more = packed(40);
    let first_keys: Vec<Value> = (0..12).map(|key| Value::str(format!("key number {key}"))).collect();
    for group in more.unpack(LIMITED).unwrap().iter().filter(|group| first_keys.contains(&group.key[0])) {
        assert!(limited.unpack(LIMITED).unwrap().get(&group.key).is_some_and(|known| known.n == group.n));
    }

    // Where baggage leaves that came with more than the budget, also if nothing was packed here.
    let arrived = Baggage::decode(&travelling).unwrap();
    assert_eq!(rows(&arrived, LIMITED), 12);
    let onward = Baggage::decode(&arrived.encode()).unwrap();
    assert!((1..12).contains(&rows(&onward, LIMITED)), "{}", rows(&onward, LIMITED));
    assert_eq!(rows(&onward, OTHER), 12);

    // A temporal bag that does not fit is lost as a whole.
    grant(20);
    let mut temporal = Baggage::new();
    temporal.pack(LIMITED, TemporalFilter::First(5), [row(1)]);
    assert!(temporal.unpack(LIMITED).is_none());

    // A budget above that of the process makes room.
    grant(4_000);
    let mut many = Baggage::new();
    for key in 0..100 {
        many.pack(LIMITED, TemporalFilter::All, [row(key)]);
    }
    let bytes = many.encode();
    assert!(bytes.len() > pivot_baggage::DEFAULT_BUDGET, "{}", bytes.len());
    assert_eq!(rows(&Baggage::decode(&bytes).unwrap(), LIMITED), 100);
    set_query_budgets(&BTreeMap::new());
    let fewer = Baggage::decode(&Baggage::decode(&bytes).unwrap().encode()).unwrap();
    assert!(rows(&fewer, LIMITED) < 100);
}
