//! The tests of the whole system, and what they are made of.
#![allow(clippy::unwrap_used)]

mod binary;
pub mod fuzz;
pub mod golden;
pub mod oracle;
pub mod random;
pub mod soak;
pub mod source;

pub use binary::pivot_binary;
