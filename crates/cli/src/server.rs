//! `pivot server`: a frontend until Ctrl-C.

use crate::arguments::ServerArguments;
use crate::data_directory::data_directory;
use crate::error::CliError;
use pivot_frontend::FrontendOptions;
use std::net::SocketAddr;
use std::path::PathBuf;
use tokio::signal::unix::{SignalKind, signal};

/// Serves agents and clients until Ctrl-C or SIGTERM.
pub(crate) async fn run(options: &ServerArguments) -> Result<(), CliError> {
    // From here on signals do not end the process, so that the frontend can stop in order.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;

    let data = data_directory(options.data.as_deref())?;
    let client_grace = options.client_grace;
    let frontend_options = FrontendOptions { client_grace, ..frontend_options(options.listen, data.clone()) };
    let frontend = pivot_frontend::start(frontend_options).await?;
    let address = frontend.address();
    let kept = match data {
        Some(data) => format!("keeps queries and results in {}", data.display()),
        None => "keeps nothing when it ends".to_owned(),
    };
    println!("pivot serves agents and clients on http://{address}, {kept}, Ctrl-C ends it");
    if !address.ip().is_loopback() {
        eprintln!(
            "warning: there is no authentication yet, and {address} is not loopback: whoever reaches it can query"
        );
    }

    tokio::select! { _ = terminate.recv() => (), _ = interrupt.recv() => () }
    frontend.stop().await;
    Ok(())
}

/// Returns the options of a frontend that listens at an address and keeps its state in a directory, if any.
pub(crate) fn frontend_options(listen: SocketAddr, data: Option<PathBuf>) -> FrontendOptions {
    FrontendOptions { listen, data, ..Default::default() }
}
