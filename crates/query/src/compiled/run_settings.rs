//! On which terms a query runs: its windows, how long it stays, what it may cost, where its results go.

use pivot_advice::{QueryBudget, Value};

/// On which terms a query runs.
#[derive(Debug, Clone, PartialEq)]
pub struct RunSettings {
    /// The length of a result window in nanoseconds, a multiple of 100 ms.
    pub every_ns: i64,
    /// After how long it uninstalls itself, in nanoseconds.
    pub duration_ns: Option<i64>,
    /// What it asks to take in each process; what it does not mention is the process's default.
    pub budget: QueryBudget,
    /// Where its results go, besides the clients that ask for them.
    pub sink: Option<ResultSink>,
}

/// Where results go.
#[derive(Debug, Clone, PartialEq)]
pub struct ResultSink {
    /// `prometheus`, `otlp` or `parquet`.
    pub name: String,
    /// Its options, as they were written.
    pub options: Vec<(String, Value)>,
}

impl Default for RunSettings {
    fn default() -> RunSettings {
        RunSettings { every_ns: 1_000_000_000, duration_ns: None, budget: QueryBudget::default(), sink: None }
    }
}
