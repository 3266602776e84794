//! The front door: what the arguments ask for.

use crate::arguments::{Arguments, Command};
use crate::client::Connection;
use crate::error::CliError;
use crate::input::Input;
use crate::repl::Session;
use crate::{batch, demo, fmt, server};
use std::io::{self, IsTerminal};
use tokio::runtime::Runtime;

/// Does what the arguments say. What goes wrong with a query is on stderr before this returns.
pub fn run(arguments: Arguments) -> Result<(), CliError> {
    let runtime = Runtime::new()?;
    match &arguments.command {
        Some(Command::Server(options)) => runtime.block_on(server::run(options)),
        Some(Command::Demo(options)) => demo::run(&runtime, options),
        Some(Command::Fmt(options)) => fmt::run(options),
        Some(Command::Store(options)) => {
            runtime.block_on(pivot_store::run((**options).clone()))?;
            Ok(())
        }
        None => client(&runtime, &arguments),
    }
}

/// The REPL if a person sits on both ends, else the statements that were given.
fn client(runtime: &Runtime, arguments: &Arguments) -> Result<(), CliError> {
    let given = &arguments.unattended;
    let attended = io::stdin().is_terminal() && io::stdout().is_terminal();
    if attended && !given.has_text() {
        let connection = runtime.block_on(Connection::open(&arguments.frontend))?;
        return Session::new(runtime.handle().clone(), connection).run();
    }
    let inputs = Input::read(given)?;
    runtime.block_on(async {
        let connection = Connection::open(&arguments.frontend).await?;
        batch::run(&connection, given, &inputs).await
    })
}
