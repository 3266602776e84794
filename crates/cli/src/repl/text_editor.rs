//! What leaves the REPL: an editor for a statement, a file for the windows of a query.

use crate::arguments::OutputFormat;
use crate::error::CliError;
use crate::format::{FrameWriter, frame_writer};
use crate::result_frame::ResultFrame;
use crate::table::Paint;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Lets a person edit a text in `$VISUAL` or `$EDITOR`, else `vi`. None if it was left as it was.
pub(super) fn edit(text: &str) -> Result<Option<String>, CliError> {
    let path = std::env::temp_dir().join(format!("pivot-{}.pivot", std::process::id()));
    // A leftover of an earlier process of this number is not ours to keep.
    let _ = std::fs::remove_file(&path);
    File::options().write(true).create_new(true).mode(0o600).open(&path)?.write_all(text.as_bytes())?;
    let edited = edit_file(&path).and_then(|()| read(&path));
    let _ = std::fs::remove_file(&path);
    Ok(Some(edited?).filter(|edited| edited.trim() != text.trim()))
}

/// Opens a file in the editor, and waits until it is closed.
pub(super) fn edit_file(path: &Path) -> Result<(), CliError> {
    let named = ["VISUAL", "EDITOR"].iter().find_map(|name| std::env::var(name).ok());
    let editor = named.filter(|editor| !editor.trim().is_empty()).unwrap_or_else(|| "vi".to_owned());
    // The variable may hold arguments, so a shell takes it apart; the path stays whole.
    let status = Command::new("sh").arg("-c").arg(format!("{editor} \"$1\"")).arg("sh").arg(path).status()?;
    match status.success() {
        true => Ok(()),
        false => Err(CliError::Command(format!("`{editor}` failed: {status}"))),
    }
}

fn read(path: &Path) -> Result<String, CliError> {
    std::fs::read_to_string(path).map_err(|source| CliError::File { path: path.to_owned(), source })
}

/// A file that gets the windows of a query as they come, in the format that its ending says.
pub(crate) struct WindowFile {
    path: PathBuf,
    file: BufWriter<File>,
    output: Box<dyn FrameWriter>,
    windows: u64,
}

impl WindowFile {
    /// Creates the file, or empties it.
    pub(super) fn create(path: &Path) -> Result<WindowFile, CliError> {
        let format = match path.extension().and_then(|ending| ending.to_str()) {
            Some("json") => OutputFormat::Json,
            Some("ndjson" | "jsonl") => OutputFormat::Ndjson,
            Some("csv") => OutputFormat::Csv,
            Some("md") => OutputFormat::Md,
            _ => OutputFormat::Table,
        };
        let failed = |source| CliError::File { path: path.to_owned(), source };
        let file = BufWriter::new(File::create(path).map_err(failed)?);
        Ok(WindowFile {
            path: path.to_owned(),
            file,
            output: frame_writer(format, None, Paint::Plain),
            windows: 0,
        })
    }

    /// Writes a window.
    pub(crate) fn take(&mut self, frame: &ResultFrame) -> io::Result<()> {
        if frame.has_window() {
            self.windows += 1;
            self.output.write_frame(&mut self.file, &ResultFrame { last: false, ..frame.clone() })?;
        }
        self.file.flush()
    }

    /// What was written, in words.
    pub(super) fn summary(&self) -> String {
        format!("{} in {}", crate::text::count(self.windows, "window"), self.path.display())
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
            let mut tee = WindowFile::create(&path).unwrap();
            tee.take(&frame).unwrap();
            assert!(tee.summary().starts_with("1 window in "));
            assert!(std::fs::read_to_string(&path).unwrap().starts_with(begins), "{ending}");
            std::fs::remove_file(path).unwrap();
        };
        check("csv", "window_start,");
        check("ndjson", "{\"query\":0,\"window\"");
        check("md", "### query 0");
        check("txt", "query 0, ");
    }
}
