//! What the tests of carriers share: packing into the current request, and what is seen there.
#![allow(dead_code)]

use pivot_advice::{BagKey, Groups, QueryId, TemporalFilter, Value};
use pivot_baggage::with_current;

/// The bag that all of them pack into.
pub(crate) const KEY: BagKey = BagKey { query: QueryId { frontend: 1, number: 7 }, stage: 1 };

/// Packs a value into the current request.
pub(crate) fn pack(value: u64) {
    let mut rows = Groups::new(1, &[]);
    rows.entry(&[Value::U64(value)]).n = 1;
    with_current(|current| current.unwrap().pack(KEY, TemporalFilter::All, [rows]));
}

/// Returns all values that were packed before, in order, each as often as it was.
pub(crate) fn seen() -> Vec<u64> {
    let rows =
        with_current(|current| current.and_then(|baggage| baggage.unpack(KEY).map(|rows| rows.into_owned())));

    let mut values = Vec::new();
    for group in rows.iter().flat_map(|rows| rows.iter()) {
        match &group.key[..] {
            [Value::U64(value)] => values.extend(std::iter::repeat_n(*value, group.n as usize)),
            key => panic!("{key:?}"),
        }
    }
    values.sort_unstable();
    values
}

/// Returns how many packs happened before.
pub(crate) fn seen_count() -> u64 {
    seen().len() as u64
}
