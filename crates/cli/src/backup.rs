//! `pivot server backup`: a copy of what a frontend has stored, while it runs.

use crate::arguments::BackupArguments;
use crate::client::FrontendConnection;
use crate::error::CliError;
use crate::humanize::bytes;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Writes a backup of a frontend into a new file. What is not complete is removed.
pub(crate) async fn run(options: &BackupArguments) -> Result<(), CliError> {
    let connection = FrontendConnection::open(&options.frontend, "backup").await?;
    let path = options.file.as_path();
    let failed = |source| CliError::WriteFile { path: path.to_owned(), source };
    // It has what queries have found, which is for nobody else.
    let file = File::options().write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;

    match write(&connection, path, file).await {
        Ok(written) => {
            let size = bytes(written as f64);
            println!("{} has {size}; a server whose pivot.redb it is goes on from it", path.display());
            Ok(())
        }
        Err(error) => {
            // The error says what matters.
            let _ = std::fs::remove_file(path);
            Err(error)
        }
    }
}

/// Writes all parts, and returns how many bytes they have.
async fn write(connection: &FrontendConnection, path: &Path, mut file: File) -> Result<u64, CliError> {
    let failed = |source: io::Error| CliError::WriteFile { path: path.to_owned(), source };
    let mut parts = connection.backup().await?;
    let mut written = 0;

    while let Some(part) = parts.next().await? {
        file.write_all(&part).map_err(failed)?;
        written += part.len() as u64;
    }
    file.sync_all().map_err(failed)?;
    Ok(written)
}
