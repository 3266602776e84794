//! On which terms a query runs: its windows, how long it stays, what it may cost, where its results go.

use super::result_sink::ResultSink;
use pivot_advice::QueryBudget;

/// The terms on which a query runs.
#[derive(Debug, Clone, PartialEq)]
pub struct RunSettings {
    /// The length of a result window in nanoseconds, a multiple of 100 ms.
    pub every_ns: i64,
    /// The time after which it uninstalls itself, in nanoseconds; `None` is never.
    pub duration_ns: Option<i64>,
    /// The cost that it asks for in each process; what it does not mention is the default of the process.
    pub budget: QueryBudget,
    /// How long its windows are kept after they have closed, in nanoseconds; `None` is as long as the frontend keeps those
    /// of all queries, and single rows not at all.
    pub keep_ns: Option<i64>,
    /// The place that its results go to, besides the clients that ask for them.
    pub sink: Option<ResultSink>,
}

impl Default for RunSettings {
    fn default() -> RunSettings {
        RunSettings {
            every_ns: 1_000_000_000,
            duration_ns: None,
            budget: QueryBudget::default(),
            keep_ns: None,
            sink: None,
        }
    }
}
