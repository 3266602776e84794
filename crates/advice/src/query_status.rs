//! What an agent tells its frontend about a query: how it stands in the process, and what is wrong.

use crate::advice::QueryId;
use crate::query_budget::QueryBudget;

/// Whether and how a query runs in one process.
#[derive(Debug, Clone, PartialEq)]
pub struct QueryStatus {
    /// The query.
    pub query: QueryId,
    /// Whether it runs, and if not, why.
    pub state: QueryState,
    /// The fraction of requests that it processes, from 0 to 1.
    pub keep: f64,
    /// The reason in words for people; may be empty.
    pub detail: String,
    /// The part of what the query asked for that the process grants; `None` if the agent does not know budgets.
    pub granted: Option<QueryBudget>,
    /// The conditions over constants that rule out tracepoints of this process; at most [`MAX_RULED_OUT`].
    pub ruled_out: Vec<RuledOutTracepoints>,
}

/// The most conditions that the status of one query has.
pub const MAX_RULED_OUT: usize = 4;

/// The most names, and the most values, that are kept of what one condition rules out.
pub const MAX_RULED_OUT_NAMES: usize = 8;

/// A condition that cannot be true at some tracepoints of a process, because what it compares is constant there: the
/// name of the process, the level of a log record. So nothing is woven there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RuledOutTracepoints {
    /// The condition as query text: `process = 'nobody'`.
    pub condition: String,
    /// The names of the first tracepoints, at most [`MAX_RULED_OUT_NAMES`].
    pub tracepoints: Vec<String>,
    /// The number of call sites.
    pub call_sites: u64,
    /// The values that the condition's fields have at these call sites, each once, at most [`MAX_RULED_OUT_NAMES`]: `api`,
    /// or `target = 'db', level = 'INFO'` if the condition reads several fields.
    pub values: Vec<String>,
}

/// Whether a query runs in one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum QueryState {
    /// The query runs.
    Active,
    /// None of the query's tracepoints is in this process, or not yet.
    Pending,
    /// The query goes beyond its processor budget, so it processes only some requests, or none.
    Throttled,
    /// The query's advice panicked and is unwoven.
    Quarantined,
    /// Some of the query's advice does not fit this process.
    Problem,
    /// The process has weaving switched off, or its lease has lapsed.
    Disabled,
    /// The query's tracepoints are in this process, and constants rule it out at each: its result is not short.
    RuledOut,
}

/// Why a query, or its advice at one tracepoint, is not woven in a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WeaveProblem {
    /// The query.
    pub query: QueryId,
    /// The tracepoint that its advice was to be woven into.
    pub tracepoint: String,
    /// The reason in words for people.
    pub message: String,
}
