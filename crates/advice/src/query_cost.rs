//! What a query costs the processes it runs in.

use crate::codec;
use crate::groups::Groups;

/// Costs of a query over some time, in one process or in several together.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct QueryCost {
    /// Events that ran its advice, those included that sampling then left out.
    pub events: u64,
    /// Processor time spent in its advice, in nanoseconds: an estimate from a sample of the events.
    pub busy_ns: u64,
    /// The most of that time that was added at once: by one event, and those that it stands for. Agents know it of
    /// their own queries; it is not reported.
    pub longest_ns: u64,
    /// Tuples packed into baggage.
    pub packed: u64,
    /// Encoded bytes of the packed tuples.
    pub packed_bytes: u64,
}

impl QueryCost {
    /// Adds time spent in its advice.
    pub fn add_busy(&mut self, busy_ns: u64) {
        self.busy_ns = self.busy_ns.saturating_add(busy_ns);
        self.longest_ns = self.longest_ns.max(busy_ns);
    }

    /// Counts one packed tuple of that many bytes.
    pub fn add_packed(&mut self, bytes: usize) {
        self.packed = self.packed.saturating_add(1);
        self.packed_bytes = self.packed_bytes.saturating_add(bytes as u64);
    }

    /// Counts groups that are packed into baggage as so many tuples.
    pub fn count_packed(&mut self, groups: &Groups) {
        self.packed = self.packed.saturating_add(groups.len() as u64);
        self.packed_bytes = self.packed_bytes.saturating_add(codec::groups_size(groups) as u64);
    }

    /// Adds another cost.
    pub fn merge(&mut self, other: &QueryCost) {
        self.events = self.events.saturating_add(other.events);
        self.busy_ns = self.busy_ns.saturating_add(other.busy_ns);
        self.longest_ns = self.longest_ns.max(other.longest_ns);
        self.packed = self.packed.saturating_add(other.packed);
        self.packed_bytes = self.packed_bytes.saturating_add(other.packed_bytes);
    }
}
