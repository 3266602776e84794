//! Who has seen what: the share of a branch, its clock, and what branches hold in common.

pub(crate) mod branch;
pub mod clock;
pub(crate) mod instance;
mod random;
pub mod request_generation;
pub mod share;
