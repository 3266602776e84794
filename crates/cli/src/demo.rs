//! `pivot demo`: a frontend in this process, and the store as processes of this binary.
//!
//! ```text
//! pivot demo ──┬─ frontend, in this process ◀── gRPC ──┬── REPL or batch, in this process
//!              └─ pivot store .. (hidden) ×N ── agents ┘
//! ```
//!
//! No child outlives this process: each has a pipe from it as standard input and ends when that closes.

use crate::arguments::DemoArguments;
use crate::batch;
use crate::client::FrontendConnection;
use crate::error::CliError;
use crate::humanize::count;
use crate::input::{InputItem, InputSource};
use crate::logs::write_logs;
use crate::params::{self, QueryParams};
use crate::repl::{EXAMPLE_QUERY, ReplSession};
use crate::server::frontend_options;
use crate::server_settings::LogFormat;
use crate::table::{StyleMode, TextRole};
use crate::terminal::is_interactive;
use pivot_query::Catalog;
use pivot_store::{Cluster, ClusterPlan, StoreError};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

/// How long the agents of the store may take to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// How often the frontend is asked how many agents have connected.
const CONNECT_INTERVAL: Duration = Duration::from_millis(50);

/// The query that runs if `--for` or a pipe comes without one: bytes read by application.
const DEFAULT_QUERY: &str = "
FROM incr IN DataNodeMetrics.incrBytesRead
JOIN cl IN First(ClientProtocols) ON cl -> incr
GROUP BY cl.process
SELECT cl.process, SUM(incr.delta);";

/// Starts frontend and store, runs the REPL or the queries of the arguments, and stops everything.
pub(crate) fn run(runtime: &Runtime, options: &DemoArguments) -> Result<(), CliError> {
    if options.batch.detach {
        let pointless = "the queries of a demo end with it: --detach is for `pivot -c` and `pivot -f`";
        return Err(CliError::Command(pointless.to_owned()));
    }
    write_logs("warn", LogFormat::Text);
    // A query that cannot compile is refused before the seconds that the start takes.
    let inputs = batch_inputs(options)?;
    for input in inputs.iter().flatten() {
        check_queries(input, &options.batch.params())?;
    }

    // Removed when this function returns.
    let data = tempfile::tempdir()?;
    let frontend_options = frontend_options(listen_address(options), Some(data.path().to_owned()));
    let frontend = runtime.block_on(pivot_frontend::start(frontend_options))?;
    let address = format!("http://{}", frontend.address());
    let done = run_with_store(runtime, options, &address, inputs.as_deref());
    // The frontend stops also if the store failed.
    runtime.block_on(frontend.stop());
    done
}

/// Refuses queries that no catalogue could make right: the tracepoints of the store are not known yet.
fn check_queries(input: &InputSource, params: &QueryParams) -> Result<(), CliError> {
    let options = params::compile_options(params);
    for step in input.steps()? {
        // Commands are checked when they run; most of them need the frontend.
        let (InputItem::Query(statement) | InputItem::Explain(statement) | InputItem::Analyze(statement)) =
            step
        else {
            continue;
        };

        if let Err(found) = pivot_query::compile_with(&statement.text, &Catalog::default(), &options) {
            input.print_diagnostics(&statement, &found);
            return Err(CliError::DoesNotCompile(input.origin.clone()));
        }
    }
    Ok(())
}

/// Returns the queries to run as a batch, or `None` for the REPL.
fn batch_inputs(options: &DemoArguments) -> Result<Option<Vec<InputSource>>, CliError> {
    if options.batch.has_text() {
        return InputSource::read(&options.batch).map(Some);
    }
    if options.batch.is_given() || !is_interactive() {
        return Ok(Some(vec![InputSource::unnamed("demo", DEFAULT_QUERY)]));
    }
    Ok(None)
}

/// Returns the address of `--listen`, else the default port, or a free one if that is taken.
fn listen_address(options: &DemoArguments) -> SocketAddr {
    if let Some(listen) = options.listen {
        return listen;
    }
    let usual = SocketAddr::from((Ipv4Addr::LOCALHOST, pivot_protocol::DEFAULT_PORT));
    let any_free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    if TcpListener::bind(usual).is_ok() { usual } else { any_free }
}

/// Starts the store, runs the REPL or the batch, and ends the store. An interrupt meanwhile is no failure.
fn run_with_store(
    runtime: &Runtime,
    options: &DemoArguments,
    address: &str,
    inputs: Option<&[InputSource]>,
) -> Result<(), CliError> {
    let data_nodes = count(options.data_nodes.into(), "data node");
    report_progress(&format!("starting a frontend on {address} and a store with {data_nodes}"));

    // While children start, Ctrl-C must not end this process before them.
    let interrupted = Arc::new(AtomicBool::new(false));
    let signals = runtime.spawn(note_signals(interrupted.clone()));
    let cluster = match start_store(options, address, interrupted.clone()) {
        Err(CliError::DemoStore(StoreError::Interrupted)) => return Ok(()),
        started => started?,
    };

    let connection = runtime.block_on(FrontendConnection::open(address, "demo"))?;
    let expected = cluster.members().len();
    runtime.block_on(wait_for_agents(&connection, expected, &interrupted))?;
    signals.abort();
    if interrupted.load(Ordering::Relaxed) {
        return Ok(());
    }
    report_progress(&format!("{} connected", count(expected as u64, "agent")));

    match inputs {
        Some(inputs) => runtime.block_on(batch::run(&connection, &options.batch, inputs)),
        None => {
            println!("Type \\dt for tracepoints, \\? for help, or a query such as");
            println!("{}", StyleMode::for_stream(&io::stdout()).style(TextRole::Accent, EXAMPLE_QUERY));
            ReplSession::new(runtime.handle().clone(), connection).run()
        }
    }
}

/// Prints to standard error, as standard output is for results.
fn report_progress(text: &str) {
    eprintln!("{}", StyleMode::for_stream(&io::stderr()).style(TextRole::Quiet, text));
}

/// Notes Ctrl-C and SIGTERM. Once this runs, neither ends the process by itself, also after the task was aborted.
async fn note_signals(interrupted: Arc<AtomicBool>) {
    let (Ok(mut interrupt), Ok(mut terminate)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return;
    };
    tokio::select! { _ = interrupt.recv() => (), _ = terminate.recv() => () }
    interrupted.store(true, Ordering::Relaxed);
}

/// Starts the store. Each of its processes is this binary with the hidden subcommand.
fn start_store(
    options: &DemoArguments,
    address: &str,
    interrupted: Arc<AtomicBool>,
) -> Result<Cluster, CliError> {
    let program = std::env::current_exe()?;
    let plan = ClusterPlan {
        data_nodes: options.data_nodes.into(),
        frontend: Some(address.to_owned()),
        // The command line says 0 for no failures.
        fail_every: Some(options.fail_every).filter(|every| *every > 0),
        interrupted,
        ..ClusterPlan::default()
    };

    let cluster = Cluster::start(plan, move |_, options| {
        let mut command = Command::new(&program);
        command.arg("store").args(options.to_args());
        command
    })?;
    Ok(cluster)
}

/// Waits until that many agents are connected, or the start is interrupted.
async fn wait_for_agents(
    connection: &FrontendConnection,
    expected: usize,
    interrupted: &AtomicBool,
) -> Result<(), CliError> {
    let deadline = Instant::now() + CONNECT_TIMEOUT;
    loop {
        let connected = connection.connected_agents().await?;
        if connected >= expected || interrupted.load(Ordering::Relaxed) {
            return Ok(());
        }

        if Instant::now() >= deadline {
            return Err(CliError::AgentsMissing { connected, expected });
        }
        tokio::time::sleep(CONNECT_INTERVAL).await;
    }
}
