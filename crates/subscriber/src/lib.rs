//! Every `tracing` span and event, and every `log` record, is a tracepoint.
//!
//! ```text
//! event! ─▶ PivotSubscriber ─woven?─▶ agent: target::name
//! span!         │                            target::name@enter, target::name@exit
//!               └─ as before ─▶ the application's own subscriber
//! ```
//!
//! Wrap the subscriber that the application has; what that one sees and what its disabled callsites
//! cost stays as it was. A callsite becomes known when it is first reached, so code that has not run
//! yet is not in the catalogue. Levels that were compiled out (`release_max_level_*`) are not there.
//!
//! ```
//! use pivot_subscriber::PivotSubscriber;
//!
//! let own = tracing_core::subscriber::NoSubscriber::default();
//! let dispatch = tracing_core::Dispatch::new(PivotSubscriber::new(own));
//! tracing_core::dispatcher::with_default(&dispatch, || {
//!     tracing::info!(target: "doc", bytes = 42, "read");
//! });
//! assert!(pivot_agent::catalogue().iter().any(|exports| exports.tracepoint.starts_with("doc::")));
//! ```
//!
//! Reading order: [`site`], `visit`, `spans`, [`subscriber`], [`log`](mod@log).

pub mod log;
pub mod site;
mod spans;
pub mod subscriber;
mod visit;

pub use site::Site;
pub use subscriber::{AlreadySet, PivotSubscriber, install};
