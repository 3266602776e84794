//! The reference evaluator: what a query means, by enumeration.
//!
//! ```text
//! DAG ─ tuples of each source ─▶ UngroupedRow ─ GROUP BY ─▶ ResultGroup ─ SELECT ─▶ ExpectedCell
//!       (evaluator)              (ungrouped_rows)           (result_groups)         (aggregates)
//!                                        expressions and values of them at every step
//! ```
//!
//! Every relation is a list, nothing is pushed down, grouped early or shared, and equality is found by comparing
//! each with each. That takes quadratic time and is easy to believe.

pub(crate) mod aggregates;
pub(crate) mod evaluator;
pub(crate) mod expressions;
pub(crate) mod result_groups;
pub(crate) mod ungrouped_rows;
pub(crate) mod values;
