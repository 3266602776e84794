//! The bytes in which the baggage of a branch travels; those of its bags are in `bags`.
//!
//! ```text
//! bags ─┬─▶ encode ─▶ bytes within a limit, if need be cut ─▶ decode ─▶ bags, decoded when needed
//!       └─▶ reply: leaves out what came with its request
//! ```

pub(crate) mod bags;
pub mod call_tag;
pub(crate) mod cut;
mod decode;
mod encode;
pub mod envelope;
pub(crate) mod message_budget;
mod protobuf;
pub(crate) mod query_byte_budgets;
pub mod reply;
pub(crate) mod request_snapshot;
pub(crate) mod shared_bytes;
