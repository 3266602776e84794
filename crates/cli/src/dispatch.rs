//! The front door: what the arguments ask for.

use crate::arguments::{Arguments, CommandArguments};
use crate::client::FrontendConnection;
use crate::error::CliError;
use crate::input::InputText;
use crate::repl::Session;
use crate::{batch, demo, fmt, server};
use std::io::{self, IsTerminal};
use tokio::runtime::Runtime;

/// Does what the arguments say. What goes wrong with a query is on stderr before this returns.
pub fn run(arguments: Arguments) -> Result<(), CliError> {
    let runtime = Runtime::new()?;
    match &arguments.command {
        Some(CommandArguments::Server(options)) => runtime.block_on(server::run(options)),
        Some(CommandArguments::Demo(options)) => demo::run(&runtime, options),
        Some(CommandArguments::Fmt(options)) => fmt::run(options),
        Some(CommandArguments::Store(options)) => {
            runtime.block_on(pivot_store::run((**options).clone()))?;
            Ok(())
        }
        None => client(&runtime, &arguments),
    }
}

/// The REPL if a person sits on both ends, else the statements that were given.
fn client(runtime: &Runtime, arguments: &Arguments) -> Result<(), CliError> {
    let given = &arguments.batch;
    let attended = io::stdin().is_terminal() && io::stdout().is_terminal();
    if attended && !given.has_text() {
        let connection = runtime.block_on(FrontendConnection::open(&arguments.frontend))?;
        return ReplSession::new(runtime.handle().clone(), connection).run();
    }
    let inputs = InputText::read(given)?;
    runtime.block_on(async {
        let connection = FrontendConnection::open(&arguments.frontend).await?;
        batch::run(&connection, given, &inputs).await
    })
}
