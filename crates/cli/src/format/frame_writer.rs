//! The choice of a format, and what each of them does.

use super::csv::Csv;
use super::json::Json;
use super::markdown::Markdown;
use super::ndjson::Ndjson;
use super::plain_table::Tables;
use crate::arguments::Format;
use crate::result_frame::Frame;
use crate::table::Paint;
use std::io::{self, Write};

/// Prints frames as they come.
pub(crate) trait Output: Send {
    /// Prints one window, or a revision of it. Of the last call `frame.last` is set: its rows are
    /// those since install, its window is the whole run.
    fn frame(&mut self, out: &mut dyn Write, frame: &Frame) -> io::Result<()>;
}

/// The output of a format. `columns` is the width of the terminal, if it is one.
pub(crate) fn output(format: Format, columns: Option<usize>, paint: Paint) -> Box<dyn Output> {
    match format {
        Format::Table => Box::new(Tables { columns, paint }),
        Format::Json => Box::new(Json),
        Format::Ndjson => Box::new(Ndjson),
        Format::Csv => Box::new(Csv::default()),
        Format::Md => Box::new(Markdown),
    }
}
