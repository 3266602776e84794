//! What a query costs the process it runs in.

use pivot_advice::{Groups, codec};

/// What a query cost, as its agent sees it.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct QueryCost {
    /// Events that ran its advice, those that were sampled away included.
    pub events: u64,
    /// Time spent in it: an estimate from a sample of the events.
    pub busy_ns: u64,
    /// Tuples packed.
    pub packed: u64,
    /// How many bytes they take, encoded.
    pub packed_bytes: u64,
}

impl QueryCost {
    /// Counts tuples that are packed.
    pub(crate) fn count_packed(&mut self, groups: &Groups) {
        self.packed = self.packed.saturating_add(groups.len() as u64);
        self.packed_bytes = self.packed_bytes.saturating_add(codec::size(groups) as u64);
    }

    /// Adds another cost.
    pub fn merge(&mut self, other: &QueryCost) {
        self.events = self.events.saturating_add(other.events);
        self.busy_ns = self.busy_ns.saturating_add(other.busy_ns);
        self.packed = self.packed.saturating_add(other.packed);
        self.packed_bytes = self.packed_bytes.saturating_add(other.packed_bytes);
    }
}
