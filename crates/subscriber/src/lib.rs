//! Every `tracing` span and event, and every `log` record, is a tracepoint.
//!
//! ```text
//!  event!  span!            ┌─ woven? ─▶ agent:  target, target::name, target::name@enter, @exit
//!        │                  │
//!        ▼                  │
//!  callsite on? ─▶ Bridge ──┤                      target::log ◀─ LogBridge ◀─ log record
//!        ▲                  │                                         │
//!  interest cache           └─ as before ─▶ the application's own subscriber, or logger
//!        ▲
//!  interest_rebuild ◀─ weaving has changed
//! ```
//!
//! Wrap the subscriber that the application has in [`SubscriberBridge`]; [`install`] makes it the global one. What
//! that subscriber sees, and what its disabled callsites cost, stays as it was. Applications that compose
//! layers by hand and cannot wrap add [`fn@layer`], which costs other layers a little.
//!
//! Programs that log with `log` while their libraries use `tracing` call [`log::install_with_tracing`] with their
//! logger: it keeps all its lines. (Any `tracing` subscriber alone would take those of the libraries from it.)
//!
//! ```
//! use pivot_subscriber::SubscriberBridge;
//!
//! let own = tracing_core::subscriber::NoSubscriber::default();
//! let dispatch = tracing_core::Dispatch::new(SubscriberBridge::new(own));
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
//! | records of further targets of `log` | `log::other` | the same |
//!
//! The module path is the target unless the program says otherwise. Events without a name share one
//! tracepoint with all others of their target: tell them apart by `message` or `line`. A field that
//! one of them lacks is null there. An own field that is called like one of every tracepoint, as `host`,
//! `time` or `request`, has `field.` before its name: `e.host` is the machine, `e."field.host"` what the program says. A condition on `level`, `target`, `file` or `line` alone is decided
//! when advice is woven: callsites that it rules out stay as they are.
//!
//! # Requests
//!
//! A span that is a *carrier* takes its request along wherever it is entered: over `.instrument(span)` into
//! tasks, over `Span::current()` into the threads of a pool. The spans that the usual servers open for a
//! request are carriers, see [`is_request_span`]; [`SubscriberBridge::carriers`] sets others, and operators
//! name more in the environment, `PIVOT_CARRIERS='app::*::http_request, tower_http::**'`, or at the prompt, with `\carriers`.
//! To follow requests into other processes, add `pivot::propagate`.
//!
//! A span that is made in a request, by a carrier or otherwise, takes it to whatever task it is entered in
//! first: `tokio::spawn(work.instrument(info_span!("child")))` works for the request, in a branch that joins when
//! the span is closed. A thread that is in a request stays in that, whatever span it enters.
//!
//! A request that began with a carrier has been answered when whoever entered the carrier first, a task of tokio
//! or a thread, has left it and drops its handle. What others do in there later is counted as *after the answer*.
//! [`fn@layer`] is not told of handles: there it is when the carrier is closed.
//!
//! # What cannot be seen
//!
//! * A callsite is known once it was reached: code that has not run is not in the catalogue. A query
//!   that names it stays pending, and is woven when it is.
//! * Features such as `release_max_level_info` of `tracing` and `log`, also when a dependency turns them
//!   on, take callsites out of the program. Nothing can bring them back; [`install`] warns of it.
//! * What is logged with `?` or `%` is text, also if it was a number. EXPLAIN names what a query adds up
//!   without knowing its type; `CAST(q.elapsed AS duration)` reads durations.
//! * Code behind `enabled!` or `log_enabled!` runs when the check is made the first time, so that its
//!   callsites become known. Later it runs for the events that a query looks at, and its time is part of the
//!   query's budget (at most 10 ms for one event), as is that of evaluating the fields of an event. Behind
//!   [`fn@layer`] it runs for all events while one is woven, and no budget covers that.
//! * The fields of a span that is made because advice is woven are evaluated for all requests, also while a query is
//!   throttled: the span may be entered anywhere before its end. So are those formatted that advice at the end
//!   observes. What both take is part of the query's budget, so a query rests if it is too dear. Behind
//!   [`fn@layer`] that is so for formatting alone.
//! * The arguments of `log::debug!` are evaluated wherever the level admits the record: `log` asks no logger before, and
//!   has one level for all targets. So they are, and no budget covers that, while a query is woven at records of any
//!   target, up to the level that it may want. A condition such as `r.level = 'INFO'` keeps it at that; what is behind
//!   `log_enabled!` is evaluated for the records alone that a query looks at.
//! * Records of `log` beyond the level that the application has set with `log::set_max_level` cost nothing while
//!   nobody wants them. Their targets become known in short bursts, one each second, so a rare one among many
//!   may take a while.
//! * A program can make targets of `log` as it runs. A thousand have tracepoints of their own, and paths of modules;
//!   records of all others are events of `log::other`. So are callsites of `tracing` beyond twenty thousand events of
//!   `tracing::other`, without fields of their own.
//! * The end of a span that began before the end was woven is no event.
//! * Threads that share a span work for its request: workers of a pool enter the span in which the work was
//!   ordered, and answer before they leave. So at each woven event in there, all that was done in there
//!   before happened before. Tasks that must not see each other need a carrier each, or `pivot::spawn`.
//! * A span that the application's filter disables carries nothing, unless it is a carrier. Nor does a task
//!   without a span: `tokio::spawn(async { .. })` alone is outside of the request.
//! * `hyper` has callsites under `--cfg hyper_unstable_tracing` only; `hyper-util` and `h2` always.
//!
//! Reading order: `callsite` (begin with `interest_rebuild`), `field_visitor`, `fire`, `span`, [`subscriber_bridge`],
//! [`layer`](mod@layer), [`log`](mod@log).

mod callsite;
mod field_visitor;
mod fire;
pub mod layer;
pub mod log;
mod span;
pub mod subscriber_bridge;

pub use callsite::cache::IsCarrier;
pub use callsite::tracepoints::CallsiteTracepoints;
pub use layer::layer;
pub use span::server_spans::is_request_span;
pub use subscriber_bridge::{AlreadySet, SubscriberBridge};

/// Wraps the application's subscriber and makes it the global one: [`SubscriberBridge::install`].
pub fn install<S: tracing_core::Subscriber + Send + Sync>(own: S) -> Result<(), AlreadySet> {
    SubscriberBridge::new(own).install()
}
