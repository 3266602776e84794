//! The face of Pivot: the `pivot` command with its REPL, unattended queries, server and demo.
//!
//! ```text
//! terminal ─arguments─▶ server | demo | batch | repl
//!                                        │            │
//!                           FrontendConnection ◀─┴────────────┘   (gRPC, the public Frontend service)
//!                               │ frames
//!                               └──▶ format (json, csv, ...) | live ──▶ table ──▶ terminal
//! ```
//!
//! ```
//! use clap::Parser;
//! use pivot_cli::arguments::Arguments;
//!
//! let arguments = Arguments::parse_from(["pivot", "-c", "FROM e IN T SELECT COUNT", "--for", "10s"]);
//! assert_eq!(arguments.batch.duration.map(|d| d.as_secs()), Some(10));
//! ```
//!
//! Reading order: [`arguments`], `client` and `frame`, `text` and `table`, `format`, `unattended`,
//! `live`, `repl`, `server`, `demo`, [`run`].

pub mod arguments;
mod batch;
mod client;
mod demo;
mod diagnostic_text;
mod dispatch;
pub mod error;
mod fmt;
mod format;
mod input;
mod live;
mod params;
mod repl;
mod result_frame;
mod server;
mod table;
mod text;

pub use dispatch::run;
pub use error::CliError;
