//! A small distributed file store that can be pivoted.
//!
//! ```text
//! get scan sort stress ──open, GetBlockLocations──▶ name node
//!          │                                            ▲ heartbeats
//!          ├──ReadBlock (first replica listed)──▶ data node 1..n
//!          └──WriteBlock──▶ data node ─▶ data node ─▶ data node
//! ```
//!
//! Every box is a process of its own, every arrow is gRPC on loopback, every block is a file.
//! The name node lists replicas in a static order and clients take the first one, so the load
//! is skewed on purpose: this is what the queries of the case study find.
//!
//! ```no_run
//! use pivot_store::{Cluster, Plan};
//!
//! # fn main() -> Result<(), pivot_store::StoreError> {
//! // The command must run `pivot_store::run` with the options that it is given.
//! let cluster = Cluster::start(Plan::default(), |_, options| {
//!     let mut command = std::process::Command::new("store");
//!     command.args(options.to_args());
//!     command
//! })?;
//! println!("name node at {}", cluster.name_node());
//! # Ok(())
//! # }
//! ```
//!
//! Reading order: [`Role`] and [`Options`], [`run`], the name node (`namespace`, `name_node`), the
//! data node (`blocks`, `cache`, `data_node`), [`Client`], the work loads (`load`, `measure`), [`Cluster`], and what the store uses of Pivot (`pivoting`).

mod blocks;
mod cache;
mod client;
mod cluster;
mod data_node;
mod error;
mod files;
mod heartbeat;
mod links;
mod load;
mod measure;
mod meter;
mod name_node;
mod namespace;
mod options;
mod pivoting;
mod plan;
mod rpc;
mod run;
mod stop;
mod wire;

pub use client::{BlockPlace, Client, FileStatus};
pub use cluster::{Cluster, Member};
pub use error::StoreError;
pub use files::{Dataset, content};
pub use meter::{AppSummary, Summary};
pub use options::{Options, Role};
pub use plan::Plan;
pub use run::run;
