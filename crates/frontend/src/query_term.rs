//! The generations and tracepoints of a query: they decide which agents it is about.

use pivot_advice::QueryId;

/// The facts that decide which agents a query is about, and when.
#[derive(Debug, Clone, Copy)]
pub(crate) struct QueryTerm<'q> {
    pub(crate) query: QueryId,
    /// The generation that installed the query.
    pub(crate) installed: u64,
    /// The first generation without it, if it is removed.
    pub(crate) removed: Option<u64>,
    /// The tracepoints of the query.
    pub(crate) tracepoints: &'q [String],
}
