//! The tests of the whole system, and what they are made of.
//!
//! The tests are the files beside `src`, one for each question; `Cargo.toml` lists them. This library is what several
//! of them share:
//!
//! ```text
//! random cases     oracle ── a second implementation of the language ──▶ oracle.rs, answers.rs
//! written cases    golden ── tests/golden/*.golden ────────────────────▶ golden.rs, optimizer.rs
//! damage           fuzz ──── queries and messages, nearly right ───────▶ damaged_queries.rs, damaged_messages.rs
//! load             soak ──── requests for as long as one likes ────────▶ soak.rs, agent_soak.rs
//! processes        pivot_binary, ServerProcess, TestFrontend, PlayedAgent ──▶ cluster.rs, durable.rs, lease.rs, backlog.rs
//!                  CountedAgent, ShiftedClock, TcpProxy ────────────────▶ clocks.rs, faults.rs
//! everything       simulation/ ── all of it in one thread, by seed ────▶ simulation
//! the repository   source ── reads Rust without compiling it ──────────▶ tidy, the binary `readability`
//! ```
//!
//! Nothing depends on this package. Tests of one crate alone are in that crate.
#![allow(clippy::unwrap_used)]

mod binary;
mod counted_agent;
mod environment_variable;
mod frontend;
pub mod fuzz;
pub mod golden;
pub mod oracle;
mod played_agent;
pub mod random;
mod server_process;
mod shifted_clock;
pub mod soak;
pub mod source;
mod tcp_proxy;
mod time;

pub use binary::pivot_binary;
pub use counted_agent::CountedAgent;
pub use environment_variable::number_setting;
pub use frontend::TestFrontend;
pub use played_agent::{PlayedAgent, ReportWindow};
pub use server_process::ServerProcess;
pub use shifted_clock::ShiftedClock;
pub use tcp_proxy::{Line, TcpProxy};
pub use time::{PATIENCE, SECOND_NS, now_ns};
