//! The person's own editor (`$VISUAL` or `$EDITOR`), for a statement or a file.

use crate::error::CliError;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::Command;

/// Lets a person edit a text, and returns what became of it, or `None` if it was left as it was.
pub(super) fn edit_text(text: &str) -> Result<Option<String>, CliError> {
    let path = std::env::temp_dir().join(format!("pivot-{}.pivot", std::process::id()));

    // Another process of this number may have left a file. Nobody else may read or plant this one: hence
    // `create_new` and the mode.
    let _ = std::fs::remove_file(&path);
    File::options().write(true).create_new(true).mode(0o600).open(&path)?.write_all(text.as_bytes())?;

    let edited = edit_file(&path).and_then(|()| read_file(&path));
    // The file goes also if the editor failed.
    let _ = std::fs::remove_file(&path);
    Ok(Some(edited?).filter(|edited| edited.trim() != text.trim()))
}

/// Opens a file in the editor, and waits until the editor ends. Without a variable the editor is `vi`.
pub(super) fn edit_file(path: &Path) -> Result<(), CliError> {
    let named = ["VISUAL", "EDITOR"].iter().find_map(|name| std::env::var(name).ok());
    let editor = named.filter(|editor| !editor.trim().is_empty()).unwrap_or_else(|| "vi".to_owned());

    // The variable may hold arguments, so a shell splits it; the path is passed as one argument of its own.
    let status = Command::new("sh").arg("-c").arg(format!("{editor} \"$1\"")).arg("sh").arg(path).status()?;
    if status.success() { Ok(()) } else { Err(CliError::Command(format!("`{editor}` failed: {status}"))) }
}

fn read_file(path: &Path) -> Result<String, CliError> {
    std::fs::read_to_string(path).map_err(|source| CliError::ReadFile { path: path.to_owned(), source })
}
