//! What agents say, decoded: reports, and what has become of the advice that they were sent.
//!
//! Decoding happens before the frontend's lock is taken; it is the larger part of what a report costs.

use crate::interval::Interval;
use pivot_advice::{Groups, LossCounts, QueryId, SampledGroups};

/// What happened in one process in one window.
#[derive(Debug)]
pub(crate) struct AgentReport {
    /// From 1, without gaps, per incarnation.
    pub(crate) sequence: u64,
    pub(crate) window: Interval,
    /// No later report has rows of a window that ends here or before.
    pub(crate) watermark_ns: i64,
    /// Messages that the process sent without baggage, since it began.
    pub(crate) withheld: Vec<Withheld>,
    /// One part for each query that has something to say.
    pub(crate) parts: Vec<ReportPart>,
}

/// One query's part of a report.
#[derive(Debug)]
pub(crate) struct ReportPart {
    pub(crate) query: QueryId,
    /// Rows emitted, lost ones included.
    pub(crate) emitted: u64,
    pub(crate) loss: LossCounts,
    pub(crate) cost: Cost,
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

/// What a process has lost since it began, whatever the query.
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
}

/// What an agent has woven.
#[derive(Debug, Default)]
pub(crate) struct WovenNotice {
    pub(crate) generation: u64,
    /// Advice that it could not weave.
    pub(crate) problems: Vec<WeaveProblem>,
    /// How each query fares in its process.
    pub(crate) statuses: Vec<QueryStatus>,
}

/// Costs of a query over some time, in one process or in several together.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cost {
    /// Events that ran its advice.
    pub(crate) events: u64,
    /// Time spent in its advice, in nanoseconds: an estimate from a sample of the events.
    pub(crate) busy_ns: u64,
    /// Tuples packed into baggage.
    pub(crate) packed: u64,
    /// Encoded bytes of the packed tuples.
    pub(crate) packed_bytes: u64,
}

impl Cost {
    /// Adds another cost.
    pub(crate) fn merge(&mut self, other: &Cost) {
        self.events = self.events.saturating_add(other.events);
        self.busy_ns = self.busy_ns.saturating_add(other.busy_ns);
        self.packed = self.packed.saturating_add(other.packed);
        self.packed_bytes = self.packed_bytes.saturating_add(other.packed_bytes);
    }
}

/// Whether and how a query runs in one process.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct QueryStatus {
    pub(crate) query: QueryId,
    pub(crate) state: QueryState,
    /// The fraction of requests that it processes, from 0 to 1.
    pub(crate) keep: f64,
    /// The reason in words for people; may be empty.
    pub(crate) detail: String,
}

/// Whether a query runs in one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum QueryState {
    /// It runs.
    Active,
    /// None of its tracepoints is in the process, or not yet.
    Pending,
    /// It goes beyond its processor budget, so it processes only some requests, or none.
    Throttled,
    /// Its advice panicked and is unwoven.
    Quarantined,
    /// Some of its advice does not fit the process.
    Problem,
    /// The process has weaving switched off, or its lease has lapsed.
    Disabled,
}

/// Why a query, or its advice at one tracepoint, is not woven in a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WeaveProblem {
    pub(crate) query: QueryId,
    pub(crate) tracepoint: String,
    /// What is wrong, for people.
    pub(crate) message: String,
}

/// Why a message went without baggage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WithheldReason {
    /// Baggage must not leave to that host.
    NotAllowed,
    /// Headers that the application needs left no room for it.
    NoRoom,
}

/// The messages of one process to one host that went without baggage, for one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Withheld {
    /// The host; empty for all hosts for which there was no room.
    pub(crate) host: String,
    pub(crate) reason: WithheldReason,
    /// Number of messages since the process began.
    pub(crate) messages: u64,
}
