//! Messages that went without the baggage of their request.

/// Why a message went without baggage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum WithheldReason {
    /// Baggage must not leave to that host.
    NotAllowed,
    /// Headers that the application needs left no room for it.
    NoRoom,
}

/// The messages of one process to one host that went without baggage, for one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WithheldMessages {
    /// The host; empty stands for all hosts that were too many to be told apart.
    pub host: String,
    /// Why.
    pub reason: WithheldReason,
    /// Number of messages since the process began.
    pub messages: u64,
}

/// Returns what an operator is told of a host that baggage must not leave to.
pub fn held_back_remark(host: &str) -> String {
    format!("baggage for {host} was held back: PIVOT_EGRESS={host} lets it go")
}
