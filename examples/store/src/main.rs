//! `store <role> --name .. --data-dir ..` runs one process, `store cluster` runs all of them.

use std::ffi::OsString;
use std::process::{Command, ExitCode};

use anyhow::Context;
use clap::Parser;
use pivot_store::{Cluster, ClusterPlan, ProcessOptions, run};

#[derive(Parser)]
#[command(about, after_help = "`store <ROLE>` runs one process; `store datanode --help` lists its options.")]
enum StoreArguments {
    /// Starts a name node, data nodes and clients as processes, and stops them at Ctrl-C.
    Cluster(ClusterPlan),
    #[command(external_subcommand)]
    Role(Vec<OsString>),
}

#[derive(Parser)]
#[command(name = "store", about = "One process of the store")]
struct ProcessArguments {
    #[command(flatten)]
    options: ProcessOptions,
}

fn main() -> ExitCode {
    // Roles are no subcommands of their own: one set of options serves all of them.
    let done = match StoreArguments::parse() {
        StoreArguments::Cluster(plan) => supervise(plan),
        StoreArguments::Role(words) => {
            let words = std::iter::once("store".into()).chain(words);
            serve(ProcessArguments::parse_from(words).options)
        }
    };

    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs one process of the store.
#[tokio::main(flavor = "current_thread")]
async fn serve(options: ProcessOptions) -> anyhow::Result<()> {
    run(options).await?;
    Ok(())
}

/// Holds the cluster until its clients have ended. Ctrl-C ends this process, and thereby all.
fn supervise(plan: ClusterPlan) -> anyhow::Result<()> {
    let program = std::env::current_exe().context("cannot find the own binary")?;
    let mut cluster = Cluster::start(plan, move |_, options| {
        let mut command = Command::new(&program);
        command.args(options.to_args());
        command
    })?;

    for member in cluster.members() {
        println!(
            "{} {} pid {} {}",
            member.name(),
            member.role(),
            member.pid(),
            member.address().unwrap_or("-")
        );
    }
    println!("ready {}", cluster.folder().display());

    // With `--operations`; without, clients go on until Ctrl-C.
    cluster.wait_for_clients()?;
    cluster.stop();
    for summary in cluster.summaries() {
        println!("{} read {} wrote {} bytes", summary.host, summary.bytes_read, summary.bytes_written);
    }
    Ok(())
}
