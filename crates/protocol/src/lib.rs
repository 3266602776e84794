//! The wire protocol: types generated of `proto/pivot/v1`, and conversions to those of the rest of Pivot.
//!
//! ```text
//! Advice, Exports, Value, .. ──to_wire──▶ wire ──gRPC──▶ wire ──from_wire──▶ Advice, Exports, Value, ..
//!                         always succeeds                    checks everything
//! ```
//!
//! The other side may be of another version, in another language, or hostile, so everything that arrives is checked
//! for its form: that a message says one thing. Whether an advice makes sense is for the agent's verifier.
//!
//! The proto files have the documentation of the messages: `advice.proto` (values, expressions, instructions),
//! `agents.proto` (agent and frontend), `frontend.proto` (clients and frontend) and `baggage.proto` (baggage, whose
//! codec is in `pivot-baggage`).
//!
//! ```
//! use pivot_advice::Value;
//! use pivot_protocol::{from_wire, to_wire};
//!
//! let value = Value::str("dn-1");
//! assert_eq!(from_wire::value(to_wire::value(&value))?, value);
//! # Ok::<(), pivot_protocol::ProtocolError>(())
//! ```

pub mod clocks;
pub mod error;
pub mod from_wire;
pub mod frontend_address;
pub mod steady_clock;
pub mod to_wire;

pub use clocks::{Clocks, SystemClocks};
pub use error::ProtocolError;
pub use frontend_address::{FrontendAddressError, check_frontend_address};
pub use steady_clock::steady_ns;

/// The types and services of `proto/pivot/v1`. After a change there, `cargo run -p pivot-protocol-generator` writes
/// them anew.
pub mod wire {
    #![allow(missing_docs, unreachable_pub, clippy::all)]
    include!("generated/pivot.v1.rs");
}

/// The descriptions of all messages and services, encoded, for those who ask a frontend what it can do.
pub const FILE_DESCRIPTORS: &[u8] = include_bytes!("generated/pivot.v1.bin");

/// The port where a frontend listens unless told otherwise.
pub const DEFAULT_PORT: u16 = 7468;

/// The largest message that agents, frontends and clients accept, in bytes.
pub const MAX_MESSAGE_BYTES: usize = 64 << 20;

/// The name of the metadata of an error by which a frontend says that it stops, and does not fail.
pub const STOPPING: &str = "pivot-stopping";
