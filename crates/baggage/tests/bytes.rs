//! How many bytes travel.

#![allow(clippy::unwrap_used, missing_docs)]

use pivot_advice::{BagKey, Groups, QueryId, TemporalFilter, Value};
use pivot_baggage::Baggage;

/// The paper's largest query (Q7): the host of the client and three replicas, which the paper
/// carries in 137 bytes.
#[test]
fn four_tuples_of_the_papers_largest_query_take_fewer_bytes_than_there() {
    let key = |stage| BagKey { query: QueryId::new(0x7069_766f, 7), stage };
    let tuple = |values: &[&str]| {
        let mut rows = Groups::new(values.len(), &[]);
        rows.entry(&values.iter().map(Value::str).collect::<Vec<_>>()).n = 1;
        rows
    };
    let mut client = Baggage::new();
    client.pack(key(1), TemporalFilter::All, [tuple(&["client-1"])]);
    let replicas = ["replica1", "replica2", "replica3"];
    client.pack(key(2), TemporalFilter::All, replicas.map(|replica| tuple(&[replica])));

    let bytes = client.fork().encode();
    let envelope = { Baggage::new().request_or_begin() };
    assert!(envelope > 0 && bytes.len() < 137, "{} bytes", bytes.len());
    let mut empty = Baggage::new();
    empty.request_or_begin();
    println!("{} bytes, of which the envelope is {}", bytes.len(), empty.fork().encode().len());
}
