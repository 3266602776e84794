//! The command line, as clap reads it. Doc comments of arguments are their text in `--help`.

use crate::duration_text::parse_duration;
use crate::params::QueryParams;
use crate::server_settings::ServerSettings;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// How long EXPLAIN ANALYZE runs a query unless `--for` says otherwise.
pub(crate) const ANALYZE_DURATION: Duration = Duration::from_secs(3);

/// Stands below the help of the client.
const CLIENT_HELP: &str = "\
Examples:
  pivot demo                            a small distributed store to try queries on
  pivot server                          serve agents and clients on 127.0.0.1:7468
  pivot                                 open the REPL
  pivot -c 'FROM e IN DataNodeMetrics.incrBytesRead
            GROUP BY e.host SELECT e.host, SUM(e.delta)' --for 10s
  pivot -f q2.pivot --for 1m --format json | jq .rows
  pivot -f q2.pivot --detach            install the query and leave it
  pivot -c '\\dt Data*'                  tracepoints, as in the REPL

Exit codes:
  0  it worked, or was ended with Ctrl-C
  2  the command line is wrong, a query does not compile, the frontend cannot be reached,
     the port is taken, or no process has the query's tracepoint";

/// Ask a running distributed system questions across process boundaries.
///
/// Without a subcommand this is the client: the REPL on a terminal, or the statements of -c, -f or
/// standard input, which are installed, printed as their windows close, and uninstalled. Commands
/// such as `\dt` work there too, each on a line of its own.
#[derive(Debug, Parser)]
#[command(name = "pivot", bin_name = "pivot", version, verbatim_doc_comment)]
#[command(after_help = CLIENT_HELP, args_conflicts_with_subcommands = true)]
pub struct CliArguments {
    /// The task, if it is another than being a client.
    #[command(subcommand)]
    pub command: Option<PivotSubcommand>,
    /// Address of the frontend.
    #[arg(long, env = "PIVOT_FRONTEND", value_name = "URI", default_value = "http://127.0.0.1:7468")]
    pub frontend: String,
    /// Queries to run without a REPL.
    #[command(flatten)]
    pub batch: BatchArguments,
}

/// The tasks other than being a client.
#[derive(Debug, Subcommand)]
pub enum PivotSubcommand {
    /// Serves agents and clients until Ctrl-C.
    Server(Box<ServerArguments>),
    /// Starts a frontend and a small distributed store with its clients, and queries them.
    ///
    /// Without a query this opens the REPL. All processes end with it.
    #[command(after_help = DEMO_HELP)]
    Demo(DemoArguments),
    /// Asks SQL of what queries have found, and of what the frontend knows.
    #[command(after_help = SQL_HELP)]
    Sql(SqlArguments),
    /// Lays out files of queries: a clause a line, keywords in capitals, comments where they were.
    Fmt(FmtArguments),
    /// One process of the demo's store.
    #[command(hide = true)]
    Store(Box<pivot_store::ProcessOptions>),
}

/// Stands below the help of the demo.
const DEMO_HELP: &str = "\
Examples:
  pivot demo                                      the REPL, with a query to begin with
  pivot demo -f queries/paper/q2.pivot --for 15s  one query of the case study, then the end
  pivot demo -f a.pivot -f b.pivot --for 15s --format ndjson";

/// Stands below the help of `pivot sql`.
const SQL_HELP: &str = "\
Examples:
  pivot sql 'SHOW TABLES'
  pivot sql 'SELECT number, name, busy FROM pivot.queries ORDER BY busy DESC'
  pivot sql 'SELECT host, count(*) FROM pivot.agents GROUP BY host' --format csv";

/// Options of `pivot sql`.
#[derive(Debug, Args)]
pub struct SqlArguments {
    /// Statements to answer, one after the other; those of standard input if none are given.
    #[arg(value_name = "STATEMENT", conflicts_with = "file")]
    pub text: Option<String>,
    /// File with statements to answer.
    #[arg(short = 'f', long = "file", value_name = "PATH")]
    pub file: Option<PathBuf>,
    /// The most rows of each answer; the frontend has a limit of its own.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub rows: Option<u64>,
    /// How answers are printed.
    #[arg(long, value_enum, default_value_t = OutputFormat::Table)]
    pub format: OutputFormat,
    /// Address of the frontend.
    #[arg(long, env = "PIVOT_FRONTEND", value_name = "URI", default_value = "http://127.0.0.1:7468")]
    pub frontend: String,
}

/// Options of `pivot fmt`.
#[derive(Debug, Args)]
pub struct FmtArguments {
    /// Files to lay out in place; standard input to standard output if there is none.
    #[arg(value_name = "PATH")]
    pub files: Vec<PathBuf>,
    /// Writes nothing, and fails if a file would change.
    #[arg(long, requires = "files")]
    pub check: bool,
}

/// Options of `pivot server`.
#[derive(Debug, Args)]
#[command(after_help = SERVER_HELP, args_conflicts_with_subcommands = true)]
pub struct ServerArguments {
    /// The task, if it is another than to serve.
    #[command(subcommand)]
    pub task: Option<ServerTask>,
    /// The settings of the command line and of the environment.
    #[command(flatten)]
    pub settings: ServerSettings,
    /// TOML file with settings by the names of their flags, such as client-grace = "5m".
    #[arg(long, value_name = "FILE", env = "PIVOT_CONFIG")]
    pub config: Option<PathBuf>,
    /// Checks the settings, prints all of them in the form of such a file, and starts nothing.
    #[arg(long)]
    pub check_config: bool,
}

/// The tasks about a server that runs.
#[derive(Debug, Subcommand)]
pub enum ServerTask {
    /// Copies what a running frontend has stored into a new file.
    ///
    /// To go on from it, stop the server, put the file into its data directory as pivot.redb, and start it: it is another
    /// frontend then, with the same queries, numbers and results. What agents have reported since is missing, and the
    /// results say so.
    #[command(verbatim_doc_comment)]
    Backup(BackupArguments),
}

/// Options of `pivot server backup`.
#[derive(Debug, Args)]
pub struct BackupArguments {
    /// File to write, which must not be there yet.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Address of the frontend.
    #[arg(long, env = "PIVOT_FRONTEND", value_name = "URI", default_value = "http://127.0.0.1:7468")]
    pub frontend: String,
}

/// Stands below the help of the server.
const SERVER_HELP: &str = "\
A setting is taken from the command line, else from the environment, else from the file, else it is the default.";

/// Options of `pivot demo`.
#[derive(Debug, Args)]
pub struct DemoArguments {
    /// The system to start.
    #[arg(value_enum, default_value_t = DemoChoice::Store)]
    pub system: DemoChoice,
    /// Queries to run without a REPL.
    #[command(flatten)]
    pub batch: BatchArguments,
    /// How many data nodes the store has.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=16))]
    pub data_nodes: u16,
    /// Of so many reads, each data node fails one on purpose, so that there is something to find; 0 for none.
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub fail_every: u64,
    /// Address of the frontend; the default port, or a free one if that is taken.
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,
}

/// The demo system that `pivot demo` runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DemoChoice {
    /// A distributed file store: a name node, data nodes, and clients that read, scan and sort.
    Store,
}

/// Queries to run without a REPL, and how.
#[derive(Debug, Clone, Default, Args)]
pub struct BatchArguments {
    /// A value for `$name` in the statements, such as limit=5 or app='get it'
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = crate::params::parse_pair)]
    pub params: Vec<(String, pivot_advice::Value)>,
    /// Statements to run.
    #[arg(short = 'c', long = "command", value_name = "QUERY", conflicts_with = "files")]
    pub text: Option<String>,
    /// File with statements to run; its stem becomes the query's name. May be given several times.
    #[arg(short = 'f', long = "file", value_name = "PATH")]
    pub files: Vec<PathBuf>,
    /// How long to run, such as 500ms, 10s, 2m; until Ctrl-C if not given.
    #[arg(long = "for", value_name = "DURATION", value_parser = parse_duration)]
    pub duration: Option<Duration>,
    /// Leaves the queries installed when this command ends, which it does at once, and prints number and name of each.
    #[arg(long, conflicts_with = "duration")]
    pub detach: bool,
    /// How results are printed.
    #[arg(long, value_enum, default_value_t = OutputFormat::Table)]
    pub format: OutputFormat,
}

impl BatchArguments {
    /// Returns whether a query was given.
    pub fn has_text(&self) -> bool {
        self.text.is_some() || !self.files.is_empty()
    }

    /// Returns the values of `$name`. If a name was given several times, its last value wins.
    pub(crate) fn params(&self) -> QueryParams {
        self.params.iter().cloned().collect()
    }

    /// Returns whether a query was given, or a duration for which one should run.
    pub fn is_given(&self) -> bool {
        self.has_text() || self.duration.is_some()
    }
}

/// How results are printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// A table per window, for people.
    #[default]
    Table,
    /// A JSON document per window, one per line. Its `completeness` says what is missing.
    Json,
    /// A JSON document per row, one per line, and behind the rows of each window one with its `completeness`.
    Ndjson,
    /// Comma-separated values with one header. The last two columns, `partial` and `missing`, say what is missing.
    Csv,
    /// A Markdown table per window.
    Md,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use clap::CommandFactory;

    fn parse(line: &str) -> Result<CliArguments, clap::Error> {
        CliArguments::try_parse_from(line.split_whitespace())
    }

    #[test]
    fn the_command_line_is_consistent() {
        CliArguments::command().debug_assert();
    }

    #[test]
    fn the_demo_takes_the_same_query_options_as_the_client() {
        let arguments = parse("pivot demo store --for 1.5s -f q.pivot --format csv --data-nodes 2").unwrap();
        let Some(PivotSubcommand::Demo(demo)) = arguments.command else { panic!("demo was asked for") };
        assert_eq!(demo.data_nodes, 2);
        assert_eq!(demo.batch.duration, Some(Duration::from_millis(1_500)));
        assert_eq!(demo.batch.format, OutputFormat::Csv);
        assert!(demo.batch.is_given());
    }

    #[test]
    fn a_query_and_a_file_exclude_each_other() {
        assert!(parse("pivot -c FROM -f q.pivot").is_err());
        assert_eq!(parse("pivot -f a.pivot -f b.pivot").unwrap().batch.files.len(), 2);
    }
}
