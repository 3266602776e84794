//! The frontend: compiles queries, has them woven in every process, merges what agents report, and streams
//! results.
//!
//! ```text
//!   clients                                                                       agents
//!      │ text                                                                       ▲ │
//!      ▼                                                              wanted advice │ │ reports,
//! clients_service ──▶ compilation ──▶ state ──▶ wanted_advice ──▶ agents_service ───┘ │ each second
//!      ▲              outside the      │ one lock, short changes      ▲               │
//!      │              lock             │                              └───────────────┘
//!      │                               ▼                                      │ decoded
//!      │            installed_query: window_groups ──▶ windows ◀──────────────┘
//!      │ rows                                             │ closed
//!      │                                                  ▼
//!  frame_stream ◀── select: SELECT, HAVING, ORDER BY ◀── kept_frames
//!  for each client  outside the lock, once a frame       kept for readers
//! ```
//!
//! Three clocks drive it. Agents report about once a second, and what they report is put aside. The commit, twenty times
//! a second, merges it, closes the windows that everybody has reported, makes frames of them, and stores what has
//! changed; only when that is on disk are reports acknowledged and frames shown. Readers ask for frames at their own
//! pace, and only then are rows computed.
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! let listen = ([127, 0, 0, 1], 0).into();
//! let options = pivot_frontend::FrontendOptions { listen, ..Default::default() };
//! let running = pivot_frontend::start(options).await?;
//! assert_ne!(running.address().port(), 0);
//!
//! running.stop().await;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Reading order, from the doors inwards:
//! * running: `options`, `server`, `accepted_connections`, `guarded_connection`, `open_files`, `shared_state` (the lock, and what happens outside it), `machine`, `blocking_work`
//! * agents: `agents_service`, `agent_wire` (wire form), `agent_report`, `agent_session`, `agent_registry`, `agent_coverage`, `wanted_advice`,
//!   `wanted_set`
//! * catalogue: `announced_exports`, `known_exports`, `program_tracepoint`, `tracepoint_index`, `departed_agents`
//! * queries: `state`, `compilation`, `state_recompilation`, `convergence`, `query_definition`, `query_owner`, `query_end`, `installed_query`, `installed_queries`, `query_term`, `unheard_agents`, `restored_query`, `cost_ledger`
//! * merging: `window_groups`, `window`, `windows`, `unreported_windows`, `forgotten_rows`, `window_delta`, `history_news`, `covered_time`, `range_coverage`, `incomplete_time`, `time_range`, `unreturned_replies`
//! * what survives a restart: `state_durability`, `restored_backup`, `store`
//! * windows that have closed: `history`
//! * results: `kept_frames`, `select`, `finished_groups`, `estimate` (samples), `evaluated_rows`, `column_role`,
//!   `unify_column`
//! * questions about windows that have closed: `sql`
//! * for whoever runs it: `http_routes`, `allowed_hosts`, `frontend_metrics` with `commit_figures`, `report_figures` and `process_figures`, `prometheus_text`
//! * other doors than gRPC: `doors`
//! * sinks: `prometheus_sink`, `metric_histogram`
//! * clients: `clients_service`, `client_wire` (wire form), `client_leases`, `lease_clock`, `frame_stream`, `frame_room`, `history_calls`

mod accepted_connections;
mod agent_coverage;
mod agent_identity;
mod agent_registry;
mod agent_report;
mod agent_session;
mod agent_wire;
mod agents_service;
mod allowed_hosts;
mod announced_exports;
mod blocking_work;
mod client_leases;
mod client_wire;
mod clients_service;
mod column_role;
mod commit_figures;
mod compilation;
mod convergence;
mod cost_ledger;
mod covered_time;
mod departed_agents;
mod doors;
mod error;
mod estimate;
mod evaluated_rows;
mod finished_groups;
mod forgotten_rows;
mod frame_room;
mod frame_stream;
mod frontend_metrics;
mod guarded_connection;
mod history;
mod history_calls;
mod history_news;
mod http_routes;
mod incomplete_time;
mod installed_queries;
mod installed_query;
mod kept_frames;
mod known_exports;
mod lease_clock;
mod machine;
mod metric_histogram;
mod misplaced_reports;
mod open_files;
mod options;
#[cfg(test)]
mod placement_tests;
mod process_figures;
mod program_tracepoint;
mod prometheus_sink;
mod prometheus_text;
mod query_definition;
mod query_end;
mod query_owner;
mod query_term;
mod range_coverage;
mod report_figures;
mod report_placement;
#[cfg(test)]
mod restart_tests;
mod restored_backup;
mod restored_query;
mod select;
mod server;
mod server_clock;
mod shared_state;
mod sql;
mod state;
mod state_durability;
mod state_recompilation;
#[cfg(test)]
mod state_tests;
mod store;
mod time_range;
mod tracepoint_index;
mod unheard_agents;
mod unify_column;
mod unreported_windows;
mod unreturned_replies;
mod wanted_advice;
mod wanted_set;
mod window;
mod window_delta;
mod window_groups;
mod windows;

pub use blocking_work::BlockingWork;
pub use error::FrontendError;
pub use history::HistoryOptions;
pub use machine::Machine;
pub use options::FrontendOptions;
pub use server::{RunningFrontend, start, start_over};
pub use sql::SqlLimits;
