//! What a result lacks, counted where it was lost and added up on the way to the user.

/// Counts of what is missing; all zero means nothing is.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Loss {
    /// Rows beyond a budget.
    pub dropped: u64,
    /// Evaluations that had no value, and events whose field expressions panicked.
    pub errors: u64,
    /// Events whose baggage was incomplete.
    pub truncated: u64,
    /// Rows that are there because nothing was found to have happened before, where something may be missing.
    pub uncertain: u64,
    /// Tuples packed outside any request, which no later event can see.
    pub outside_request: u64,
    /// Events that were not looked at, because the query was beyond its share of the processor.
    pub throttled: u64,
    /// For how long the query did not run where it should, in nanoseconds, in all processes together: it
    /// rested, was put away, or its lease had lapsed, and nobody knows what it missed.
    pub away_ns: u64,
    /// Messages of requests with the query's tuples that went without them, because baggage must not
    /// leave to that peer.
    pub held_back: u64,
}

impl Loss {
    /// Whether nothing is missing.
    pub fn is_zero(&self) -> bool {
        *self == Loss::default()
    }

    /// Adds what was lost elsewhere.
    pub fn merge(&mut self, other: &Loss) {
        self.dropped = self.dropped.saturating_add(other.dropped);
        self.errors = self.errors.saturating_add(other.errors);
        self.truncated = self.truncated.saturating_add(other.truncated);
        self.uncertain = self.uncertain.saturating_add(other.uncertain);
        self.outside_request = self.outside_request.saturating_add(other.outside_request);
        self.throttled = self.throttled.saturating_add(other.throttled);
        self.away_ns = self.away_ns.saturating_add(other.away_ns);
        self.held_back = self.held_back.saturating_add(other.held_back);
    }
}
