//! Queries that are installed and left: `--detach`.

use crate::arguments::{BatchArguments, OutputFormat};
use crate::batch_statement::BatchStatement;
use crate::client::FrontendConnection;
use crate::client_session::QueryStay;
use crate::error::CliError;
use crate::table::{StyleMode, TextRole};
use serde_json::json;
use std::io::{self, Write};

/// Installs all statements or, if one does not compile, none. Prints the number and the name of each.
pub(crate) async fn install_detached(
    connection: &FrontendConnection,
    options: &BatchArguments,
    statements: &[BatchStatement<'_>],
) -> Result<(), CliError> {
    let mut numbers = Vec::new();
    for statement in statements {
        match install(connection, options, statement).await {
            Ok(number) => numbers.push(number),
            Err(error) => {
                uninstall(connection, &numbers).await;
                return Err(error);
            }
        }
    }

    for (number, BatchStatement { statement, .. }) in numbers.into_iter().zip(statements) {
        print_installed(options.format, number, &statement.name)?;
    }
    Ok(())
}

async fn install(
    connection: &FrontendConnection,
    options: &BatchArguments,
    query: &BatchStatement<'_>,
) -> Result<u32, CliError> {
    let BatchStatement { input, statement } = query;
    let (text, name) = (&statement.text, &statement.name);
    let reply = connection.install(text, name, &options.params(), QueryStay::Always).await?;
    input.print_diagnostics(statement, &reply.diagnostics);
    reply.query.ok_or_else(|| CliError::DoesNotCompile(input.origin.clone()))
}

/// Takes back what was installed before another statement failed, which matters more than whether that succeeds.
async fn uninstall(connection: &FrontendConnection, numbers: &[u32]) {
    for number in numbers {
        if let Err(error) = connection.uninstall(*number).await {
            eprintln!("warning: query {number} is left installed ({error})");
        }
    }
}

/// Prints one query: for programs on standard output, and what a person may do with it on standard error.
fn print_installed(format: OutputFormat, number: u32, name: &str) -> Result<(), CliError> {
    let line = match format {
        OutputFormat::Json | OutputFormat::Ndjson => json!({ "query": number, "name": name }).to_string(),
        OutputFormat::Table | OutputFormat::Csv | OutputFormat::Md if name.is_empty() => number.to_string(),
        OutputFormat::Table | OutputFormat::Csv | OutputFormat::Md => format!("{number} {name}"),
    };
    writeln!(io::stdout(), "{line}")?;

    let stays = format!("query {number} stays installed; \\watch {number} shows it, \\drop {number} ends it");
    eprintln!("{}", StyleMode::for_stream(&io::stderr()).style(TextRole::Quiet, &stays));
    Ok(())
}
