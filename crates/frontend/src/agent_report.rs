//! Messages of agents, decoded: reports, and what has become of the advice that they were sent.
//!
//! Decoding happens before the frontend's lock is taken; it is the larger part of what a report costs.

use crate::time_range::TimeRange;
use pivot_advice::{
    Groups, LossCounts, NamedCarrier, OutsidePlaces, PeerReplies, QueryCost, QueryId, QueryStatus,
    SampledGroups, WeaveProblem, WithheldMessages, WovenTime,
};

/// The events of one process in one window.
#[derive(Debug)]
pub(crate) struct AgentReport {
    /// From 1, without gaps, per incarnation.
    pub(crate) sequence: u64,
    pub(crate) window: TimeRange,
    /// No later report has rows of a window that ends here or before.
    pub(crate) watermark_ns: i64,
    /// When it was cut; 0 if it does not say.
    pub(crate) cut_ns: i64,
    /// Messages that the process sent without baggage, since it began.
    pub(crate) withheld: Vec<WithheldMessages>,
    /// How the replies of each peer came, since the process began.
    pub(crate) peers: Vec<PeerReplies>,
    /// Tags and peers of replies that came without the baggage of their call.
    pub(crate) bare: Vec<(u64, String)>,
    /// One part for each query that has something to say.
    pub(crate) parts: Vec<DecodedQueryReport>,
}

/// One query's part of a report.
#[derive(Debug)]
pub(crate) struct DecodedQueryReport {
    pub(crate) query: QueryId,
    /// Rows emitted, lost ones included.
    pub(crate) emitted: u64,
    pub(crate) loss: LossCounts,
    /// Where the events ran that had no request.
    pub(crate) outside: OutsidePlaces,
    pub(crate) cost: QueryCost,
    /// When the report was cut.
    pub(crate) cut_ns: i64,
    /// When the query was woven in the process, if the report says so.
    pub(crate) woven: Option<WovenTime>,
    /// Tags of calls whose replies left the process with new tuples of the query.
    pub(crate) left: Vec<u64>,
    /// The groups; `None` if they could not be decoded.
    pub(crate) groups: Option<ReportedGroups>,
}

/// The groups of one query's part of a report, in whatever shape the agent sent them.
#[derive(Debug, Default)]
pub(crate) struct ReportedGroups {
    /// Groups of requests that were all processed.
    pub(crate) exact: Option<Groups>,
    /// Groups of requests of which only some were processed.
    pub(crate) sampled: SampledGroups,
    /// One group without a key: rows for whose groups there was no room in the process.
    pub(crate) other: Option<Groups>,
}

impl ReportedGroups {
    /// Whether there are any groups.
    pub(crate) fn has_any(&self) -> bool {
        let tables = [&self.exact, &self.sampled.groups, &self.other];
        tables.into_iter().flatten().any(|groups| !groups.is_empty())
    }
}

/// Losses of a process since it began that belong to no query.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AgentLosses {
    /// Events inside a field expression of another event, or on a thread that was ending.
    pub(crate) skipped: u64,
    /// Baggage that a join refused because a copy of it had been joined before.
    pub(crate) duplicate: u64,
    /// Baggage that a join refused because it belongs to another request.
    pub(crate) foreign: u64,
    /// Bags of one key and two shapes.
    pub(crate) mismatched: u64,
    /// Groups and temporal bags beyond the budget of a request.
    pub(crate) overflowed: u64,
    /// Encoded baggage that could not be read.
    pub(crate) malformed: u64,
    /// Encoded baggage that did not carry the right signature.
    pub(crate) unsigned: u64,
    /// Packs, unpacks and joins outside any request.
    pub(crate) outside: u64,
    /// Calls with baggage that were cancelled or never answered. Nothing is missing for that.
    pub(crate) unanswered: u64,
}

/// The answer of an agent to the advice that it was sent.
#[derive(Debug, Default)]
pub(crate) struct WovenNotice {
    pub(crate) generation: u64,
    /// Advice that it could not weave.
    pub(crate) problems: Vec<WeaveProblem>,
    /// How each query fares in its process.
    pub(crate) statuses: Vec<QueryStatus>,
    /// The spans that carry a request there because the frontend has named them.
    pub(crate) carriers: Vec<NamedCarrier>,
}
