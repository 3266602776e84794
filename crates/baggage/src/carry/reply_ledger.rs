//! The ledger of replies: which replies left a server with new tuples, and which arrived at a caller without baggage.
//!
//! A proxy that strips our header from replies cannot be told, by the caller alone, from a service that does not run
//! Pivot. Both ends together can tell. Each call has a [tag](CallTag) that both know:
//!
//! ```text
//! server   a reply leaves with new tuples of query 7     left of query 7: tag 5f..  ─┐ report
//!                        │ proxy strips the header                                  ├─▶ frontend: the same tag?
//! caller   a reply arrives, bare, from store:8080        bare: tag 5f.. store:8080  ─┘ query 7 lacks tuples
//! ```
//!
//! A call that was cancelled or never answered is neither: what happened there did not happen before what follows.
//!
//! Everything is bounded. Of too many tags the smallest are kept, on both sides: tags are hashes, so both keep the
//! same calls. Peers beyond the first 64 are counted together.

use crate::carry::leaks;
use crate::format::call_tag::CallTag;
use pivot_advice::{PeerReplies, QueryId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The most peers that are told apart.
const MAX_PEERS: usize = 64;

/// The most queries whose counts wait to be reported.
const MAX_QUERIES: usize = 1024;

/// The most tags of one query, and of bare replies, between two reports.
pub const MAX_TAGS: usize = 32;

static LEDGER: Mutex<ReplyLedger> = Mutex::new(ReplyLedger {
    left: BTreeMap::new(),
    late: BTreeMap::new(),
    bare: BTreeMap::new(),
    bare_before: BTreeMap::new(),
    peers: BTreeMap::new(),
    unanswered: 0,
});

/// The counts of this process.
struct ReplyLedger {
    /// Tags of replies that left with new tuples, by query, since they were taken the last time.
    left: BTreeMap<QueryId, BTreeSet<u64>>,
    /// Tuples that were packed after the reply had left, by query, since they were taken the last time.
    late: BTreeMap<QueryId, u64>,
    /// Tags of bare replies and their peers, since the last report and of the one before.
    bare: BTreeMap<u64, String>,
    bare_before: BTreeMap<u64, String>,
    /// By peer, since the process began.
    peers: BTreeMap<String, PeerReplies>,
    /// Calls with baggage that were cancelled or never answered.
    unanswered: u64,
}

/// The meaning of a bare reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BareReply {
    /// The peer has never returned baggage: it may not run Pivot at all.
    FromUnknownPeer,
    /// The peer has returned baggage before, so this reply has lost it.
    Lost,
}

/// The part of a server's report that is about the replies of one query.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SentBack {
    /// Tags of replies that left with new tuples of the query.
    pub left: BTreeSet<u64>,
    /// Tuples that were packed after the reply had left.
    pub late: u64,
}

/// Notes a reply that leaves with new tuples of these queries.
pub(crate) fn note_left(tag: CallTag, queries: &[QueryId]) {
    if queries.is_empty() {
        return;
    }

    let mut ledger = ledger();
    for query in queries {
        if ledger.left.len() < MAX_QUERIES || ledger.left.contains_key(query) {
            keep_smallest(ledger.left.entry(*query).or_default(), tag.0);
        }
    }
}

/// Adds a tag, and removes the largest if there are too many.
fn keep_smallest(tags: &mut BTreeSet<u64>, tag: u64) {
    tags.insert(tag);
    if tags.len() > MAX_TAGS {
        tags.pop_last();
    }
}

/// Counts tuples that were packed after the reply of their call had left, by query.
pub fn note_late(tuples: BTreeMap<QueryId, u64>) {
    if tuples.is_empty() {
        return;
    }

    let mut ledger = ledger();
    for (query, n) in tuples {
        if ledger.late.len() < MAX_QUERIES || ledger.late.contains_key(&query) {
            let late = ledger.late.entry(query).or_default();
            *late = late.saturating_add(n);
        }
    }
}

/// Counts a reply that brought baggage back.
pub fn note_returned(peer: &str) {
    ledger().peer(peer).returned += 1;
}

/// Counts a reply that came without the baggage that its call was sent with, and returns what it means.
pub fn note_bare(peer: &str, tag: Option<CallTag>) -> BareReply {
    let mut ledger = ledger();
    let counts = ledger.peer(peer);
    counts.bare += 1;
    // Peers that are counted together tell nothing about each other.
    let is_known = counts.returned > 0 && !counts.peer.is_empty();

    if let Some(tag) = tag {
        ledger.bare.insert(tag.0, peer.to_owned());
        if ledger.bare.len() > MAX_TAGS {
            ledger.bare.pop_last();
        }
    }
    drop(ledger);
    if !is_known {
        return BareReply::FromUnknownPeer;
    }
    leaks::unreturned(peer);
    BareReply::Lost
}

/// Counts a call with baggage that was cancelled, or never answered.
pub fn note_unanswered() {
    ledger().unanswered += 1;
}

/// Returns how many calls with baggage were cancelled or never answered so far.
pub fn unanswered_calls() -> u64 {
    ledger().unanswered
}

/// Returns how many replies brought baggage back so far and how many did not, by peer.
pub fn peer_replies() -> Vec<PeerReplies> {
    ledger().peers.values().cloned().collect()
}

/// Returns what servers of this process have to report of each query since the last call.
pub fn take_sent_back() -> BTreeMap<QueryId, SentBack> {
    let mut ledger = ledger();
    ledger.bare_before = std::mem::take(&mut ledger.bare);

    let mut taken: BTreeMap<QueryId, SentBack> = BTreeMap::new();
    for (query, left) in std::mem::take(&mut ledger.left) {
        taken.entry(query).or_default().left = left;
    }
    for (query, late) in std::mem::take(&mut ledger.late) {
        taken.entry(query).or_default().late = late;
    }
    taken
}

/// Returns the tags and peers of bare replies since [`take_sent_back`] was called the last time but one.
pub fn recent_bare_replies() -> Vec<(u64, String)> {
    let ledger = ledger();
    let all = ledger.bare_before.iter().chain(&ledger.bare);
    all.map(|(tag, peer)| (*tag, peer.clone())).collect()
}

impl ReplyLedger {
    /// Returns the counts of a peer, or those of all peers that are too many to be told apart.
    fn peer(&mut self, peer: &str) -> &mut PeerReplies {
        let is_known = self.peers.len() < MAX_PEERS || self.peers.contains_key(peer);
        let peer = if is_known { peer } else { "" };
        self.peers.entry(peer.to_owned()).or_insert_with(|| PeerReplies {
            peer: peer.to_owned(),
            returned: 0,
            bare: 0,
        })
    }
}

fn ledger() -> MutexGuard<'static, ReplyLedger> {
    LEDGER.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_keep_the_same_tags_and_all_is_bounded() {
        let query = QueryId::new(43, 1);
        for tag in (0..1000_u64).rev() {
            note_left(CallTag(tag), &[query]);
            note_bare("stripped.example", Some(CallTag(tag)));
        }
        note_late(BTreeMap::from([(query, 3)]));

        let sent_back = take_sent_back().remove(&query).unwrap_or_default();
        assert_eq!((sent_back.left.len(), sent_back.late), (MAX_TAGS, 3));
        let bare = recent_bare_replies();
        let bare: BTreeSet<u64> =
            bare.into_iter().filter(|(_, peer)| peer == "stripped.example").map(|(tag, _)| tag).collect();
        assert_eq!(bare, sent_back.left);
    }

    #[test]
    fn a_peer_that_has_returned_baggage_loses_it_and_another_may_have_none() {
        assert_eq!(note_bare("plain.example", None), BareReply::FromUnknownPeer);
        note_returned("pivot.example");
        assert_eq!(note_bare("pivot.example", None), BareReply::Lost);
        let all = peer_replies();
        let found = all.iter().find(|replies| replies.peer == "pivot.example");
        assert!(found.is_some_and(|replies| (replies.returned, replies.bare) == (1, 1)));
    }
}
