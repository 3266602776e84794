//! Records of the `log` crate.
//!
//! ```text
//! log::info! ─▶ LogBridge ─▶ tracepoint target::log
//!                   └──────▶ the application's logger, or LogForwarder ─▶ its `tracing` subscriber
//! ```

pub(crate) mod bridge;
pub(crate) mod to_tracing;

pub use bridge::{LogBridge, install};
