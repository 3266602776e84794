//! Connects the agent of this process to a frontend, on a thread of its own.
//!
//! ```text
//!  application threads                  thread `pivot-uplink` (single-threaded tokio runtime)
//! ┌───────────────────┐  UplinkCommand ┌─────────────────────────────────────────────┐   gRPC stream
//! │ tracepoints, each │ ─Flush, Leave─▶│ UplinkLoop                                  │──Hello────────▶
//! │ with a table of   │◀── answered ───│   ReportSchedule: drain tables, cut a Report│──Report───────▶
//! │ its own           │                │     each window, enforce processor budgets  │──Woven────────▶
//! │ Uplink (a handle) │◀─ WovenSignal ─│   SentState: what the frontend knows        │◀─Desired───────
//! └───────────────────┘                │   KillSwitch: a file that unweaves all      │◀─acknowledged──
//!                                      └─────────────────────────────────────────────┘
//! ```
//!
//! The application never waits for this thread, except where it asks to: in [`Uplink::wait_until_woven`], in
//! [`Uplink::flush`], for two seconds at most when the [`Uplink`] is dropped, and for half a second when the process ends
//! in another way (`process_end`). The state machine of the connection is drawn in `uplink_loop`.
//!
//! ```
//! let uplink = pivot_uplink::Config::new().process("reader").frontend("http://127.0.0.1:9").start()?;
//! drop(uplink);
//! # Ok::<(), pivot_uplink::UplinkError>(())
//! ```
//!
//! Reading order: [`config`], [`uplink`] (the handle), `uplink_loop`, `window_reporter`, `frontend_clock`, `sent_state`,
//! `connection`, [`uplink_status`], `agent_messages`, `process_end`.

mod agent_messages;
pub mod agent_runtime;
mod build_id;
pub mod config;
mod connection;
pub mod error;
mod frontend_clock;
mod kill_switch;
pub mod machine;
#[cfg(test)]
mod placement_tests;
mod process_agent;
mod process_end;
mod retry_pauses;
mod sent_state;
mod silence;
pub mod uplink;
mod uplink_command;
mod uplink_loop;
pub mod uplink_status;
mod wanted_set;
mod window_reporter;

pub use agent_runtime::{AgentLosses, AgentRuntime, BareMessages, Switch};
pub use config::Config;
pub use error::UplinkError;
pub use machine::Machine;
pub use uplink::Uplink;
pub use uplink_status::UplinkStatus;
