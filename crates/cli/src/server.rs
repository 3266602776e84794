//! `pivot server`: a frontend until Ctrl-C.

use crate::arguments::ServerArguments;
use crate::error::CliError;
use std::net::SocketAddr;
use tokio::signal::unix::{SignalKind, signal};

/// Serves agents and clients.
pub(crate) async fn run(options: &ServerArguments) -> Result<(), CliError> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let running = pivot_frontend::start(frontend(options.listen)).await?;
    let address = running.address();
    println!("pivot serves agents and clients on http://{address}, Ctrl-C ends it");
    if !address.ip().is_loopback() {
        eprintln!(
            "warning: there is no authentication yet, and {address} is not loopback: whoever reaches it can query"
        );
    }
    tokio::select! { _ = terminate.recv() => (), _ = interrupt.recv() => () }
    running.stop().await;
    Ok(())
}

/// The options of a frontend at an address.
pub(crate) fn frontend(listen: SocketAddr) -> pivot_frontend::FrontendOptions {
    pivot_frontend::FrontendOptions { listen, ..Default::default() }
}
