//! Golden files: queries with what the compiler makes of them.

mod run_section;
mod sections;

pub use run_section::results;
pub use sections::{GoldenFile, GoldenSection};
