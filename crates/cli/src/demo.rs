//! `pivot demo`: a frontend in this process, the store as processes of this binary.
//!
//! No child outlives this process: each holds a pipe from it as standard input and ends with it.

use crate::arguments::DemoArguments;
use crate::batch;
use crate::client::FrontendConnection;
use crate::error::CliError;
use crate::input::{InputStep, InputText};
use crate::params::{self, Params};
use crate::repl::{EXAMPLE, ReplSession};
use crate::server::frontend;
use crate::table::{Paint, TextStyle};
use crate::text::count;
use pivot_frontend::Running;
use pivot_query::Catalog;
use pivot_store::{Cluster, Plan, StoreError};
use std::io::{self, IsTerminal};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

/// How long the agents of the store may take to connect.
const PATIENCE: Duration = Duration::from_secs(30);

/// The query of `--for` without a query: bytes read by application.
const QUERY: &str = "
FROM incr IN DataNodeMetrics.incrBytesRead
JOIN cl IN First(ClientProtocols) ON cl -> incr
GROUP BY cl.process
SELECT cl.process, SUM(incr.delta);";

/// Starts everything, queries it, and stops everything.
pub(crate) fn run(runtime: &Runtime, options: &DemoArguments) -> Result<(), CliError> {
    let inputs = inputs(options)?;
    inputs.iter().flatten().try_for_each(|input| check(input, &options.batch.params()))?;
    let running = runtime.block_on(pivot_frontend::start(frontend(listen(options))))?;
    let address = format!("http://{}", running.address());
    let done = with_store(runtime, options, &address, inputs.as_deref());
    runtime.block_on(Running::stop(running));
    done
}

/// Refuses what no catalogue could make right, before anything is started.
fn check(input: &InputText, params: &Params) -> Result<(), CliError> {
    let options = params::options(params);
    for step in input.steps()? {
        let (InputStep::Query(statement) | InputStep::Explain(statement) | InputStep::Analyze(statement)) =
            step
        else {
            continue;
        };
        if let Err(found) = pivot_query::compile_with(&statement.text, &Catalog::default(), &options) {
            batch::report(input, &statement, &found);
            return Err(CliError::Query(input.origin.clone()));
        }
    }
    Ok(())
}

/// The queries to run in a batch; none for the REPL.
fn inputs(options: &DemoArguments) -> Result<Option<Vec<InputText>>, CliError> {
    let given = &options.batch;
    let attended = io::stdin().is_terminal() && io::stdout().is_terminal();
    match (given.has_text(), given.is_given() || !attended) {
        (true, _) => InputText::read(given).map(Some),
        (false, true) => Ok(Some(vec![InputText::text("demo", QUERY)])),
        (false, false) => Ok(None),
    }
}

/// As asked; else the default port, or any that is free.
fn listen(options: &DemoArguments) -> SocketAddr {
    let usual = SocketAddr::from((Ipv4Addr::LOCALHOST, pivot_protocol::DEFAULT_PORT));
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let free = |address: &SocketAddr| TcpListener::bind(address).is_ok();
    options.listen.unwrap_or(if free(&usual) { usual } else { any })
}

fn with_store(
    runtime: &Runtime,
    options: &DemoArguments,
    address: &str,
    inputs: Option<&[InputText]>,
) -> Result<(), CliError> {
    let quiet = Paint::of(&io::stderr());
    let say = |text: &str| eprintln!("{}", quiet.style(TextStyle::Quiet, text));
    say(&format!(
        "starting a frontend on {address} and a store with {}",
        count(options.data_nodes.into(), "data node")
    ));
    let interrupted = Arc::new(AtomicBool::new(false));
    let watching = runtime.spawn(interrupts(interrupted.clone()));
    let cluster = match start(options, address, interrupted.clone()) {
        Err(CliError::Store(StoreError::Interrupted)) => return Ok(()),
        started => started?,
    };
    let connection = runtime.block_on(FrontendConnection::open(address))?;
    let expected = cluster.members().len();
    runtime.block_on(agents(&connection, expected, &interrupted))?;
    watching.abort();
    if interrupted.load(Ordering::Relaxed) {
        return Ok(());
    }
    say(&format!("{} connected", count(expected as u64, "agent")));
    match inputs {
        Some(inputs) => runtime.block_on(batch::run(&connection, &options.batch, inputs)),
        None => {
            println!("Type \\dt for tracepoints, \\? for help, or a query such as");
            println!("{}", Paint::of(&io::stdout()).style(TextStyle::Accent, EXAMPLE));
            ReplSession::new(runtime.handle().clone(), connection).run()
        }
    }
}

/// Notes Ctrl-C and SIGTERM, which then do not end this process before its children have ended.
async fn interrupts(interrupted: Arc<AtomicBool>) {
    let (Ok(mut interrupt), Ok(mut terminate)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return;
    };
    tokio::select! { _ = interrupt.recv() => (), _ = terminate.recv() => () }
    interrupted.store(true, Ordering::Relaxed);
}

/// Starts the store; each of its processes is this binary with the hidden subcommand.
fn start(options: &DemoArguments, address: &str, interrupted: Arc<AtomicBool>) -> Result<Cluster, CliError> {
    let program = std::env::current_exe()?;
    let plan = Plan {
        data_nodes: options.data_nodes.into(),
        frontend: Some(address.to_owned()),
        fail_every: Some(options.fail_every).filter(|every| *every > 0),
        interrupted,
        ..Plan::default()
    };
    let cluster = Cluster::start(plan, move |_, options| {
        let mut command = Command::new(&program);
        command.arg("store").args(options.to_args());
        command
    })?;
    Ok(cluster)
}

/// Waits until that many agents are connected, or the start is interrupted.
async fn agents(
    connection: &FrontendConnection,
    expected: usize,
    interrupted: &AtomicBool,
) -> Result<(), CliError> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let connected = connection.connected().await?;
        if connected >= expected || interrupted.load(Ordering::Relaxed) {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(CliError::Agents { connected, expected });
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
