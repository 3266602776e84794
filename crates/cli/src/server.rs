//! `pivot server`: a frontend until Ctrl-C.

use crate::arguments::ServerArguments;
use crate::config_file::read_config;
use crate::data_directory::data_directory;
use crate::error::CliError;
use crate::logs::write_logs;
use crate::server_settings::{EffectiveSettings, LogFormat};
use pivot_frontend::FrontendOptions;
use std::net::SocketAddr;
use std::path::PathBuf;
use tokio::signal::unix::{SignalKind, signal};
use tracing::{info, warn};

/// Serves agents and clients until Ctrl-C or SIGTERM, or checks the settings.
pub(crate) async fn run(options: &ServerArguments) -> Result<(), CliError> {
    let settings = effective_settings(options)?;
    if options.check_config {
        print!("{settings}");
        return Ok(());
    }

    // From here on signals do not end the process, so that the frontend can stop in order.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;

    let EffectiveSettings { frontend, log, log_format } = settings;
    write_logs(&log, log_format);
    let data = frontend.data.clone();
    let frontend = pivot_frontend::start(frontend).await?;
    announce(frontend.address(), data, log_format);

    tokio::select! { _ = terminate.recv() => (), _ = interrupt.recv() => () }
    info!("the frontend stops");
    tokio::select! {
        () = frontend.stop() => {}
        // Whoever asks twice does not want to wait.
        _ = terminate.recv() => warn!("the frontend ends at once, since it was told so twice"),
        _ = interrupt.recv() => warn!("the frontend ends at once, since it was told so twice"),
    }
    Ok(())
}

/// Returns all settings of a server: of the command line, the environment, the file, and the defaults.
fn effective_settings(options: &ServerArguments) -> Result<EffectiveSettings, CliError> {
    let mut settings = options.settings.clone();
    if let Some(path) = &options.config {
        settings = settings.or(read_config(path)?);
    }
    let data = data_directory(settings.data.as_deref())?;
    Ok(settings.effective(data))
}

/// Says where the frontend listens and what it keeps: to people on standard output, to programs among the messages.
fn announce(address: SocketAddr, data: Option<PathBuf>, log_format: LogFormat) {
    let kept = match &data {
        Some(data) => format!("keeps queries and results in {}", data.display()),
        None => "keeps nothing when it ends".to_owned(),
    };
    match log_format {
        LogFormat::Text => {
            println!("pivot serves agents and clients on http://{address}, {kept}, Ctrl-C ends it")
        }
        LogFormat::Json => {
            info!(url = format!("http://{address}"), "pivot serves agents and clients, and {kept}")
        }
    }

    if !address.ip().is_loopback() {
        warn!("there is no authentication yet, and {address} is not loopback: whoever reaches it can query");
    }
}

/// Returns the options of a frontend that listens at an address and keeps its state in a directory, if any.
pub(crate) fn frontend_options(listen: SocketAddr, data: Option<PathBuf>) -> FrontendOptions {
    FrontendOptions { listen, data, ..Default::default() }
}
