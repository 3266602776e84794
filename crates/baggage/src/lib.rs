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
//! Reading order: [`share`], [`clock`], [`bag`], `instance`, `branch`, [`generation`], [`baggage`], [`cut`],
//! `number`, `part`, `column`, `rows`, `adding`, `table`, `whole`, `section`, `layout`, [`encode`], [`mod@answer`], [`current`],
//! [`future`], [`mod@losses`], [`held`], [`mod@leaks`].

mod adding;
pub mod answer;
pub mod bag;
pub mod baggage;
mod bags;
mod branch;
pub mod clock;
mod column;
pub mod current;
pub mod cut;
pub mod encode;
pub mod ending;
pub mod error;
pub mod fan;
pub mod future;
pub mod generation;
pub mod held;
mod instance;
mod layout;
pub mod leaks;
pub mod losses;
mod number;
mod part;
mod random;
mod rows;
mod section;
pub mod share;
mod slice;
mod sync;
mod table;
pub mod thread;
pub mod traced;
mod whole;
mod wire;

pub use adding::Term;
pub use answer::{Asked, Sent, UNCHANGED};
pub use bag::{Bag, Merged, Slot};
pub use baggage::{Baggage, Joined};
pub use clock::{Hlc, Stamp};
pub use current::{Scope, enter_request, in_request, with_current};
pub use cut::{DEFAULT_BUDGET, HARD_LIMIT, budget_bytes, set_budget_bytes};
pub use encode::MAX_BYTES;
pub use ending::{Ending, carried};
pub use error::BaggageError;
pub use fan::Fan;
pub use future::{Carried, Forked, FutureExt, InBaggage, carried_future, forked};
pub use generation::{carrying, set_carrying};
pub use held::{HeldBack, held_back};
pub use leaks::{Fault, Leak, leaks};
pub use losses::{Losses, losses};
pub use part::Part;
pub use share::Share;
pub use traced::Traced;
pub use whole::{Encoded, Whole};
