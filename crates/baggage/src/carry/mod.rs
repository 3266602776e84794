//! The baggage of the request that runs here: on a thread, in a future, with a message.
//!
//! ```text
//!                            current: the slot of this thread
//!            ┌──────────────────┬──────────┴───────┬──────────────────────┐
//! thread::spawn, carried       Fan          in_baggage, forked          Traced
//! a thread, a closure      a thread pool    a future, each poll      a message, a queue
//!            └────── ending: what a branch leaves when it ends elsewhere ─┘
//! ```

pub mod carried_request;
pub(crate) mod carrier_branch;
pub mod current;
pub mod ending;
pub mod fan;
pub mod future;
pub mod leaks;
pub mod reply_ledger;
pub mod thread;
pub mod traced;
pub mod withheld_counts;
