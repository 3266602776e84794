//! Who has seen what: shares of a request, its clock, its branches and what they hold in common.

pub(crate) mod branch;
pub(crate) mod budget;
pub mod clock;
pub mod generation;
pub(crate) mod instance;
mod random;
pub mod share;
