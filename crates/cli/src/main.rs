//! The `pivot` command.

use clap::Parser;
use pivot_cli::arguments::CliArguments;
use std::process::ExitCode;

/// The exit code of every failure; clap uses the same one for a wrong command line.
const FAILED: u8 = 2;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("pivot: {error}");
            ExitCode::from(FAILED)
        }
    }
}

fn run() -> anyhow::Result<()> {
    pivot_cli::run(CliArguments::parse())?;
    Ok(())
}
