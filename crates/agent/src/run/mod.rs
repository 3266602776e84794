//! Runs advice over events: one dispatch, three executors.
//!
//! ```text
//! tracepoint! ── woven? ──▶ fire ── inside an event already? ──▶ skipped, counted
//!                            │
//!            load the WovenSet of the tracepoint
//!                            │
//!        ┌───────────────────┼──────────────────────┐
//!     Immediate          Deferring              one event in ~64:
//!     run_list           run_list, then         run_timed, a lap per advice
//!        │               the deferred packs         │
//!        └───────────────────┴──────────────────────┘
//!                            │ for each advice, with panics contained
//!                            ▼
//!        ┌───────────── Executor? ───────────────┐
//!      Fused                                 Compiled, Interpreted
//!        │ table prepared, query keeps all       │
//!        │ requests?        ── no ─────▶  slow_path: decide about sampling
//!        ▼                                       │
//!      FusedKernel                    kept alone │           │ stands for several
//!        │                                       ▼           ▼
//!        │                               CompiledAdvice   interpreter
//!        └──────────────────┬────────────────────┴───────────┘
//!                           ▼
//!        Emit ─▶ QueryTable of this thread         Pack ─▶ baggage of this request
//! ```
//!
//! The interpreter is the reference: it runs any advice, and the others do to every event what it does. Reading
//! order: `fire_event`, `slow_path`, `outside_request`, `question`, [`interpreter`] with `interpreted_row`, `ir`, `advice_compiler`, `compiled` with its
//! parts, `fused`; `cells` and `cell_expr` are the values and expressions of compiled advice.

pub(crate) mod advice_compiler;
pub(crate) mod cell_expr;
pub mod cells;
#[doc(hidden)]
pub mod chosen_executors;
pub(crate) mod compiled;
pub(crate) mod compiled_emit;
pub(crate) mod compiled_join;
pub(crate) mod compiled_pack;
#[cfg(test)]
mod executor_tests;
pub(crate) mod fire_event;
pub(crate) mod fold;
pub(crate) mod fused;
pub(crate) mod interpreted_row;
pub mod interpreter;
pub(crate) mod ir;
pub(crate) mod outside_request;
pub(crate) mod question;
pub(crate) mod random;
pub(crate) mod row_sort_key;
pub mod sample;
pub(crate) mod slow_path;
pub(crate) mod stopwatch;
