//! Which parts of the language the generator uses. The evaluator and the printer know all of them.

/// A part of the language that the compiler may not have yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Features {
    pub(crate) left: bool,
    pub(crate) anti: bool,
    pub(crate) unnest: bool,
    pub(crate) patterns: bool,
    pub(crate) distinct: bool,
    pub(crate) having: bool,
    /// ORDER BY and LIMIT.
    pub(crate) order: bool,
    /// STDDEV and VARIANCE.
    pub(crate) deviation: bool,
    /// QUANTILE and its names.
    pub(crate) quantile: bool,
    /// COUNT(DISTINCT x).
    pub(crate) count_distinct: bool,
    pub(crate) any: bool,
    /// First and MostRecent over a query with joins.
    pub(crate) kept_joins: bool,
}

impl Features {
    /// The whole language.
    pub(crate) const ALL: Features = Features {
        left: true,
        anti: true,
        unnest: true,
        patterns: true,
        distinct: true,
        having: true,
        order: true,
        deviation: true,
        quantile: true,
        count_distinct: true,
        any: true,
        kept_joins: true,
    };
}
