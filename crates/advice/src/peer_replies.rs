//! Replies to the calls of a process that were sent with baggage.

/// The replies of one peer to calls that were sent with baggage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerReplies {
    /// The host, with its port if the call names one. Empty stands for all peers that were too many to be told apart.
    pub peer: String,
    /// Replies that brought baggage back.
    pub returned: u64,
    /// Replies that came without. A peer that has never returned any does not run Pivot, or something on the way
    /// removes its headers.
    pub bare: u64,
}
