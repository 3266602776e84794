//! The `pivot` command.

use clap::Parser;
use pivot_cli::arguments::Arguments;
use std::process::ExitCode;

/// The exit code of everything that did not work, like clap's own for a bad command line.
const FAILED: u8 = 2;

fn main() -> ExitCode {
    match start() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("pivot: {error}");
            ExitCode::from(FAILED)
        }
    }
}

fn start() -> anyhow::Result<()> {
    pivot_cli::run(Arguments::parse())?;
    Ok(())
}
