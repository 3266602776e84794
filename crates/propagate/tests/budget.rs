//! Groups that do not fit the baggage budget are left out: the report says so, and the others are complete.

#![allow(clippy::unwrap_used)]

use pivot_advice::stable_hash;
use pivot_advice::{QueryId, Value};
use pivot_agent::tracepoint;
use pivot_baggage::{Baggage, DEFAULT_BUDGET, current, enter_request};
use pivot_query::{Catalog, CompileOptions, compile_with};

const QUERY: &str = "From e In Budget.end Join p In Budget.part On p -> e GroupBy p.key Select p.key, COUNT";
const KEYS: u64 = 1000;

/// Passes the tracepoint that packs.
fn part(key: u64) {
    tracepoint!("Budget.part", key: u64 = key);
}

/// Sends the request to another process and back, within the budget.
fn hop() {
    let sent = current::fork().unwrap().encode();
    assert!(sent.len() <= DEFAULT_BUDGET);

    let there = enter_request(Some(Baggage::decode(&sent).unwrap()));
    (0..KEYS).for_each(part);

    let back = there.finish().encode();
    assert!(back.len() <= DEFAULT_BUDGET);
    current::join(Baggage::decode(&back).unwrap());
}

#[test]
fn groups_that_survive_the_budget_are_complete_and_the_result_is_partial() {
    let mut catalog = Catalog::default();
    pivot_agent::catalogue().iter().for_each(|exports| catalog.add(exports));
    let program = compile_with(QUERY, &catalog, &CompileOptions::default());

    let query = QueryId::new(1, 1);
    let advice = program.map_err(|wrong| format!("{wrong:?}")).unwrap().advice(query);

    pivot_baggage::set_carrying(true);
    assert!(pivot_agent::weave(&advice).is_empty());

    let scope = enter_request(None);
    (0..KEYS).for_each(part);
    hop();
    (0..KEYS).for_each(part);
    tracepoint!("Budget.end");
    drop(scope);
    assert!(pivot_baggage::losses().overflowed > 0);

    let rows = pivot_agent::drain().remove(&query).unwrap();
    assert!(rows.loss.truncated > 0, "{:?}", rows.loss);

    let groups = rows.groups.unwrap();
    let keys: Vec<&Value> = groups.iter().map(|group| &group.key[0]).collect();
    assert!((10..KEYS as usize).contains(&keys.len()), "{} groups", keys.len());
    // Three packs of each key, on both sides of the cut: all or none of them.
    assert!(groups.iter().all(|group| group.n == 3));
    let highest = keys.iter().map(|key| stable_hash(&[(*key).clone()])).max().unwrap();
    let below = (0..KEYS).filter(|key| stable_hash(&[Value::U64(*key)]) <= highest);
    assert_eq!(below.count(), keys.len());
}
