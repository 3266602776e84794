//! The oracle's own form of a query: as data, as text for the compiler, and its regular expressions.
//!
//! It shares no type with the compiler under test, so that a misreading there is not repeated here.

pub(crate) mod calendar;
mod print;
pub(crate) mod query;
pub(crate) mod regex;

pub(crate) use print::aggregate_name;
