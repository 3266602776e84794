//! From the name of a format to its writer.

use super::csv::CsvWriter;
use super::frame_writer::FrameWriter;
use super::json::JsonWriter;
use super::markdown::MarkdownWriter;
use super::ndjson::NdjsonWriter;
use super::plain_table::TableWriter;
use crate::arguments::OutputFormat;
use crate::table::StyleMode;

/// Returns the writer of a format. `columns` is the width of the terminal, or `None` if the output is none.
pub(crate) fn choose_writer(
    format: OutputFormat,
    columns: Option<usize>,
    paint: StyleMode,
) -> Box<dyn FrameWriter> {
    match format {
        OutputFormat::Table => Box::new(TableWriter { columns, paint }),
        OutputFormat::Json => Box::new(JsonWriter),
        OutputFormat::Ndjson => Box::new(NdjsonWriter),
        OutputFormat::Csv => Box::new(CsvWriter::default()),
        OutputFormat::Md => Box::new(MarkdownWriter),
    }
}
