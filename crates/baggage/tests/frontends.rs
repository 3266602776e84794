//! Queries of two frontends that have one number are two queries, wherever the baggage goes.
#![allow(missing_docs, clippy::unwrap_used)]

use pivot_advice::{BagKey, Groups, QueryId, TemporalFilter, Value};
use pivot_baggage::Baggage;

fn key(frontend: u32) -> BagKey {
    BagKey { query: QueryId::new(frontend, 7), stage: 1 }
}

fn pack(baggage: &mut Baggage, frontend: u32, keep: TemporalFilter, text: &str) {
    let mut rows = Groups::new(1, &[]);
    rows.entry(&[Value::str(text)]).n = 1;
    baggage.pack(key(frontend), keep, [rows]);
}

fn seen(baggage: &Baggage, frontend: u32) -> Vec<(String, u64)> {
    let rows = baggage.unpack(key(frontend)).map(|rows| rows.into_owned());
    let row = |group: &pivot_advice::Group| (group.key[0].to_string(), group.n);
    let mut rows: Vec<_> = rows.iter().flatten().map(row).collect();
    rows.sort();
    rows
}

fn rows(texts: &[&str]) -> Vec<(String, u64)> {
    texts.iter().map(|text| ((*text).to_owned(), 1)).collect()
}

/// Packs for both frontends under one number, on both sides of a fork, and checks what arrives of either.
fn check(keep: TemporalFilter, ones: &[&str], twos: &[&str]) {
    let mut baggage = Baggage::new();
    baggage.request_or_begin();
    pack(&mut baggage, 1, keep, "one a");
    pack(&mut baggage, 2, keep, "two a");
    let mut branch = baggage.fork();
    pack(&mut branch, 2, keep, "two b");
    let branch = Baggage::decode(&branch.encode()).unwrap();
    pack(&mut baggage, 1, keep, "one b");
    baggage.join(branch);

    let mut arrived = Baggage::decode(&baggage.encode()).unwrap();
    assert_eq!((seen(&arrived, 1), seen(&arrived, 2)), (rows(ones), rows(twos)));
    assert_eq!(seen(&arrived, 3), []);
    assert!(!arrived.is_partial());

    // A message that is a byte too short loses the tuples of one of them, and says so of that one alone.
    let bytes = arrived.fork().encode();
    let cut = Baggage::decode(&arrived.fork().encode_within(bytes.len() - 1)).unwrap();
    assert_eq!((seen(&cut, 1), seen(&cut, 2)), (rows(ones), vec![]));
    assert_eq!((cut.is_incomplete(key(1)), cut.is_incomplete(key(2))), (false, true));
}

#[test]
fn bags_of_two_frontends_with_one_number_are_apart() {
    check(TemporalFilter::All, &["one a", "one b"], &["two a", "two b"]);
    check(TemporalFilter::First(1), &["one a"], &["two a"]);
    check(TemporalFilter::MostRecent(1), &["one b"], &["two b"]);
}

#[test]
fn ids_stay_apart_in_one_number() {
    let ids = [(0, 7), (1, 7), (2, 7), (7, 0), (7, 1), (u32::MAX, 0), (0, u32::MAX)];
    for (frontend, number) in ids {
        let id = QueryId::new(frontend, number);
        assert_eq!(QueryId::from_u64(id.to_u64()), id);
        let same = ids.iter().filter(|(f, n)| QueryId::new(*f, *n).to_u64() == id.to_u64());
        assert_eq!(same.count(), 1, "{id:?}");
    }
}
