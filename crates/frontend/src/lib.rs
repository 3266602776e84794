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
//! let running = pivot_frontend::start(pivot_frontend::FrontendOptions { listen, ..Default::default() }).await?;
//! assert_ne!(running.address().port(), 0);
//! running.stop().await;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Reading order: `options`, `server`, `state`, `registry`, `convergence`, `installed_query`, `ledger`, `window_groups`, `frames`,
//! `select`, `column_role`, `finished`, `estimate`, `evaluated_rows`, `column_type`, `agents_service`, `clients_service`.

mod agents_service;
mod clients_service;
mod column_role;
mod column_type;
mod convergence;
mod error;
mod estimate;
mod evaluated_rows;
mod finished;
mod frames;
mod installed_query;
mod ledger;
mod options;
mod registry;
mod select;
mod server;
mod state;
mod window_groups;

pub use error::FrontendError;
pub use options::FrontendOptions;
pub use server::{RunningFrontend, start};
