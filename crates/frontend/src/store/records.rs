//! The records of the store: protobuf messages, so that a later version may add fields.
//!
//! Numbers of fields are never used again for something else.

use crate::incomplete_time::IncompleteRange;
use crate::time_range::TimeRange;
use pivot_protocol::wire;
use std::collections::HashMap;

/// The facts that the frontend itself must not forget: numbers that only rise, and what it was told.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct FrontendRecord {
    /// Tells this frontend's queries from those of other frontends.
    #[prost(uint32, tag = "1")]
    pub(crate) frontend: u32,
    /// The newest generation of wanted advice.
    #[prost(uint64, tag = "2")]
    pub(crate) generation: u64,
    /// The number of the query that was installed last.
    #[prost(uint32, tag = "3")]
    pub(crate) last_number: u32,
    /// The newest generation that all agents have woven.
    #[prost(uint64, tag = "4")]
    pub(crate) woven_everywhere: u64,
    /// The number of the newest commit.
    #[prost(uint64, tag = "5")]
    pub(crate) batch: u64,
    /// Globs over the names of spans that carry a request.
    #[prost(string, repeated, tag = "6")]
    pub(crate) carriers: Vec<String>,
    #[prost(message, optional, tag = "7")]
    pub(crate) clock: Option<ClockRecord>,
    /// Whether this is a copy, which no frontend has been started with yet.
    #[prost(bool, tag = "8")]
    pub(crate) is_backup: bool,
}

/// The frontend's time at some moment.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct ClockRecord {
    /// Tells a run of the machine from others; empty if the system cannot tell.
    #[prost(string, tag = "1")]
    pub(crate) boot: String,
    /// The reading of the steady clock of this run.
    #[prost(sint64, tag = "2")]
    pub(crate) steady_ns: i64,
    /// The frontend's time, in nanoseconds since the epoch.
    #[prost(sint64, tag = "3")]
    pub(crate) time_ns: i64,
}

/// The description of an agent, and of what it exports.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct AgentRecord {
    #[prost(string, tag = "1")]
    pub(crate) process: String,
    #[prost(string, tag = "2")]
    pub(crate) host: String,
    #[prost(uint32, tag = "3")]
    pub(crate) pid: u32,
    #[prost(string, tag = "4")]
    pub(crate) build: String,
    #[prost(map = "string, string", tag = "5")]
    pub(crate) labels: HashMap<String, String>,
    /// The fingerprint of what it exports, in little-endian order: its key in the table of catalogues.
    #[prost(bytes = "vec", tag = "6")]
    pub(crate) catalogue: Vec<u8>,
    /// The time after which it unweaves everything without a frontend.
    #[prost(sint64, tag = "7")]
    pub(crate) lease_ns: i64,
}

/// An agent of which nothing else is known any more.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct DepartedRecord {
    /// The highest sequence that was merged.
    #[prost(uint64, tag = "1")]
    pub(crate) highest: u64,
    #[prost(sint64, tag = "2")]
    pub(crate) departed_ns: i64,
}

/// How far the reports of an agent are merged, and what it has woven.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct AgentProgress {
    /// The highest sequence that was merged.
    #[prost(uint64, optional, tag = "1")]
    pub(crate) highest: Option<u64>,
    /// The end of the windows whose rows it has all reported, in nanoseconds since the epoch, as all times here.
    #[prost(sint64, tag = "2")]
    pub(crate) watermark_ns: i64,
    /// When its newest report was cut.
    #[prost(sint64, tag = "3")]
    pub(crate) cut_ns: i64,
    /// The newest generation that it has woven.
    #[prost(uint64, tag = "4")]
    pub(crate) woven: u64,
    /// When it had first woven any.
    #[prost(sint64, tag = "5")]
    pub(crate) woven_ns: i64,
    #[prost(sint64, tag = "6")]
    pub(crate) connected_ns: i64,
    #[prost(sint64, tag = "7")]
    pub(crate) last_heard_ns: i64,
    /// Whether it has said goodbye.
    #[prost(bool, tag = "8")]
    pub(crate) has_left: bool,
    /// The newest generation that it may have been sent.
    #[prost(uint64, tag = "9")]
    pub(crate) told: u64,
}

/// An installed query, as it is compiled again after a restart.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct QueryRecord {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(string, tag = "2")]
    pub(crate) text: String,
    /// The values that `$name` in the text stands for.
    #[prost(map = "string, message", tag = "3")]
    pub(crate) params: HashMap<String, wire::Value>,
    #[prost(sint64, tag = "4")]
    pub(crate) installed_ns: i64,
    /// The generation that installed it.
    #[prost(uint64, tag = "5")]
    pub(crate) generation: u64,
    /// The generation that brought its advice as it is.
    #[prost(uint64, tag = "6")]
    pub(crate) advice_generation: u64,
    /// Its advice, to know after a restart whether it is still the same.
    #[prost(message, repeated, tag = "7")]
    pub(crate) advice: Vec<wire::Advice>,
    #[prost(message, optional, tag = "8")]
    pub(crate) measured: Option<MeasuredRecord>,
    #[prost(message, optional, tag = "9")]
    pub(crate) removed: Option<RemovalRecord>,
    /// The client that installed it, for people.
    #[prost(string, tag = "10")]
    pub(crate) owner: String,
    /// The client session that it goes with; empty if there is none.
    #[prost(string, tag = "11")]
    pub(crate) session: String,
    /// Whether it stays when its client has gone.
    #[prost(bool, tag = "12")]
    pub(crate) stays: bool,
}

/// The terms of a query that is a measurement of EXPLAIN ANALYZE.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct MeasuredRecord {
    /// The fraction of requests that it processes.
    #[prost(double, tag = "1")]
    pub(crate) fraction: f64,
    #[prost(sint64, tag = "2")]
    pub(crate) duration_ns: i64,
}

/// The end of a query that was uninstalled.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct RemovalRecord {
    /// The first generation without it.
    #[prost(uint64, tag = "1")]
    pub(crate) generation: u64,
    #[prost(sint64, tag = "2")]
    pub(crate) at_ns: i64,
    #[prost(enumeration = "wire::frame::End", tag = "3")]
    pub(crate) end: i32,
}

/// The results of a query apart from rows.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ResultRecord {
    #[prost(sint64, tag = "1")]
    pub(crate) first_start_ns: i64,
    /// The start of the newest window that was forgotten.
    #[prost(sint64, tag = "2")]
    pub(crate) forgotten_ns: i64,
    /// Forgotten windows that some agent has not reported.
    #[prost(message, repeated, tag = "3")]
    pub(crate) forgotten_incomplete: Vec<IncompleteRangeRecord>,
    #[prost(uint32, tag = "4")]
    pub(crate) reporting: u32,
    #[prost(uint32, tag = "5")]
    pub(crate) expected: u32,
    /// The start of the next window that is made without a report.
    #[prost(sint64, optional, tag = "6")]
    pub(crate) next_unreported_ns: Option<i64>,
    /// The sequence of the newest frame.
    #[prost(uint64, tag = "7")]
    pub(crate) sequence: u64,
    #[prost(message, optional, tag = "8")]
    pub(crate) cost: Option<wire::Cost>,
    /// Peers whose replies lost tuples, and how many.
    #[prost(map = "string, uint64", tag = "9")]
    pub(crate) unreturned: HashMap<String, u64>,
    /// When its last frame was made.
    #[prost(sint64, optional, tag = "10")]
    pub(crate) finished_ns: Option<i64>,
    /// Whether an agent is forgotten that may have had rows.
    #[prost(bool, tag = "11")]
    pub(crate) misses_rows: bool,
}

/// A range of windows that some agent has not reported.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct IncompleteRangeRecord {
    #[prost(sint64, tag = "1")]
    pub(crate) start_ns: i64,
    #[prost(sint64, tag = "2")]
    pub(crate) end_ns: i64,
    #[prost(uint64, tag = "3")]
    pub(crate) windows: u64,
}

impl From<&IncompleteRange> for IncompleteRangeRecord {
    fn from(range: &IncompleteRange) -> IncompleteRangeRecord {
        let IncompleteRange { time_range: TimeRange { start_ns, end_ns }, windows } = *range;
        IncompleteRangeRecord { start_ns, end_ns, windows }
    }
}

impl From<&IncompleteRangeRecord> for IncompleteRange {
    fn from(record: &IncompleteRangeRecord) -> IncompleteRange {
        let IncompleteRangeRecord { start_ns, end_ns, windows } = *record;
        IncompleteRange { time_range: TimeRange { start_ns, end_ns }, windows }
    }
}

/// One window, apart from its rows.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct WindowRecord {
    #[prost(sint64, tag = "1")]
    pub(crate) end_ns: i64,
    /// The commit that closed it; 0 while it is open.
    #[prost(uint64, tag = "2")]
    pub(crate) closed_batch: u64,
    /// The number of its next frame among its own.
    #[prost(uint32, tag = "3")]
    pub(crate) revision: u32,
    /// The sequence of its newest frame; 0 if it has none.
    #[prost(uint64, tag = "4")]
    pub(crate) sequence: u64,
    #[prost(bool, tag = "5")]
    pub(crate) is_incomplete: bool,
    #[prost(uint32, tag = "6")]
    pub(crate) reporting: u32,
    #[prost(uint32, tag = "7")]
    pub(crate) expected: u32,
    /// Whether it is kept for the result since install alone.
    #[prost(bool, tag = "8")]
    pub(crate) is_forgotten: bool,
    /// Agents that are forgotten and may have had rows of it.
    #[prost(uint32, tag = "9")]
    pub(crate) missed_agents: u32,
}

/// Merged groups.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct RowsRecord {
    /// The groups as an agent reports them.
    #[prost(message, optional, tag = "1")]
    pub(crate) part: Option<wire::Part>,
    /// Whether any agent took part.
    #[prost(bool, tag = "2")]
    pub(crate) is_answered: bool,
}

/// The result since install, up to a commit.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct TotalRecord {
    /// The commit up to which rows are in it.
    #[prost(uint64, tag = "1")]
    pub(crate) batch: u64,
    #[prost(message, optional, tag = "2")]
    pub(crate) rows: Option<RowsRecord>,
}

/// When a query was woven in one process.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct WovenTimeRecord {
    #[prost(sint64, tag = "1")]
    pub(crate) since_ns: i64,
    #[prost(sint64, optional, tag = "2")]
    pub(crate) until_ns: Option<i64>,
}
