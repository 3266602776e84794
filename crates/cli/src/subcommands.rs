//! From the command line to the part of the command that does it.

use crate::arguments::{CliArguments, PivotSubcommand, ServerTask};
use crate::client::FrontendConnection;
use crate::error::CliError;
use crate::input::InputSource;
use crate::repl::ReplSession;
use crate::terminal::is_interactive;
use crate::{backup, batch, demo, fmt, server, sql};
use std::time::Duration;
use tokio::runtime::Runtime;

/// How long what still runs when a server has stopped may take to end.
const SHUTDOWN: Duration = Duration::from_secs(1);

/// Does what the arguments say. Diagnostics of queries are on standard error before this returns.
pub fn run(arguments: CliArguments) -> Result<(), CliError> {
    let runtime = Runtime::new()?;

    match &arguments.command {
        Some(PivotSubcommand::Server(options)) => {
            let done = match &options.task {
                Some(ServerTask::Backup(options)) => runtime.block_on(backup::run(options)),
                None => runtime.block_on(server::run(options)),
            };
            // A disk that hangs must not keep the process.
            runtime.shutdown_timeout(SHUTDOWN);
            done
        }
        Some(PivotSubcommand::Demo(options)) => demo::run(&runtime, options),
        Some(PivotSubcommand::Fmt(options)) => fmt::run(options),
        Some(PivotSubcommand::Sql(options)) => runtime.block_on(sql::run(options)),
        Some(PivotSubcommand::Store(options)) => {
            runtime.block_on(pivot_store::run((**options).clone()))?;
            Ok(())
        }
        None => run_client(&runtime, &arguments),
    }
}

/// Runs the REPL if no statement was given and a person sits at both ends, else the statements of the arguments or
/// of standard input.
fn run_client(runtime: &Runtime, arguments: &CliArguments) -> Result<(), CliError> {
    let options = &arguments.batch;
    if is_interactive() && !options.has_text() {
        if options.detach {
            return Err(CliError::Command("--detach needs a query: give one with -c or -f".to_owned()));
        }
        let connection = runtime.block_on(FrontendConnection::open(&arguments.frontend, "repl"))?;
        return ReplSession::new(runtime.handle().clone(), connection).run();
    }

    let inputs = InputSource::read(options)?;
    runtime.block_on(async {
        let connection = FrontendConnection::open(&arguments.frontend, &batch::described(&inputs)).await?;
        batch::run(&connection, options, &inputs).await
    })
}
