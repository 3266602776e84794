//! The oracle: random requests and random queries, evaluated in band and by a naive evaluator.
//!
//! ```text
//! seed ─▶ tracepoints, query, steps ─┬─ print ─ compile ─ advice over real baggage ─▶ rows ─┬─ equal?
//!                                    └─ record ─ DAG ─ enumerate all tuples ────────▶ rows ─┘
//! ```

mod aggregate;
mod case;
mod compare;
mod dag;
mod evaluate;
mod expression;
mod expressions;
mod features;
mod generate;
mod in_band;
#[cfg(test)]
mod meaning;
mod output;
mod print;
mod query;
mod regex;
mod scenario;
mod select;
mod shrink;
mod value;

pub use aggregate::ExpectedCell;
pub use case::{Agreement, Case, CaseOutcome, Disagreement, params};
pub use compare::{differences, in_order};
pub use dag::{Dag, RunStep};
pub use evaluate::{Answer, EvaluationWindow, Evaluator};
pub use features::Coverage;
pub use in_band::{InBandRun, PROCESSES, linked, stages};
pub use query::Query;
pub use shrink::shrunk;
