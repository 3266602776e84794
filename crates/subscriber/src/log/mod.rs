//! Records of the `log` crate.
//!
//! ```text
//! log::info! ─ level ─▶ LogBridge ─▶ tracepoint target::log
//!                          └───────▶ the application's logger, or LogForwarder ─▶ its `tracing` subscriber
//!
//! tracing::info! ─▶ SubscriberBridge ─▶ LoggingSubscriber ─▶ the logger of an application that only logs
//! ```

pub(crate) mod bridge;
pub mod from_tracing;
pub(crate) mod level;
pub(crate) mod targets;
pub(crate) mod to_tracing;
pub(crate) mod with_tracing;

pub use bridge::{LogBridge, install};
pub use from_tracing::LoggingSubscriber;
pub use with_tracing::{LogInstallError, install_with_tracing};
