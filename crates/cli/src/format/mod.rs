//! How unattended runs print results: one module per format, one trait.

mod csv;
mod json;
mod markdown;
mod ndjson;
mod table;
mod value;
mod write;

pub(crate) use write::{Output, output};
