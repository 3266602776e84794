//! `pivot server`: a frontend until Ctrl-C.

use crate::arguments::ServerArguments;
use crate::error::CliError;
use std::net::SocketAddr;
use tokio::signal::unix::{SignalKind, signal};

/// Serves agents and clients until Ctrl-C or SIGTERM.
pub(crate) async fn run(options: &ServerArguments) -> Result<(), CliError> {
    // From here on signals do not end the process, so that the frontend can stop in order.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;

    let frontend = pivot_frontend::start(frontend_options(options.listen)).await?;
    let address = frontend.address();
    println!("pivot serves agents and clients on http://{address}, Ctrl-C ends it");
    if !address.ip().is_loopback() {
        eprintln!(
            "warning: there is no authentication yet, and {address} is not loopback: whoever reaches it can query"
        );
    }

    tokio::select! { _ = terminate.recv() => (), _ = interrupt.recv() => () }
    frontend.stop().await;
    Ok(())
}

/// Returns the options of a frontend that listens at an address.
pub(crate) fn frontend_options(listen: SocketAddr) -> pivot_frontend::FrontendOptions {
    pivot_frontend::FrontendOptions { listen, ..Default::default() }
}
