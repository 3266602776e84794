//! `pivot demo`: a frontend in this process, the store as processes of this binary.
//!
//! No child outlives this process: each holds a pipe from it as standard input and ends with it.

use crate::arguments::Demo;
use crate::client::Connection;
use crate::error::CliError;
use crate::input::Input;
use crate::repl::{EXAMPLE, Session};
use crate::server::frontend;
use crate::table::{Paint, Style};
use crate::text::count;
use crate::unattended;
use pivot_frontend::Running;
use pivot_store::{Cluster, Plan};
use std::io::{self, IsTerminal};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::Command;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

/// How long the agents of the store may take to connect.
const PATIENCE: Duration = Duration::from_secs(30);

/// The query of `--for` without a query: bytes read by application.
const QUERY: &str = "
FROM incr IN DataNodeMetrics.incrBytesRead
JOIN cl IN First(ClientProtocols) ON cl -> incr
GROUP BY cl.process
SELECT cl.process, SUM(incr.delta);";

/// Starts everything, queries it, and stops everything.
pub(crate) fn run(runtime: &Runtime, options: &Demo) -> Result<(), CliError> {
    let input = input(options)?;
    let running = runtime.block_on(pivot_frontend::start(frontend(listen(options))))?;
    let address = format!("http://{}", running.address());
    let done = with_store(runtime, options, &address, input.as_ref());
    runtime.block_on(Running::stop(running));
    done
}

/// The queries to run unattended; none for the REPL.
fn input(options: &Demo) -> Result<Option<Input>, CliError> {
    let given = &options.unattended;
    let attended = io::stdin().is_terminal() && io::stdout().is_terminal();
    match (given.text.is_some() || given.file.is_some(), given.is_given() || !attended) {
        (true, _) => Input::read(given).map(Some),
        (false, true) => Ok(Some(Input::text("demo", QUERY))),
        (false, false) => Ok(None),
    }
}

/// As asked; else the default port, or any that is free.
fn listen(options: &Demo) -> SocketAddr {
    let usual = SocketAddr::from((Ipv4Addr::LOCALHOST, pivot_protocol::DEFAULT_PORT));
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let free = |address: &SocketAddr| TcpListener::bind(address).is_ok();
    options.listen.unwrap_or(if free(&usual) { usual } else { any })
}

fn with_store(
    runtime: &Runtime,
    options: &Demo,
    address: &str,
    input: Option<&Input>,
) -> Result<(), CliError> {
    let quiet = Paint::of(&io::stderr());
    let say = |text: &str| eprintln!("{}", quiet.style(Style::Quiet, text));
    say(&format!(
        "starting a frontend on {address} and a store with {}",
        count(options.data_nodes.into(), "data node")
    ));
    let cluster = start(options, address)?;
    let connection = runtime.block_on(Connection::open(address))?;
    let expected = cluster.members().len();
    runtime.block_on(agents(&connection, expected))?;
    say(&format!("{} connected", count(expected as u64, "agent")));
    match input {
        Some(input) => runtime.block_on(unattended::run(&connection, &options.unattended, input)),
        None => {
            println!("Type \\dt for tracepoints, \\? for help, or a query such as");
            println!("{}", Paint::of(&io::stdout()).style(Style::Accent, EXAMPLE));
            Session::new(runtime.handle().clone(), connection).run()
        }
    }
}

/// Starts the store; each of its processes is this binary with the hidden subcommand.
fn start(options: &Demo, address: &str) -> Result<Cluster, CliError> {
    let program = std::env::current_exe()?;
    let plan =
        Plan { data_nodes: options.data_nodes.into(), frontend: Some(address.to_owned()), ..Plan::default() };
    let cluster = Cluster::start(plan, move |_, options| {
        let mut command = Command::new(&program);
        command.arg("store").args(options.to_args());
        command
    })?;
    Ok(cluster)
}

/// Waits until that many agents are connected.
async fn agents(connection: &Connection, expected: usize) -> Result<(), CliError> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let connected = connection.connected().await?;
        if connected >= expected {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(CliError::Agents { connected, expected });
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
