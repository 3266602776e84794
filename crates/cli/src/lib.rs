//! The `pivot` command: REPL, batch queries, server, demo and formatter.
//!
//! ```text
//! command line ─arguments─▶ dispatch ─┬─▶ server, demo, fmt
//!                                     ├─▶ batch (-c, -f, a pipe)      ├─▶ repl (on a terminal)
//!                                     │     │                               │
//!                                     │     └──▶ client: FrontendConnection ◀┘   gRPC, the public Frontend service
//!                                     │                │ ResultFrame
//!                                     │     ┌──────────┴──────────┐
//!                                     │     ▼                     ▼
//!                                     │   format                 live
//!                                     │   (json, csv, md, ..)    (redrawn in place)
//!                                     │     └──────▶ table ◀──────┘
//!                                     ▼               ▼
//!                                  exit code       terminal, pipe or file
//! ```
//!
//! The client holds no compiler and no state of queries: the frontend says what a query compiles to, what its
//! columns mean, and how it stands. Only `demo` compiles, to refuse a wrong query before it starts anything.
//!
//! ```
//! use clap::Parser;
//! use pivot_cli::arguments::CliArguments;
//!
//! let arguments = CliArguments::parse_from(["pivot", "-c", "FROM e IN T SELECT COUNT", "--for", "10s"]);
//! assert_eq!(arguments.batch.duration.map(|d| d.as_secs()), Some(10));
//! // pivot_cli::run(arguments) would install the query at the frontend and print its windows for ten seconds.
//! ```
//!
//! **Front door:** [`run`] does what [`arguments::CliArguments`] say.
//!
//! **Reading order:** [`arguments`] and `subcommands`; `client` with `client_session`, `result_frame` and `frontend_lists`, which everything is about;
//! `humanize`, `terminal_text` and `table`, which make text; `input`, `statement_kind` and `params`, which read text; `format` and
//! `batch` with `detach`; `live`; `sql`; `repl`; `server` with its settings (`server_settings`, `config_file`) and `logs`, `backup`, `demo` and `fmt`.

pub mod arguments;
mod backup;
mod batch;
mod batch_statement;
mod bytes_text;
mod client;
mod client_session;
mod config_file;
mod data_directory;
mod demo;
mod detach;
mod diagnostic_text;
mod duration_text;
pub mod error;
mod fmt;
mod format;
mod frame_reader;
mod frontend_lists;
mod humanize;
mod input;
mod live;
mod logs;
mod outside_notices;
mod params;
mod query_owner;
mod repl;
mod result_frame;
mod ruled_out;
mod server;
pub mod server_settings;
mod sql;
mod statement_kind;
mod subcommands;
mod table;
mod terminal;
mod terminal_text;

pub use error::CliError;
pub use subcommands::run;
