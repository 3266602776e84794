//! Every `tracing` span and event, and every `log` record, is a tracepoint.
//!
//! ```text
//! event! ─▶ Bridge ─woven?─▶ agent: target, or target::name
//! span!       │                     target::name@enter, target::name@exit
//! log         └─ as before ─▶ the application's own subscriber
//! ```
//!
//! Wrap the subscriber that the application has, [`install`] makes it the global one; what that one sees
//! and what its disabled callsites cost stays as it was. Who composes layers by hand and cannot wrap
//! adds [`fn@layer`], which costs other layers a little.
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
//! # Names and fields
//!
//! | what | tracepoint | fields besides its own |
//! |---|---|---|
//! | event | `target`, or `target::name` if it was given a name | `message`, `level`, `target`, `file`, `line` |
//! | span | `target::name@enter`, when it is made | `level`, `target`, `file`, `line` |
//! | | `target::name@exit`, when it is closed | the same, `elapsed`, `busy` while entered, `idle` |
//! | record of `log` | `target::log` | `message`, `level`, `target`, `module`, `file`, `line` |
//!
//! The module path is the target unless the program says otherwise. Events without a name share one
//! tracepoint with all others of their target: tell them apart by `message` or `line`; a field that
//! one of them lacks is null there. A condition on `level`, `target`, `file` or `line` alone is decided as
//! advice is woven: callsites that it rules out stay as they are.
//!
//! # Requests
//!
//! OpenSpans that carry a request take it along wherever they are entered: over `.instrument(span)` into
//! tasks, over `Span::current()` into the threads of a pool. From the start those of the usual servers
//! do, see [`is_request_span`]; [`Bridge::carriers`] says which others. Who wants to follow requests into
//! other processes needs `pivot::propagate` as well.
//!
//! # What cannot be seen
//!
//! * A callsite is known once it was reached: code that has not run is not in the catalogue. A query
//!   that names it stays pending, and is woven when it is.
//! * Features such as `release_max_level_info` of `tracing` and `log`, also when a dependency turns them
//!   on, take callsites out of the program. Nothing can bring them back; [`install`] warns of it.
//! * What is logged with `?` or `%` is text, also if it was a number. EXPLAIN names what a query adds up
//!   without knowing its type; `CAST(q.elapsed AS duration)` reads durations.
//! * Code behind `enabled!` or `log_enabled!` runs when it is asked the first time, so that its callsites
//!   become known, and while one of them is woven.
//! * Of a span that began before its end was woven the end is no event.
//! * Who shares a span works for it: workers of a pool enter the span in which the work was ordered, and
//!   answer before they leave. So at each woven event in there, all that was done in there before
//!   happened before. Tasks that shall not see each other need a request's span each, or `pivot::spawn`.
//! * `hyper` has callsites under `--cfg hyper_unstable_tracing` only; `hyper-util` and `h2` always.
//!
//! Reading order: `callsite`, `field_visitor`, `fire`, `span`, [`bridge`], [`layer`](mod@layer), [`log`](mod@log).

pub mod bridge;
mod callsite;
mod field_visitor;
mod fire;
pub mod layer;
pub mod log;
mod span;

pub use bridge::{AlreadySet, Bridge};
pub use callsite::cache::IsCarrier;
pub use callsite::tracepoints::CallsiteTracepoints;
pub use layer::layer;
pub use span::request_spans::is_request_span;

/// Makes a subscriber the global one, wrapped: [`Bridge::install`].
pub fn install<S: tracing_core::Subscriber + Send + Sync>(own: S) -> Result<(), AlreadySet> {
    Bridge::new(own).install()
}
