//! Call sites: what an application writes, and what of it queries see.

pub mod catalogue;
pub mod declaration;
pub mod default_field;
pub mod export;
pub mod fields;
pub mod formatted;
pub mod function;
pub mod identity;
mod macros;
pub mod tracepoint;
