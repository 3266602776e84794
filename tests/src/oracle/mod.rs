//! The oracle: a second implementation of the query language, which is slow, simple and independent of the first.
//!
//! A *case* is a catalogue of tracepoints, a query and a run: requests that fork, join and hop between processes while
//! events happen. A seed makes all of it. The query then goes two ways, and both must give the same rows:
//!
//! ```text
//! seed ─▶ tracepoints, query, steps ─┬─ print ─ compile ─ advice over real baggage ─▶ rows ─┬─ equal?
//!         (generate)                 │  (language)        (run::in_band)                    │ (compare)
//!                                    └─ record ─ DAG ─ enumerate all tuples ────────▶ rows ─┘
//!                                       (run::event_dag)     (reference)
//! ```
//!
//! In band the real compiler, the real advice and the real baggage run, with all rules of the optimizer, with none,
//! and with random sets of them. The reference evaluator knows none of these: it records the run as a DAG of events
//! and evaluates the query by the text of the language, a nested loop over lists.
//!
//! ```text
//! run        request            dag    (0)──▶(1)─┬─▶(3)      query  FROM e IN E JOIN x IN X ON x -> e ..
//!            main X a=1                └─▶(2)────┘           rows   for each E, each X with a path to it
//!            fork main b1
//!            ..
//! ```
//!
//! # More cases
//!
//! `PIVOT_ORACLE_CASES` sets the number of cases and `PIVOT_ORACLE_SEED` the first seed of `cargo test -p pivot-tests
//! --test oracle`; with `-- --ignored --nocapture show_cases` they are printed. `--test answers` sends cases through
//! a frontend, over the wire and in windows (`PIVOT_ANSWERS_CASES`).
//!
//! A run prints how many cases used each part of the language, and in how many there were rows. A million cases take
//! half an hour on two cores: `PIVOT_ORACLE_CASES=1000000 nice cargo test --release -p pivot-tests --test oracle
//! every_plan -- --nocapture`.
//!
//! # What the language leaves open
//!
//! Which rows there are is defined to the last; in which order without ORDER BY, and which value ANY takes, is not, nor
//! how often an expression is evaluated. So of evaluation errors it is checked that a plan with some counts some, and
//! that all executors count the same over the same rows: see `run::executors`.
//!
//! # A failure
//!
//! A case that is wrong is shrunk, to the smallest that is wrong in the same way, and printed as the upper part of a
//! golden file, under the rows that are missing and those that are surplus. Copy it to `tests/golden/found`, and let
//! `UPDATE_GOLDEN=1 cargo test -p pivot-tests --test golden` write what the compiler makes of it. Then read
//! `---- advice`: if the advice is right, the evaluator is wrong, or the text of the language leaves it open.
//!
//! # Reading order
//!
//! `language` (a query as data and as text), `run` (what happened, and what advice makes of it), `reference` (what a
//! query means), `generate` (random queries and runs), `case`, `compare`, `coverage`, `shrink`.

mod case;
mod compare;
mod coverage;
mod generate;
#[cfg(test)]
mod known_answers;
mod language;
mod reference;
mod run;
mod shrink;

pub use case::{Agreement, Case, CaseOutcome, Disagreement, params};
pub use compare::{differences, in_order};
pub use coverage::Coverage;
pub use language::query::Query;
pub use reference::aggregates::ExpectedCell;
pub use reference::evaluator::{EvaluationWindow, Evaluator, ReferenceAnswer};
pub use run::event_dag::{EventDag, RunStep};
pub use run::in_band::{InBandRun, PROCESSES, choices, linked};
pub use shrink::shrunk;
