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
