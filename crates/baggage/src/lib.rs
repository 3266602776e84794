//! Tuples travelling with a request.
//!
//! ```text
//! event ─pack─▶ Baggage ─fork─┬─▶ Baggage ──────────────────────────────────┬─join─▶ Baggage ─unpack─▶ event
//!                             └─▶ Baggage ─encode─▶ bytes ─decode─▶ Baggage ┘
//! ```
//!
//! What an event unpacks is exactly what the events before it in the same request packed, each
//! contribution once, whatever the shape of the request.
//!
//! ```
//! use pivot_advice::{BagKey, Groups, Keep, QueryId, Value};
//! use pivot_baggage::Baggage;
//!
//! let bag = BagKey { query: QueryId::new(0, 7), stage: 1 };
//! let row = |host: &str| {
//!     let mut rows = Groups::new(1, &[]);
//!     rows.entry(&[Value::str(host)]).n = 1;
//!     rows
//! };
//!
//! let mut client = Baggage::new();
//! client.pack(bag, Keep::All, [row("client")]);
//! let mut server = Baggage::decode(&client.fork().encode())?;
//! server.pack(bag, Keep::All, [row("server")]);
//! assert_eq!(client.unpack(bag).map(|rows| rows.len()), Some(1));
//! client.join(Baggage::decode(&server.encode())?);
//! assert_eq!(client.unpack(bag).map(|rows| rows.len()), Some(2));
//! # Ok::<(), pivot_baggage::BaggageError>(())
//! ```
//!
//! Reading order: `causality` (shares, the clock, branches), `format` (bags, the envelope, replies), [`baggage`],
//! `carry` (threads, futures, messages).

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
pub use carry::current::{self, RequestScope, enter_request, in_request, with_current};
pub use carry::ending::{self, Ending, carried};
pub use carry::fan::{self, Fan};
pub use carry::future::{self, CarriedFuture, Forked, FutureExt, InBaggage, carried_future, forked};
pub use carry::leaks::{self, Leak, LeakKind, leaks};
pub use carry::thread;
pub use carry::traced::{self, Traced};
pub use carry::withheld::{self, WithheldMessages, withheld_messages};
pub use causality::budget::{DEFAULT_BUDGET, HARD_LIMIT, budget_bytes, set_budget_bytes};
pub use causality::clock::{self, Hlc, Stamp};
pub use causality::generation::{self, is_carrying, set_carrying};
pub use causality::share::{self, Share};
pub use error::BaggageError;
pub use format::bag::{self, Bag, ChosenTuple, MergeOutcome};
pub use format::complete_rows::{CheckedRows, CompleteRows};
pub use format::encoded_states::Summand;
pub use format::envelope::{self, MAX_BYTES};
pub use format::reply::{self, PendingReply, UNCHANGED_REPLY};
pub use format::request_snapshot::RequestSnapshot;
pub use format::value::ValueRef;
pub use losses::{Losses, losses};
