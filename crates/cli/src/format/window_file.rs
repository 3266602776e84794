//! A file that gets the windows of a query as they come (`\g file`).

use super::choose_writer::choose_writer;
use super::frame_writer::FrameWriter;
use crate::arguments::OutputFormat;
use crate::error::CliError;
use crate::humanize::count;
use crate::result_frame::ResultFrame;
use crate::table::StyleMode;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// An open file for windows, in the format that its ending says.
pub(crate) struct WindowFile {
    path: PathBuf,
    file: BufWriter<File>,
    writer: Box<dyn FrameWriter>,
    windows: u64,
}

/// Returns the format that the ending of a file says.
pub(crate) fn format_of(path: &Path) -> OutputFormat {
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("json") => OutputFormat::Json,
        Some("ndjson" | "jsonl") => OutputFormat::Ndjson,
        Some("csv") => OutputFormat::Csv,
        Some("md") => OutputFormat::Md,
        // An unknown ending is most likely that of a text for people.
        _ => OutputFormat::Table,
    }
}

impl WindowFile {
    /// Creates the file, or empties it.
    pub(crate) fn create(path: &Path) -> Result<WindowFile, CliError> {
        let file =
            File::create(path).map_err(|source| CliError::ReadFile { path: path.to_owned(), source })?;

        Ok(WindowFile {
            path: path.to_owned(),
            file: BufWriter::new(file),
            writer: choose_writer(format_of(path), None, StyleMode::Plain),
            windows: 0,
        })
    }

    /// Writes the window of a frame, and nothing for a frame that only ends the stream.
    pub(crate) fn write_window(&mut self, frame: &ResultFrame) -> io::Result<()> {
        if frame.has_window() {
            self.windows += 1;
            // A last frame may carry a window as well, which is one like any other.
            self.writer.write_frame(&mut self.file, &ResultFrame { last: false, ..frame.clone() })?;
        }
        // Whoever follows the file sees each window when it closes.
        self.file.flush()
    }

    /// Returns what was written, in words.
    pub(crate) fn summary(&self) -> String {
        format!("{} in {}", count(self.windows, "window"), self.path.display())
    }
}

impl std::fmt::Debug for WindowFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WindowFile")
            .field("path", &self.path)
            .field("windows", &self.windows)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::result_frame::FrameColumn;
    use pivot_advice::{Type, Value};

    #[test]
    fn the_ending_of_a_file_says_its_format() {
        let frame = ResultFrame {
            end_ns: 1,
            columns: vec![FrameColumn::exact("COUNT", Type::U64)],
            rows: vec![vec![Value::U64(5)].into()],
            ..ResultFrame::default()
        };
        let check = |ending: &str, begins: &str| {
            let path = std::env::temp_dir().join(format!("pivot-tee-{}.{ending}", std::process::id()));
            let mut file = WindowFile::create(&path).unwrap();
            file.write_window(&frame).unwrap();
            assert!(file.summary().starts_with("1 window in "));
            assert!(std::fs::read_to_string(&path).unwrap().starts_with(begins), "{ending}");
            std::fs::remove_file(path).unwrap();
        };
        check("csv", "window_start,");
        check("ndjson", "{\"query\":0,\"window\"");
        check("md", "### query 0");
        check("txt", "query 0, ");
    }
}
