//! `pivot fmt`: rewrites files of queries in their canonical layout.

use crate::arguments::FmtArguments;
use crate::diagnostic_text;
use crate::error::CliError;
use crate::table::StyleMode;
use crate::terminal::UNCUT_COLUMNS;
use std::io::{self, Read, Write};
use std::path::Path;

/// Formats the files in place, or standard input to standard output. With `--check` nothing is written, and a file
/// that would change is an error.
pub(crate) fn run(options: &FmtArguments) -> Result<(), CliError> {
    if options.files.is_empty() {
        let mut text = String::new();
        io::stdin().lock().read_to_string(&mut text)?;
        let formatted = formatted(&text, "stdin")?;
        io::stdout().lock().write_all(formatted.as_bytes())?;
        return Ok(());
    }

    // All files are looked at before the first that differs is an error, so that one run names them all.
    let mut differing = Vec::new();
    for path in &options.files {
        let Some(formatted) = changed(path)? else { continue };
        if options.check {
            differing.push(path.display().to_string());
        } else {
            std::fs::write(path, formatted)
                .map_err(|source| CliError::WriteFile { path: path.to_owned(), source })?;
        }
    }
    if differing.is_empty() { Ok(()) } else { Err(CliError::NotFormatted(differing.join(", "))) }
}

/// Returns the canonical text of a file, or `None` if the file has it already.
fn changed(path: &Path) -> Result<Option<String>, CliError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| CliError::ReadFile { path: path.to_owned(), source })?;
    let formatted = formatted(&text, &path.display().to_string())?;
    Ok(Some(formatted).filter(|formatted| *formatted != text))
}

/// Returns the canonical text. Diagnostics of a text that cannot be parsed go to standard error.
fn formatted(text: &str, origin: &str) -> Result<String, CliError> {
    pivot_query::format(text).map_err(|found| {
        let paint = StyleMode::for_stream(&io::stderr());
        for line in diagnostic_text::render(&found, text, origin, UNCUT_COLUMNS, paint) {
            eprintln!("{line}");
        }
        CliError::DoesNotCompile(origin.to_owned())
    })
}
