//! Withheld baggage: messages that went without the baggage of their request.
//!
//! Whatever happens after such a message, at the peer, will not have happened after what the request has
//! packed: results lack it, and have to say so. So each is counted three times: in the
//! [losses](mod@crate::losses) of the process, by peer and reason, which an operator is shown, and by the
//! queries whose tuples it lacks, which makes their results partial. All are bounded: hosts beyond the first
//! 64 are counted together, and each report of the agent empties the counts by query.

use crate::baggage::Baggage;
use crate::carry::leaks;
use crate::losses;
use pivot_advice::QueryId;
pub use pivot_advice::{WithheldMessages, WithheldReason};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The most peers that are told apart.
const MAX_PEERS: usize = 64;

/// The most queries whose messages wait to be reported.
const MAX_QUERIES: usize = 1024;

static COUNTS: Mutex<WithheldCounts> =
    Mutex::new(WithheldCounts { peers: BTreeMap::new(), queries: BTreeMap::new() });

/// The counts of this process.
struct WithheldCounts {
    /// By host and reason, since the process began.
    peers: BTreeMap<(String, WithheldReason), u64>,
    /// By query, since they were taken the last time.
    queries: BTreeMap<QueryId, u64>,
}

/// Counts a message to a host that goes without the baggage of its request.
pub fn note_withheld(host: &str, reason: WithheldReason, baggage: Option<&Baggage>) {
    losses::WITHHELD.add(1);
    if reason == WithheldReason::NotAllowed {
        leaks::held_back(host);
    }
    let mut counts = counts();

    let key = (host.to_owned(), reason);
    let key = if counts.peers.len() < MAX_PEERS || counts.peers.contains_key(&key) {
        key
    } else {
        (String::new(), reason)
    };
    *counts.peers.entry(key).or_default() += 1;

    // A message lacks the tuples of a query once, in however many bags they are.
    let mut queries: Vec<QueryId> = baggage.into_iter().flat_map(Baggage::queries).collect();
    queries.sort_unstable();
    queries.dedup();
    for query in queries {
        if counts.queries.len() < MAX_QUERIES || counts.queries.contains_key(&query) {
            *counts.queries.entry(query).or_default() += 1;
        }
    }
}

/// Returns how many messages went without baggage so far, by peer and reason.
pub fn withheld_messages() -> Vec<WithheldMessages> {
    let counts = counts();
    let peers = counts.peers.iter();
    peers
        .map(|((host, reason), n)| WithheldMessages { host: host.clone(), reason: *reason, messages: *n })
        .collect()
}

/// Returns how many messages went without the tuples of each query since the last call.
pub fn take_withheld_by_query() -> BTreeMap<QueryId, u64> {
    std::mem::take(&mut counts().queries)
}

fn counts() -> MutexGuard<'static, WithheldCounts> {
    COUNTS.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use pivot_advice::{BagKey, Value};

    #[test]
    fn peers_reasons_and_queries_are_counted_within_bounds() {
        let (one, two) = (QueryId::new(41, 1), QueryId::new(41, 2));
        let mut baggage = Baggage::new();
        for (query, stage) in [(one, 1), (one, 2), (two, 1)] {
            baggage.pack_row(BagKey { query, stage }, &[], &[Value::I64(1)], 1, &[]);
        }
        note_withheld("a.example", WithheldReason::NotAllowed, Some(&baggage));
        let child = baggage.fork();
        note_withheld("a.example", WithheldReason::NotAllowed, Some(&child));
        note_withheld("a.example", WithheldReason::NoRoom, None);
        assert_eq!(take_withheld_by_query(), BTreeMap::from([(one, 2), (two, 2)]));
        assert!(take_withheld_by_query().is_empty());
        (0..1000).for_each(|i| note_withheld(&format!("{i}.example"), WithheldReason::NotAllowed, None));
        let all = withheld_messages();
        let of = |host: &str, reason| {
            all.iter().find(|held| held.host == host && held.reason == reason).map(|held| held.messages)
        };
        assert_eq!(of("a.example", WithheldReason::NotAllowed), Some(2));
        assert_eq!(of("a.example", WithheldReason::NoRoom), Some(1));
        assert!(of("", WithheldReason::NotAllowed).is_some_and(|n| n > 900) && all.len() <= MAX_PEERS + 2);
    }
}
