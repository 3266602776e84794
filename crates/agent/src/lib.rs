//! Runs advice where the event happens. Performs no I/O, starts no thread, never fails a request.
//!
//! An application declares tracepoints; a frontend sends advice, the compiled parts of its queries. This crate
//! weaves the advice at the tracepoints, runs it at every event, and gathers what it emits until the next report.
//!
//! ```text
//!   site                       run                                       report
//!   ────                       ───                                       ──────
//!   tracepoint! ─ woven? ────▶ event ─▶ executor ─ Emit ───────────────▶ table of this thread
//!        ▲        no: done                  ▲ │                               │ drain, once per window
//!        │                             Unpack Pack                            ▼
//!        │                                  │ ▼                          Reporter ─▶ Report ─▶ uplink ─▶ frontend
//!        │                           baggage of the request
//!   weave │
//!   ───── publish ◀─ choose an executor ◀─ link names ◀─ verify ◀─ Advice ◀─ uplink ◀─ frontend
//! ```
//!
//! The way of one event, with its result read back by the process itself:
//!
//! ```
//! use pivot_advice::{Advice, EmitMode, Instruction, QueryId};
//!
//! let query = QueryId::new(1, 1);
//! let instructions = vec![
//!     Instruction::Observe { field: "size".into() },
//!     Instruction::Emit { keys: vec![0], folds: vec![], form: EmitMode::Groups },
//! ];
//! let advice = Advice { query, stage: 0, tracepoint: "Doc.Read".into(), instructions };
//! assert!(pivot_agent::weave(&[advice]).is_empty());
//! pivot_agent::tracepoint!("Doc.Read", size: u64 = 4096);
//! assert_eq!(pivot_agent::drain()[&query].emitted, 1);
//! ```
//!
//! Reading order, each with a drawing:
//!
//! 1. [`site`]: what an application writes, and what a hit costs.
//! 2. [`mod@weave`]: how what a frontend wants is made to run there.
//! 3. [`run`]: how an event runs it, by one of three executors.
//! 4. [`report`]: how what was emitted is gathered without locks, and leaves the process.
//!
//! [`limits`] has the bounds on memory, and [`error`](mod@error) why an advice is not woven.

pub mod error;
pub mod limits;
pub mod report;
pub mod run;
pub mod site;
pub mod weave;

pub use error::AgentError;
pub use report::drain::drain;
pub use report::fence::use_fences;
pub use report::fork::{is_forked, watch_forks};
pub use report::query_report::{QueryReport, QueryReports};
pub use report::reporter::{Report, Reporter};
pub use report::thread_slot::{
    EndsAgentEvents, exempt_this_thread, is_agents_thread, is_inside_event, skipped_events, takes_events,
};
pub use run::cells::{Cell, Cells};
pub use run::question::{ExpectedEvent, FieldWork, QuestionKind};
pub use site::carriers::{
    CARRIERS_VARIABLE, carriers_of_environment, frontend_carriers, is_named_carrier, set_carriers,
    set_frontend_carriers,
};
pub use site::catalogue::{
    FLAGS_V0, TRACEPOINTS_V0, catalogue, catalogue_since, registered_count, tracepoints,
};
pub use site::declaration::{ExportedField, SourceLocation};
pub use site::export::{Export, ExportedBytes, set_hash_key};
pub use site::process_identity::{ProcessIdentity, identity};
pub use site::tracepoint::Tracepoint;
pub use weave::control::{
    disable, enable, govern, is_disabled, is_governed, lapse, may_come_to_something, sample_one_in,
    set_identity, statuses, stop_governing, suspended_queries, suspended_since, weave, weave_since,
    woven_since,
};
pub use weave::listeners::{on_change, on_govern};
pub use weave::query_budgets::{CpuBudget, set_budget_ceiling, set_cpu_budget, set_query_budgets};
pub use weave::registration::adopt;
pub use weave::verify::verify;

#[doc(hidden)]
pub use linkme;
pub use pivot_advice::{QueryCost, QueryState, QueryStatus, Type, Value, WeaveProblem};
#[doc(hidden)]
pub use report::fence::is_fenced;
#[doc(hidden)]
pub use weave::woven::ExecutorKind;
