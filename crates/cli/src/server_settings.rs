//! The settings of `pivot server`: one name for each, as a flag, as a variable of the environment, and in a file.
//!
//! ```text
//! --client-grace 5m   ▶   PIVOT_CLIENT_GRACE=5m   ▶   client-grace = "5m"   ▶   60s
//! the command line        the environment             the file of --config      the default
//! ```

use crate::bytes_text::{parse_bytes, write_bytes};
use crate::duration_text::{parse_duration, write_duration};
use clap::{Args, ValueEnum};
use pivot_frontend::{FrontendOptions, HistoryOptions, SqlLimits};
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The least time for which a client that is not heard of is waited for.
const LEAST_CLIENT_GRACE: Duration = Duration::from_secs(1);

/// The level of messages that are written unless a setting says otherwise.
const DEFAULT_LOG: &str = "info";

/// The levels of messages.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// Settings of a server, as far as they are given.
#[derive(Debug, Clone, Default, Args)]
pub struct ServerSettings {
    /// Address to listen at; port 0 takes a free one [default: 127.0.0.1:7468]
    #[arg(long, value_name = "ADDRESS", env = "PIVOT_LISTEN")]
    pub listen: Option<SocketAddr>,
    /// Directory in which queries, results and agents are kept over restarts, or `none` to keep nothing. By default
    /// `pivot` in the user's directory for data, such as ~/.local/share/pivot.
    #[arg(long, value_name = "DIRECTORY", env = "PIVOT_DATA")]
    pub data: Option<PathBuf>,
    /// How long a query stays whose client has vanished without uninstalling it, unless it was asked to stay
    /// [default: 60s]
    #[arg(long, value_name = "DURATION", env = "PIVOT_CLIENT_GRACE", value_parser = client_grace)]
    pub client_grace: Option<Duration>,
    /// How long after its end a window waits for an agent that does not report [default: 2s]
    #[arg(long, value_name = "DURATION", env = "PIVOT_WINDOW_GRACE", value_parser = parse_duration)]
    pub window_grace: Option<Duration>,
    /// How many frames of each query are kept for clients that come or read late [default: 300]
    #[arg(long, value_name = "N", env = "PIVOT_KEEP_FRAMES", value_parser = positive)]
    pub keep_frames: Option<usize>,
    /// How long the frames of an uninstalled query are kept [default: 60s]
    #[arg(long, value_name = "DURATION", env = "PIVOT_KEEP_FINISHED", value_parser = parse_duration)]
    pub keep_finished: Option<Duration>,
    /// Directory in which windows are kept after they have closed; by default `history` in the data directory, and none
    /// without one
    #[arg(long, value_name = "DIRECTORY", env = "PIVOT_HISTORY")]
    pub history: Option<String>,
    /// How long windows are kept [default: 24h]
    #[arg(long, value_name = "DURATION", env = "PIVOT_KEEP", value_parser = parse_duration)]
    pub keep: Option<Duration>,
    /// The most bytes of windows that are kept, such as 10GB or 512MiB; the oldest go first [default: 10GiB]
    #[arg(long, value_name = "BYTES", env = "PIVOT_KEEP_BYTES", value_parser = parse_bytes)]
    pub keep_bytes: Option<u64>,
    /// How long windows stay in the store before they are put into files [default: 5m]
    #[arg(long, value_name = "DURATION", env = "PIVOT_HISTORY_FILE_AFTER", value_parser = parse_duration)]
    pub history_file_after: Option<Duration>,
    /// The most connections of agents and clients together; fewer if the process may not open so many files
    /// [default: 20000]
    #[arg(long, value_name = "N", env = "PIVOT_MAX_CONNECTIONS", value_parser = positive)]
    pub max_connections: Option<usize>,
    /// How long a statement of SQL may take [default: 30s]
    #[arg(long, value_name = "DURATION", env = "PIVOT_SQL_TIME", value_parser = parse_duration)]
    pub sql_time: Option<Duration>,
    /// The most bytes of memory that statements of SQL may take together for what they sort, join and group
    /// [default: 512MiB]
    #[arg(long, value_name = "BYTES", env = "PIVOT_SQL_MEMORY", value_parser = parse_bytes)]
    pub sql_memory: Option<u64>,
    /// The most rows of an answer to SQL; what is beyond is left out, and the answer says so [default: 100000]
    #[arg(long, value_name = "N", env = "PIVOT_SQL_ROWS", value_parser = positive)]
    pub sql_rows: Option<usize>,
    /// The messages that are written: off, error, warn, info, debug or trace, or also by module, such as
    /// `warn,pivot_frontend=debug` [default: info]
    #[arg(long, value_name = "LEVEL", env = "PIVOT_LOG", value_parser = log)]
    pub log: Option<String>,
    /// How messages are written [default: text]
    #[arg(long, value_enum, env = "PIVOT_LOG_FORMAT")]
    pub log_format: Option<LogFormat>,
}

/// The form of messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// A line for people.
    #[default]
    Text,
    /// A JSON document, one per line.
    Json,
}

/// All settings of a server: those that were given, and the defaults of the others.
#[derive(Debug, Clone)]
pub(crate) struct EffectiveSettings {
    /// With the data directory, or without one if nothing is to be kept.
    pub(crate) frontend: FrontendOptions,
    pub(crate) log: String,
    pub(crate) log_format: LogFormat,
}

impl ServerSettings {
    /// Returns these settings, and of others those that are missing here.
    pub(crate) fn or(self, others: ServerSettings) -> ServerSettings {
        ServerSettings {
            listen: self.listen.or(others.listen),
            data: self.data.or(others.data),
            client_grace: self.client_grace.or(others.client_grace),
            window_grace: self.window_grace.or(others.window_grace),
            keep_frames: self.keep_frames.or(others.keep_frames),
            keep_finished: self.keep_finished.or(others.keep_finished),

            history: self.history.or(others.history),
            keep: self.keep.or(others.keep),
            keep_bytes: self.keep_bytes.or(others.keep_bytes),
            history_file_after: self.history_file_after.or(others.history_file_after),
            max_connections: self.max_connections.or(others.max_connections),
            sql_time: self.sql_time.or(others.sql_time),
            sql_memory: self.sql_memory.or(others.sql_memory),
            sql_rows: self.sql_rows.or(others.sql_rows),
            log: self.log.or(others.log),
            log_format: self.log_format.or(others.log_format),
        }
    }

    /// Returns all settings, for a server with a data directory or without one.
    pub(crate) fn effective(self, data: Option<PathBuf>) -> EffectiveSettings {
        let usual = FrontendOptions::default();
        let frontend = FrontendOptions {
            listen: self.listen.unwrap_or(usual.listen),
            data,
            client_grace: self.client_grace.unwrap_or(usual.client_grace),
            grace: self.window_grace.unwrap_or(usual.grace),
            keep_frames: self.keep_frames.unwrap_or(usual.keep_frames),
            keep_finished: self.keep_finished.unwrap_or(usual.keep_finished),
            history: HistoryOptions {
                location: self.history,
                keep: self.keep.unwrap_or(usual.history.keep),
                keep_bytes: self.keep_bytes.unwrap_or(usual.history.keep_bytes),
                file_after: self.history_file_after.unwrap_or(usual.history.file_after),
            },
            max_connections: self.max_connections.unwrap_or(usual.max_connections),
            sql: SqlLimits {
                time: self.sql_time.unwrap_or(usual.sql.time),
                memory: self.sql_memory.unwrap_or(usual.sql.memory),
                rows: self.sql_rows.map_or(usual.sql.rows, |rows| rows as u64),
            },
            machine: usual.machine,
        };

        EffectiveSettings {
            frontend,
            log: self.log.unwrap_or_else(|| DEFAULT_LOG.to_owned()),
            log_format: self.log_format.unwrap_or_default(),
        }
    }
}

/// The form of a file that sets all of them.
impl fmt::Display for EffectiveSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FrontendOptions { listen, data, grace, keep_frames, keep_finished, .. } = &self.frontend;
        let FrontendOptions { client_grace, history, max_connections, sql, .. } = &self.frontend;
        let data = data.as_deref().unwrap_or(Path::new("none"));
        let log_format = match self.log_format {
            LogFormat::Text => "text",
            LogFormat::Json => "json",
        };

        writeln!(f, "listen = \"{listen}\"")?;
        writeln!(f, "data = {:?}", data.display().to_string())?;
        writeln!(f, "client-grace = \"{}\"", write_duration(*client_grace))?;
        writeln!(f, "window-grace = \"{}\"", write_duration(*grace))?;
        writeln!(f, "keep-frames = {keep_frames}")?;
        writeln!(f, "keep-finished = \"{}\"", write_duration(*keep_finished))?;
        if let Some(location) = &history.location {
            writeln!(f, "history = {location:?}")?;
        }
        writeln!(f, "keep = \"{}\"", write_duration(history.keep))?;
        writeln!(f, "keep-bytes = \"{}\"", write_bytes(history.keep_bytes))?;
        writeln!(f, "history-file-after = \"{}\"", write_duration(history.file_after))?;
        writeln!(f, "max-connections = {max_connections}")?;
        writeln!(f, "sql-time = \"{}\"", write_duration(sql.time))?;
        writeln!(f, "sql-memory = \"{}\"", write_bytes(sql.memory))?;
        writeln!(f, "sql-rows = {}", sql.rows)?;
        writeln!(f, "log = {:?}", self.log)?;
        writeln!(f, "log-format = \"{log_format}\"")
    }
}

/// Reads a duration that leaves clients the time to be heard of.
fn client_grace(text: &str) -> Result<Duration, String> {
    match parse_duration(text)? {
        grace if grace < LEAST_CLIENT_GRACE => Err("clients need at least 1s to be heard of".to_owned()),
        grace => Ok(grace),
    }
}

fn positive(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|number| *number > 0).ok_or_else(|| "it is a whole number from 1 on".to_owned())
}

/// Reads a level, or levels of modules. What is no level would be taken for the name of a module.
fn log(text: &str) -> Result<String, String> {
    for part in text.split(',') {
        let level = part.split_once('=').map_or(part, |(_, level)| level);
        if !LEVELS.contains(&level.trim().to_ascii_lowercase().as_str()) {
            return Err(format!("`{}` is none of {}", level.trim(), LEVELS.join(", ")));
        }
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_cannot_be_right_are_errors() {
        assert_eq!(client_grace("500ms").map_err(|wrong| wrong.contains("at least 1s")), Err(true));
        assert_eq!(client_grace("5m"), Ok(Duration::from_secs(300)));
        assert!(positive("0").is_err() && positive("-1").is_err() && positive("7") == Ok(7));
        assert_eq!(log("inof"), Err("`inof` is none of off, error, warn, info, debug, trace".to_owned()));
        assert!(log("warn,pivot_frontend=debug").is_ok() && log("pivot_frontend=").is_err());
    }

    #[test]
    fn what_is_given_first_counts() {
        let given = |keep_frames| ServerSettings { keep_frames, ..ServerSettings::default() };
        assert_eq!(given(Some(1)).or(given(Some(2))).keep_frames, Some(1));
        assert_eq!(given(None).or(given(Some(2))).keep_frames, Some(2));
        assert_eq!(given(None).effective(None).frontend.keep_frames, 300);
    }
}
