//! The commands of the frontend to its agents, and the news of the wanted advice that they rest on.

use pivot_protocol::wire;
use prost::bytes::Bytes;
use std::sync::Arc;

/// The most bytes of a change in one message. What waits for a slow agent is shared by all but for one such piece.
const MAX_PART_BYTES: usize = 256 << 10;

/// A message to an agent.
#[derive(Debug, Clone)]
pub(crate) enum AgentCommand {
    /// Make what is woven equal to this.
    Weave(Arc<wire::Desired>),
    /// Change what is woven: an encoded `WantedChange`.
    Change(Bytes),
    /// Every report up to this sequence has been merged.
    Acknowledge(u64),
    /// All agents have woven this generation.
    WovenEverywhere(u64),
    /// The frontend's time, which the agent has asked for.
    TellTime {
        /// The time of asking by the agent's clock.
        asked_ns: i64,
        /// The frontend's time when the question came.
        received_ns: i64,
    },
}

/// How an agent is told what should be woven.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WantedForm {
    /// The whole set each time: agents before changes were known.
    #[default]
    WholeSet,
    /// The differences alone.
    Changes,
}

/// How one generation differs from the one before.
#[derive(Debug, Clone)]
pub(crate) struct WantedUpdate {
    pub(crate) generation: u64,
    /// An encoded `WantedChange`.
    pub(crate) change: Bytes,
}

/// News of the wanted advice that is durable.
#[derive(Debug, Default, Clone)]
pub(crate) struct WantedNews {
    pub(crate) generation: u64,
    /// In the order of their generations.
    pub(crate) updates: Vec<WantedUpdate>,
    /// The newest generation that all agents have woven.
    pub(crate) woven_everywhere: u64,
}

/// Returns the pieces of an encoded change, without a copy.
pub(crate) fn parts(mut change: Bytes) -> Vec<wire::WantedPart> {
    let mut parts = Vec::with_capacity(change.len() / MAX_PART_BYTES + 1);
    while change.len() > MAX_PART_BYTES {
        parts.push(wire::WantedPart { data: change.split_to(MAX_PART_BYTES), more: true });
    }
    parts.push(wire::WantedPart { data: change, more: false });
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_change_is_sent_in_pieces_that_share_its_bytes() {
        let change = Bytes::from(vec![7; 2 * MAX_PART_BYTES + 1]);
        let found = parts(change.clone());
        let sizes: Vec<_> = found.iter().map(|part| (part.data.len(), part.more)).collect();
        assert_eq!(sizes, [(MAX_PART_BYTES, true), (MAX_PART_BYTES, true), (1, false)]);
        assert_eq!(found[0].data.as_ptr(), change.as_ptr());
        assert_eq!(parts(Bytes::new()).len(), 1);
    }
}
