//! Baggage: the tuples that queries pack travel with a request, and are unpacked by whatever happens after.
//!
//! ```text
//! event ─pack─▶ Baggage ─fork─┬─▶ Baggage ──────────────────────────────────┬─join─▶ Baggage ─unpack─▶ event
//!                             └─▶ Baggage ─encode─▶ bytes ─decode─▶ Baggage ┘
//! ```
//!
//! What an event unpacks is exactly what the events before it in the same request packed, each contribution
//! once, whatever the shape of the request: threads, tasks, calls to other processes, messages, retries.
//! Where something is lost on the way, the result is marked partial and the loss is counted.
//!
//! ```
//! use pivot_advice::{BagKey, Groups, TemporalFilter, QueryId, Value};
//! use pivot_baggage::Baggage;
//!
//! // Stage 1 of query 7 groups by host, and keeps all rows.
//! let bag = BagKey { query: QueryId::new(0, 7), stage: 1 };
//! let row = |host: &str| {
//!     let mut rows = Groups::new(1, &[]);
//!     rows.entry(&[Value::str(host)]).n = 1;
//!     rows
//! };
//!
//! let mut client = Baggage::new();
//! client.pack(bag, TemporalFilter::All, [row("client")]);
//!
//! // A call: a fork travels to the server, and comes back with what was packed there.
//! let mut server = Baggage::decode(&client.fork().encode())?;
//! server.pack(bag, TemporalFilter::All, [row("server")]);
//! assert_eq!(client.unpack(bag).map(|rows| rows.len()), Some(1));
//! client.join(Baggage::decode(&server.encode())?);
//! assert_eq!(client.unpack(bag).map(|rows| rows.len()), Some(2));
//! # Ok::<(), pivot_baggage::BaggageError>(())
//! ```
//!
//! The front door is [`Baggage`]; code that is not about baggage never sees it, and goes through [`current`],
//! which keeps the baggage of the running request. The files, in the order to read them:
//!
//! - `baggage.rs`, `pack.rs`, `unpack.rs`: what can be done with the baggage of a branch.
//! - `causality/`: who has seen what. `share.rs` (the part of the request that a branch owns), `branch.rs`
//!   (fork, join, and why each contribution counts once), `instance.rs` (what branches hold in common),
//!   `clock.rs`, `generation.rs`.
//! - `format/`: bytes. In `bags/`: `bag_codec.rs` (the bytes of a bag), `grouped_bag.rs` (rows are added to
//!   bytes), `lazy_bag.rs` (decoded when needed). `envelope.rs` (the bytes of a branch), `message_budget.rs`,
//!   `cut.rs` (what is
//!   left behind), `reply.rs` (calls).
//! - `carry/`: the baggage of the request that runs here. `current.rs` (of a thread), `future.rs`,
//!   `ending.rs` (of a branch that ends elsewhere), `thread.rs`, `fan.rs`, `traced.rs` (messages),
//!   `carried_request.rs` (of a span), `leaks.rs`, `withheld_counts.rs`, `reply_ledger.rs`.
//! - `losses.rs` (what was lost, by cause), `error.rs` (why bytes were refused).

pub mod baggage;
mod carry;
mod causality;
pub mod error;
mod format;
pub mod losses;
mod pack;
mod sync;
mod unpack;

pub use baggage::{Baggage, JoinOutcome};
pub use carry::carried_request::{self, CarriedRequest};
pub use carry::current::{self, RequestScope, enter_request, in_request, request_id, with_current};
pub use carry::ending::{self, BranchEnding, carried};
pub use carry::fan::{self, Fan};
pub use carry::future::{self, CarriedFuture, ForkedFuture, FutureExt, InBaggage, carried_future, forked};
pub use carry::leaks::{self, Leak, LeakKind, leaks};
pub use carry::reply_ledger;
pub use carry::thread;
pub use carry::traced::{self, Traced};
pub use carry::withheld_counts::{self, WithheldMessages, withheld_messages};
pub use causality::clock::{self, Hlc, Stamp};
pub use causality::request_generation::{self, is_carrying, set_carrying};
pub use causality::share::{self, Share};
pub use error::BaggageError;
pub use format::bags::bag::{self, Bag, ChosenTuple, MergeOutcome};
pub use format::bags::bag_rows::{BagRows, CheckedRows};
pub use format::bags::encoded_states::AddedNumber;
pub use format::bags::value::ValueRef;
pub use format::call_tag::{self, CallTag};
pub use format::envelope::{self, MAX_BYTES};
pub use format::message_budget::{DEFAULT_BUDGET, HARD_LIMIT, budget_bytes, set_budget_bytes};
pub use format::query_byte_budgets::set_query_budgets;
pub use format::reply::{self, PendingReply, UNCHANGED_REPLY};
pub use format::request_snapshot::RequestSnapshot;
pub use losses::{Losses, losses};
