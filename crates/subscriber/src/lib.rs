//! Every `tracing` span and event, and every `log` record, is a tracepoint.
//!
//! ```text
//! event! ─▶ Bridge ─woven?─▶ agent: target, or target::name
//! span!       │                     target::name@enter, target::name@exit
//! log         └─ as before ─▶ the application's own subscriber
//! ```
//!
//! Wrap the subscriber that the application has; what that one sees and what its disabled callsites
//! cost stays as it was. The README lists the names and fields, and what cannot be seen.
//!
//! ```
//! use pivot_subscriber::Bridge;
//!
//! let own = tracing_core::subscriber::NoSubscriber::default();
//! let dispatch = tracing_core::Dispatch::new(Bridge::new(own));
//! tracing_core::dispatcher::with_default(&dispatch, || {
//!     tracing::info!(target: "doc", bytes = 42, "read");
//! });
//! assert!(pivot_agent::catalogue().iter().any(|exports| exports.tracepoint == "doc"));
//! ```
//!
//! Reading order: [`site`], `hints`, `callsites`, `visit`, `events`, `inside`, `carried`, `spans`,
//! [`mod@requests`], `dispatch`, [`bridge`], [`layer`](mod@layer), [`log`](mod@log).

pub mod bridge;
mod callsites;
mod carried;
mod dispatch;
mod events;
mod hints;
mod inside;
pub mod layer;
pub mod log;
pub mod requests;
pub mod site;
mod spans;
mod visit;

pub use bridge::{AlreadySet, Bridge};
pub use callsites::Carries;
pub use layer::layer;
pub use requests::requests;
pub use site::Site;

/// Makes a subscriber the global one, wrapped: [`Bridge::install`].
pub fn install<S: tracing_core::Subscriber + Send + Sync>(own: S) -> Result<(), AlreadySet> {
    Bridge::new(own).install()
}
