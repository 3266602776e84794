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
//! Reading order: [`share`], [`clock`], [`bag`], `branch`, [`baggage`], [`encode`], [`current`],
//! [`future`], [`mod@losses`].

pub mod bag;
pub mod baggage;
mod bags;
mod branch;
pub mod clock;
pub mod current;
pub mod encode;
pub mod error;
pub mod future;
pub mod losses;
mod random;
pub mod share;
mod wire;

pub use bag::{Bag, Merged, Slot};
pub use baggage::{Baggage, Joined, carrying, set_carrying};
pub use clock::{Hlc, Stamp};
pub use current::{Scope, enter_request, in_request, with_current};
pub use encode::{HARD_LIMIT, MAX_BYTES};
pub use error::BaggageError;
pub use future::{Forked, FutureExt, InBaggage, forked};
pub use losses::{Losses, losses};
pub use share::Share;
