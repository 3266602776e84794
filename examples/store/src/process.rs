//! [`run`]: one process of the store, from start to end.
//!
//! Its standard output is read by supervisors: a server prints `listening <addr>` once it serves
//! (a data node: once the name node knows it), a client prints `ready`.

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Error, Server};

use crate::block_files::BlockFiles;
use crate::connections::Connections;
use crate::data_node::{DataNode, READERS};
use crate::generated::Node;
use crate::generated::data_node_server::DataNodeServer;
use crate::generated::name_node_server::NameNodeServer;
use crate::heartbeat::HeartbeatSender;
use crate::measure_role;
use crate::name_node::NameNode;
use crate::pivot_runtime::{ServerLayer, start_agent};
use crate::process_counters::ProcessCounters;
use crate::shutdown::ShutdownSignal;
use crate::{ProcessOptions, ProcessRole, ProcessSummary, StoreError, workload};

/// How often the statistics on disk are written.
const REFRESH: Duration = Duration::from_secs(1);

/// The longest time a server gives the RPCs under way when it has to end.
const GRACE: Duration = Duration::from_secs(1);

const WINDOW_BYTES: u32 = 1 << 20;

/// Runs one process until it has to end: Ctrl-C, SIGTERM, the end of standard input if supervised,
/// and for clients the file `stop` or the last operation. Returns what it did, which is also
/// left in `<data_dir>/<name>.stats.json`.
pub async fn run(options: ProcessOptions) -> Result<ProcessSummary, StoreError> {
    std::fs::create_dir_all(&options.data_dir).map_err(|error| StoreError::disk(&options.data_dir, error))?;
    let _guard = start_agent(&options)?;
    let stop = ShutdownSignal::listen(&options)?;
    let counters = Arc::new(ProcessCounters::default());

    let done = tokio::select! {
        done = work(&options, &stop, &counters) => done,
        failed = refresh_statistics(&options, &counters) => failed,
        () = stop.orphaned() => Ok(()),
    };

    // Without a supervisor nobody removes the files, and nobody reads the statistics.
    let summary = counters.summary(&options);
    match stop.is_orphaned() {
        true => workload::remove_leftovers(&options),
        false => summary.write(&options.stats_path())?,
    }
    done.map(|()| summary)
}

/// Does what the role says until the process has to end.
async fn work(
    options: &ProcessOptions,
    stop: &ShutdownSignal,
    counters: &Arc<ProcessCounters>,
) -> Result<(), StoreError> {
    match options.role {
        ProcessRole::NameNode => name_node(options, stop, counters).await,
        ProcessRole::DataNode => data_node(options, stop, counters).await,
        ProcessRole::Measure => measure_role::run(options).await,
        _ => workload::run(options, stop, counters).await,
    }
}

/// Writes the statistics to the disk again and again. Returns only if that fails.
async fn refresh_statistics(options: &ProcessOptions, counters: &ProcessCounters) -> Result<(), StoreError> {
    loop {
        tokio::time::sleep(REFRESH).await;
        counters.summary(options).write(&options.stats_path())?;
    }
}

/// Serves as the name node.
async fn name_node(
    options: &ProcessOptions,
    stop: &ShutdownSignal,
    counters: &Arc<ProcessCounters>,
) -> Result<(), StoreError> {
    let service = NameNodeServer::new(NameNode::start(options, counters.clone())?);
    let (incoming, address) = listen(options).await?;
    println!("listening {address}");
    let router = server().layer(ServerLayer::new()).add_service(service);
    serve(options, router.serve_with_incoming_shutdown(incoming, stop.requested()), stop).await
}

/// Serves as a data node, and sends heartbeats.
async fn data_node(
    options: &ProcessOptions,
    stop: &ShutdownSignal,
    counters: &Arc<ProcessCounters>,
) -> Result<(), StoreError> {
    let blocks = Arc::new(BlockFiles::open(options.folder())?);
    let connections = Arc::new(Connections::default());
    let (incoming, address) = listen(options).await?;

    let service = DataNode {
        host: options.name.clone(),
        blocks: blocks.clone(),
        connections: connections.clone(),
        counters: counters.clone(),
        cache: Arc::default(),
        readers: Arc::new(Semaphore::new(READERS)),
        fail_every: options.fail_every,
        reads: AtomicU64::new(0),
    };
    let router = server().layer(ServerLayer::new()).add_service(DataNodeServer::new(service));
    let serving = router.serve_with_incoming_shutdown(incoming, stop.requested());

    // The time of the start tells two starts of a data node apart.
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let heartbeat = HeartbeatSender {
        node: Node { host: options.name.clone(), address: address.to_string() },
        incarnation: since_epoch.as_nanos() as u64,
        name_node: options.name_node.clone(),
        blocks,
        connections,
        beats: AtomicU64::new(0),
    };

    // Supervisors start clients when all servers are ready: this one is when the name node knows it.
    let beating = heartbeat.run(stop, || println!("listening {address}"));
    let (served, beaten) = futures::join!(serve(options, serving, stop), beating);
    served.and(beaten)
}

/// Listens, with `TCP_NODELAY` on connections: the server's own option for it is for listeners that it makes
/// itself.
async fn listen(options: &ProcessOptions) -> Result<(TcpIncoming, SocketAddr), StoreError> {
    let address = options.listen.unwrap_or(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    let failed = |error: std::io::Error| StoreError::Serve(options.name.clone(), error.to_string());
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let actual = listener.local_addr().map_err(failed)?;
    Ok((TcpIncoming::from(listener).with_nodelay(Some(true)), actual))
}

fn server() -> Server {
    Server::builder()
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(4 * WINDOW_BYTES)
}

/// Serves until the process has to end, then lets the RPCs under way end within [`GRACE`].
async fn serve(
    options: &ProcessOptions,
    serving: impl Future<Output = Result<(), Error>>,
    stop: &ShutdownSignal,
) -> Result<(), StoreError> {
    let ended = tokio::select! {
        ended = serving => ended,
        () = after_grace(stop.requested()) => Ok(()),
    };
    ended.map_err(|error| StoreError::Serve(options.name.clone(), error.to_string()))
}

/// Resolves [`GRACE`] after the process has to end.
async fn after_grace(requested: impl Future<Output = ()>) {
    requested.await;
    tokio::time::sleep(GRACE).await;
}
