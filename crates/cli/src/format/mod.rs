//! How batch runs and `\g file` print results: one file per format, all behind [`FrameWriter`].

mod choose_writer;
mod csv;
mod frame_writer;
mod json;
mod json_value;
mod markdown;
mod ndjson;
mod plain_table;
mod window_file;
mod window_title;

pub(crate) use choose_writer::choose_writer;
pub(crate) use csv::{csv_field, quoted};
pub(crate) use frame_writer::FrameWriter;
pub(crate) use json_value::row as row_object;
pub(crate) use markdown::escaped_markup;
pub(crate) use window_file::{WindowFile, format_of};
