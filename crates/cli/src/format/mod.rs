//! How unattended runs print results: one module per format, one trait.

mod csv;
mod frame_writer;
mod json;
mod json_value;
mod markdown;
mod ndjson;
mod plain_table;

pub(crate) use frame_writer::{FrameWriter, frame_writer};
