//! The wire: generated types and their conversions to the ones that the rest of Pivot works with.
//!
//! ```text
//! Advice, Exports, Value ──▶ wire ──gRPC──▶ wire ──checked──▶ Advice, Exports, Value
//! ```
//!
//! Converting to the wire always succeeds. Converting from it checks everything, because the other
//! side may be of another version, in another language, or hostile.
//!
//! ```
//! use pivot_advice::Value;
//! use pivot_protocol::{from_wire, to_wire};
//!
//! let value = Value::str("dn-1");
//! assert_eq!(from_wire::value(to_wire::value(&value))?, value);
//! # Ok::<(), pivot_protocol::ProtocolError>(())
//! ```

pub mod error;
pub mod from_wire;
pub mod to_wire;

pub use error::ProtocolError;

/// The types and services of `proto/pivot/v1`, as generated.
pub mod wire {
    #![allow(missing_docs, unreachable_pub, clippy::all)]
    tonic::include_proto!("pivot.v1");
}

/// The port where a frontend listens unless told otherwise.
pub const DEFAULT_PORT: u16 = 7468;

/// The largest message that agents, frontends and clients accept, in bytes.
pub const MAX_MESSAGE_BYTES: usize = 64 << 20;
