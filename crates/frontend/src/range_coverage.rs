//! How much of the time of a result was answered by any agent.

/// How much of a time range is covered.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RangeCoverage {
    /// The time in which any agent answered. All of the range if it is not known of any agent.
    pub(crate) covered_ns: i64,
    pub(crate) length_ns: i64,
    /// Agents that were connected when the query was installed and began noticeably later than the first.
    pub(crate) agents_late: u32,
}
