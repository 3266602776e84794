//! Compiles queries, weaves them everywhere, merges and streams results.
//!
//! ```text
//! client ─Install─▶ State ─Desired─▶ agents
//!                     ▲                │
//! client ◀─Frame─ frames ◀─windows─ Report
//! ```
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! let listen = ([127, 0, 0, 1], 0).into();
//! let running = pivot_frontend::start(pivot_frontend::Options { listen, ..Default::default() }).await?;
//! assert_ne!(running.address().port(), 0);
//! running.stop().await;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Reading order: `server`, `state`, `registry`, `installed`, `account`, `window`, `frames`, `engine`, `table`,
//! `estimate`, `kernels`, `arrow`, `agents`, `clients`.

mod account;
mod agents;
mod arrow;
mod clients;
mod engine;
mod error;
mod estimate;
mod frames;
mod installed;
mod kernels;
mod registry;
mod server;
mod settling;
mod state;
mod table;
mod window;

pub use error::FrontendError;
pub use server::{Options, Running, start};
