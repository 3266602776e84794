//! The commonest advice in the form that takes the fewest steps.

mod join;
mod kernel;
pub(crate) mod plan;
mod update;
