//! The records of history: what is kept of windows until it is in a file, what is in which file, and how it is read.
//!
//! Numbers of fields are never used again for something else.

use super::output_record::OutputRecord;
use super::records::RowsRecord;
use super::stored_rows;
use crate::agent_coverage::AgentCoverage;
use crate::range_coverage::RangeCoverage;
use crate::time_range::TimeRange;
use crate::window_delta::{WindowDelta, WindowState};
use crate::window_groups::WindowGroups;
use pivot_merge::MergedGroups;
use std::sync::Arc;

/// A query of which history has windows, with all that is needed to read them.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct HistoryQueryRecord {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(string, tag = "2")]
    pub(crate) text: String,
    #[prost(sint64, tag = "3")]
    pub(crate) installed_ns: i64,
    #[prost(sint64, tag = "4")]
    pub(crate) every_ns: i64,
    #[prost(message, optional, tag = "5")]
    pub(crate) output: Option<OutputRecord>,
    /// How long its windows are kept, if the query says so.
    #[prost(sint64, optional, tag = "6")]
    pub(crate) keep_ns: Option<i64>,
}

/// An addition to a window.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct WindowDeltaRecord {
    #[prost(sint64, tag = "1")]
    pub(crate) end_ns: i64,
    /// The groups that are added. In a file they are rows of their own, and this has the counts beside them.
    #[prost(message, optional, tag = "2")]
    pub(crate) added: Option<RowsRecord>,
    #[prost(message, optional, tag = "3")]
    pub(crate) state: Option<WindowStateRecord>,
}

/// The state of a window as a whole: how complete it is.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct WindowStateRecord {
    #[prost(uint32, tag = "1")]
    pub(crate) revision: u32,
    #[prost(uint32, tag = "2")]
    pub(crate) reporting: u32,
    #[prost(uint32, tag = "3")]
    pub(crate) expected: u32,
    #[prost(uint32, tag = "4")]
    pub(crate) lost: u32,
    #[prost(sint64, tag = "5")]
    pub(crate) covered_ns: i64,
    #[prost(sint64, tag = "6")]
    pub(crate) length_ns: i64,
    #[prost(uint32, tag = "7")]
    pub(crate) agents_late: u32,
    /// Losses and counts of the whole window, without groups.
    #[prost(message, optional, tag = "8")]
    pub(crate) totals: Option<RowsRecord>,
}

/// A file of history.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct HistoryFileRecord {
    /// The start of the earliest window that it has something of.
    #[prost(sint64, tag = "1")]
    pub(crate) start_ns: i64,
    /// The end of the latest.
    #[prost(sint64, tag = "2")]
    pub(crate) end_ns: i64,
    /// The first commit that brought something of it.
    #[prost(uint64, tag = "3")]
    pub(crate) first_batch: u64,
    /// The last.
    #[prost(uint64, tag = "4")]
    pub(crate) last_batch: u64,
    #[prost(uint64, tag = "5")]
    pub(crate) rows: u64,
    #[prost(uint64, tag = "6")]
    pub(crate) bytes: u64,
    /// The types of the values of each key, as sets of bits.
    #[prost(uint32, repeated, tag = "7")]
    pub(crate) key_types: Vec<u32>,
    /// The types of the values that the states of each aggregate are made of.
    #[prost(uint32, repeated, tag = "8")]
    pub(crate) state_types: Vec<u32>,
}

impl WindowDeltaRecord {
    /// Encodes an addition with its groups.
    pub(crate) fn new(delta: &WindowDelta) -> WindowDeltaRecord {
        let added = Some(stored_rows::encode(&delta.added));
        WindowDeltaRecord { added, ..WindowDeltaRecord::without_groups(delta) }
    }

    /// Encodes an addition apart from its groups.
    pub(crate) fn without_groups(delta: &WindowDelta) -> WindowDeltaRecord {
        WindowDeltaRecord {
            end_ns: delta.window.end_ns,
            added: Some(counts(&delta.added)),
            state: delta.state.as_ref().map(WindowStateRecord::new),
        }
    }

    /// Decodes the addition to the window with this start, whose groups have the given shape.
    pub(crate) fn delta(self, start_ns: i64, shape: &MergedGroups) -> WindowDelta {
        let added = self.added.unwrap_or_default();
        WindowDelta {
            window: TimeRange { start_ns, end_ns: self.end_ns },
            added: Arc::new(stored_rows::decode(added, shape)),
            state: self.state.map(|state| state.state(shape)),
        }
    }
}

impl WindowStateRecord {
    fn new(state: &WindowState) -> WindowStateRecord {
        let WindowState { revision, coverage, time, totals } = state;
        let AgentCoverage { reporting, expected, lost } = *coverage;
        let RangeCoverage { covered_ns, length_ns, agents_late } = *time;
        let totals = Some(counts(totals));
        let revision = *revision;
        WindowStateRecord { revision, reporting, expected, lost, covered_ns, length_ns, agents_late, totals }
    }

    fn state(self, shape: &MergedGroups) -> WindowState {
        let WindowStateRecord { revision, reporting, expected, lost, .. } = self;
        let WindowStateRecord { covered_ns, length_ns, agents_late, totals, .. } = self;
        WindowState {
            revision,
            coverage: AgentCoverage { reporting, expected, lost },
            time: RangeCoverage { covered_ns, length_ns, agents_late },
            totals: Arc::new(stored_rows::decode(totals.unwrap_or_default(), shape)),
        }
    }
}

/// Encodes the counts of a table, without any of its groups.
fn counts(groups: &WindowGroups) -> RowsRecord {
    let mut counts = WindowGroups::new(&groups.groups);
    counts.emitted = groups.emitted;
    counts.loss = groups.loss;
    counts.outside = groups.outside.clone();
    counts.is_answered = groups.is_answered;
    counts.sampled.weights = groups.sampled.weights;
    counts.sampled.squares = groups.sampled.squares;
    stored_rows::encode(&counts)
}
