//! `pivot fmt`: files of queries in their canonical layout.

use crate::arguments::FmtArguments;
use crate::diagnostic_text;
use crate::error::CliError;
use crate::table::Paint;
use std::io::{self, Read, Write};
use std::path::Path;

/// Lines of diagnostics are not cut for a file or a pipe, within reason.
const WIDE: usize = 160;

/// Lays out the files in place, or standard input to standard output. With `--check` nothing is
/// written, and a file that would change is an error.
pub(crate) fn run(options: &FmtArguments) -> Result<(), CliError> {
    if options.files.is_empty() {
        let mut text = String::new();
        io::stdin().lock().read_to_string(&mut text)?;
        let laid_out = laid_out(&text, "stdin")?;
        io::stdout().lock().write_all(laid_out.as_bytes())?;
        return Ok(());
    }
    let mut differing = Vec::new();
    for path in &options.files {
        if !file(path, options.check)? {
            differing.push(path.display().to_string());
        }
    }
    match differing.is_empty() {
        true => Ok(()),
        false => Err(CliError::Layout(differing.join(", "))),
    }
}

/// Lays out a file; false if it would change and is not to be written.
fn file(path: &Path, check: bool) -> Result<bool, CliError> {
    let failed = |source| CliError::File { path: path.to_owned(), source };
    let text = std::fs::read_to_string(path).map_err(failed)?;
    let laid_out = laid_out(&text, &path.display().to_string())?;
    if laid_out == text {
        return Ok(true);
    }
    if !check {
        std::fs::write(path, laid_out).map_err(|source| CliError::Write { path: path.to_owned(), source })?;
    }
    Ok(!check)
}

fn laid_out(text: &str, origin: &str) -> Result<String, CliError> {
    pivot_query::format(text).map_err(|found| {
        for line in diagnostic_text::render(&found, text, origin, WIDE, Paint::of(&io::stderr())) {
            eprintln!("{line}");
        }
        CliError::Query(origin.to_owned())
    })
}
