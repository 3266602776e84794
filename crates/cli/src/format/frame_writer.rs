//! The choice of a format, and what each of them does.

use super::csv::CsvWriter;
use super::json::JsonWriter;
use super::markdown::MarkdownWriter;
use super::ndjson::NdjsonWriter;
use super::plain_table::PlainTableWriter;
use crate::arguments::OutputFormat;
use crate::result_frame::ResultFrame;
use crate::table::Paint;
use std::io::{self, Write};

/// Prints frames as they come.
pub(crate) trait FrameWriter: Send {
    /// Prints one window, or a revision of it. Of the last call `frame.last` is set: its rows are
    /// those since install, its window is the whole run.
    fn write_frame(&mut self, out: &mut dyn Write, frame: &ResultFrame) -> io::Result<()>;
}

/// The output of a format. `columns` is the width of the terminal, if it is one.
pub(crate) fn frame_writer(
    format: OutputFormat,
    columns: Option<usize>,
    paint: Paint,
) -> Box<dyn FrameWriter> {
    match format {
        OutputFormat::Table => Box::new(PlainTableWriter { columns, paint }),
        OutputFormat::Json => Box::new(JsonWriter),
        OutputFormat::Ndjson => Box::new(NdjsonWriter),
        OutputFormat::Csv => Box::new(CsvWriter::default()),
        OutputFormat::Md => Box::new(MarkdownWriter),
    }
}
