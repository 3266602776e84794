//! Replies that left a server with tuples and reached their caller without: both ends report the tag of the call.
//!
//! ```text
//! server's report   left of query 7: tag 5f..  ──▶ UnreturnedReplies of query 7 ─┐
//!                                                                               ├─ the same tag: a loss of query 7
//! caller's report   bare: tag 5f.., store:8080 ──▶ BareReplies ─────────────────┘
//! ```
//!
//! The two come in any order, in different windows. Both are remembered for a while, the oldest forgotten first.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};

/// The most tags of a query that are taken from one report.
pub(crate) const MAX_TAGS: usize = 256;

/// The most bare replies, and the most tags of one query, that are remembered.
const MAX_REMEMBERED: usize = 4096;

/// The most peers of a query that are named.
const MAX_PEERS: usize = 16;

/// The longest name of a peer that is kept, in bytes.
const MAX_PEER_BYTES: usize = 256;

/// Replies that came without baggage, whatever the query.
#[derive(Debug, Default)]
pub(crate) struct BareReplies {
    peers: HashMap<u64, String>,
    /// The tags, the oldest first.
    order: VecDeque<u64>,
}

impl BareReplies {
    /// Remembers a reply. Returns whether it is new: agents tell of each more than once.
    pub(crate) fn add(&mut self, tag: u64, peer: &str) -> bool {
        if peer.len() > MAX_PEER_BYTES || self.peers.insert(tag, peer.to_owned()).is_some() {
            return false;
        }

        self.order.push_back(tag);
        if self.order.len() > MAX_REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.peers.remove(&oldest);
        }
        true
    }

    fn peer(&self, tag: u64) -> Option<&str> {
        self.peers.get(&tag).map(String::as_str)
    }
}

/// Knowledge of the replies that carried tuples of one query.
#[derive(Debug, Default)]
pub(crate) struct UnreturnedReplies {
    /// Tags of replies that left with tuples and were not seen to arrive without.
    left: HashSet<u64>,
    /// The tags, the oldest first.
    order: VecDeque<u64>,
    /// The peers whose replies lost tuples, and how many that is known of.
    peers: BTreeMap<String, u64>,
}

impl UnreturnedReplies {
    /// Notes a reply that left with tuples. Returns whether it is known to have arrived without.
    pub(crate) fn add_left(&mut self, tag: u64, bare: &BareReplies) -> bool {
        if let Some(peer) = bare.peer(tag) {
            self.count(peer);
            return true;
        }

        if self.left.insert(tag) {
            self.order.push_back(tag);
        }
        if self.order.len() > MAX_REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.left.remove(&oldest);
        }
        false
    }

    /// Notes a reply that arrived without baggage. Returns whether it is known to have left with tuples.
    pub(crate) fn add_bare(&mut self, tag: u64, peer: &str) -> bool {
        let is_lost = self.left.remove(&tag);
        if is_lost {
            self.order.retain(|known| *known != tag);
            self.count(peer);
        }
        is_lost
    }

    fn count(&mut self, peer: &str) {
        if self.peers.len() < MAX_PEERS || self.peers.contains_key(peer) {
            *self.peers.entry(peer.to_owned()).or_default() += 1;
        }
    }

    /// Makes the knowledge as it was stored: peers, and how many of their replies lost tuples.
    pub(crate) fn restore(peers: BTreeMap<String, u64>) -> UnreturnedReplies {
        UnreturnedReplies { peers, ..UnreturnedReplies::default() }
    }

    /// Returns the peers whose replies lost tuples, with how many.
    pub(crate) fn counts(&self) -> &BTreeMap<String, u64> {
        &self.peers
    }

    /// Whether any reply has lost tuples.
    pub(crate) fn any(&self) -> bool {
        !self.peers.is_empty()
    }

    /// Returns the peers whose replies lost tuples.
    pub(crate) fn peers(&self) -> BTreeSet<&str> {
        self.peers.keys().map(String::as_str).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_is_lost_if_both_ends_tell_of_it_in_whatever_order() {
        let (mut bare, mut query) = (BareReplies::default(), UnreturnedReplies::default());
        assert!(!query.add_left(1, &bare) && bare.add(1, "a:80") && query.add_bare(1, "a:80"));
        assert!(bare.add(2, "b:80") && !query.add_bare(2, "b:80") && query.add_left(2, &bare));
        assert!(!bare.add(2, "b:80"), "told again");
        // Of a service without Pivot, and of a call that was cancelled, only one end tells.
        assert!(bare.add(3, "plain:80") && !query.add_bare(3, "plain:80") && !query.add_left(4, &bare));
        assert_eq!(query.peers(), BTreeSet::from(["a:80", "b:80"]));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (mut bare, mut query) = (BareReplies::default(), UnreturnedReplies::default());
        for tag in 0..10_000_u64 {
            bare.add(tag, "a:80");
            query.add_left(1_000_000 + tag, &bare);
        }
        assert_eq!((bare.peers.len(), bare.order.len()), (MAX_REMEMBERED, MAX_REMEMBERED));
        assert_eq!((query.left.len(), query.order.len()), (MAX_REMEMBERED, MAX_REMEMBERED));
        assert!(!bare.add(20_000, &"x".repeat(1000)));
    }
}
