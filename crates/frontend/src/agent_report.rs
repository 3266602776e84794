//! Messages of agents, decoded: reports, and what has become of the advice that they were sent.
//!
//! Decoding happens before the frontend's lock is taken; it is the larger part of what a report costs.

use crate::time_range::TimeRange;
use pivot_advice::columns::ColumnBlock;
use pivot_advice::{
    Groups, LossCounts, NamedCarrier, OutsidePlaces, PeerReplies, QueryCost, QueryId, QueryStatus,
    SampledGroups, Value, WeaveProblem, WithheldMessages, WovenTime,
};
use std::collections::HashSet;

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
    pub(crate) exact: Option<ColumnBlock>,
    /// Groups of requests of which only some were processed.
    pub(crate) sampled: SampledGroups,
    /// One group without a key: rows for whose groups there was no room in the process.
    pub(crate) other: Option<Groups>,
}

impl ReportedGroups {
    /// Returns how many rows all groups stand for.
    pub(crate) fn row_count(&self) -> u64 {
        let exact = self.exact.as_ref().map_or(0, ColumnBlock::row_count);
        let in_rows = [&self.sampled.groups, &self.other].into_iter().flatten();
        in_rows.map(Groups::row_count).fold(exact, u64::saturating_add)
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

impl DecodedQueryReport {
    /// Returns a part about a query with these groups, of as many rows as they have.
    #[cfg(test)]
    pub(crate) fn of(query: QueryId, exact: Option<&Groups>) -> DecodedQueryReport {
        let block = |groups: &Groups| ColumnBlock::decode(ColumnBlock::encode(groups)).unwrap();
        DecodedQueryReport {
            query,
            emitted: exact.map_or(0, Groups::row_count),
            loss: LossCounts::default(),
            outside: OutsidePlaces::default(),
            cost: QueryCost::default(),
            cut_ns: 1,
            woven: None,
            left: vec![],
            groups: Some(ReportedGroups { exact: exact.map(block), ..ReportedGroups::default() }),
        }
    }

    /// Returns the number of different keys, however many parts of a sample each is in.
    pub(crate) fn distinct_keys(&self) -> usize {
        let Some(ReportedGroups { exact, sampled, .. }) = &self.groups else { return 0 };
        let exact_keys = exact.as_ref().map_or(0, |block| block.rows);
        let Some(sampled) = &sampled.groups else { return exact_keys };

        let keys = sampled.keys().saturating_sub(1);
        let exact = exact.as_ref().map(ColumnBlock::to_groups);
        let exact_has = |key: &[Value]| exact.as_ref().is_some_and(|exact| exact.get(key).is_some());
        let sampled_keys = sampled.iter().map(|group| &group.key[..keys.min(group.key.len())]);
        let only_sampled: HashSet<&[Value]> = sampled_keys.filter(|key| !exact_has(key)).collect();
        exact_keys + only_sampled.len()
    }

    /// Returns the number of rows for whose groups there was no room in the process.
    pub(crate) fn rows_in_other(&self) -> u64 {
        let other = self.groups.as_ref().and_then(|groups| groups.other.as_ref());
        other.map_or(0, Groups::row_count)
    }

    /// Whether it tells nothing of the result: no rows, and no loss.
    pub(crate) fn has_no_rows(&self) -> bool {
        let Some(ReportedGroups { exact, sampled, .. }) = &self.groups else { return false };
        let has_rows = exact.as_ref().is_some_and(|block| block.rows > 0) || !sampled.is_empty();
        !has_rows && self.rows_in_other() == 0 && self.emitted == 0 && self.loss == LossCounts::default()
    }
}
