//! Golden files: queries with what the compiler makes of them.

mod requests;
mod sections;

pub use requests::results;
pub use sections::{Golden, Section};
