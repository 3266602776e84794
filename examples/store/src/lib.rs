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
//! is skewed on purpose: the queries of the case study find it.
//!
//! ```no_run
//! use pivot_store::{Cluster, ClusterPlan};
//!
//! # fn main() -> Result<(), pivot_store::StoreError> {
//! // The command must run `pivot_store::run` with the options that it is given.
//! let cluster = Cluster::start(ClusterPlan::default(), |_, options| {
//!     let mut command = std::process::Command::new("store");
//!     command.args(options.to_args());
//!     command
//! })?;
//! println!("name node at {}", cluster.name_node());
//! # Ok(())
//! # }
//! ```
//!
//! Reading order: [`ProcessRole`] and [`ProcessOptions`], [`run`], the name node (`namespace`, `name_node`), the
//! data node (`block_files`, `page_cache`, `data_node`), [`StoreClient`], the work of clients (`workload`,
//! `measure_role`), [`Cluster`], and what the store uses of Pivot (`pivot_runtime`).

mod block_files;
mod client;
mod cluster;
mod cluster_plan;
mod connections;
mod data_node;
mod data_set;
mod error;
mod generated;
mod heartbeat;
mod measure_role;
mod name_node;
mod namespace;
mod page_cache;
mod pivot_runtime;
mod process;
mod process_counters;
mod process_options;
mod rpc_tracepoints;
mod shutdown;
mod workload;

pub use client::{BlockLocation, FileStatus, StoreClient};
pub use cluster::{Cluster, ClusterProcess};
pub use cluster_plan::ClusterPlan;
pub use data_set::{DataSet, content};
pub use error::StoreError;
pub use process::run;
pub use process_counters::{AppCounts, ProcessSummary};
pub use process_options::{ProcessOptions, ProcessRole};
