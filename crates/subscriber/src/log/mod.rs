//! Records of the `log` crate.

pub(crate) mod bridge;
pub(crate) mod forwarder;

pub use bridge::{LogBridge, install};
