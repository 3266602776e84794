//! A running frontend: one port with both gRPC services and HTTP, and the tasks beside it.
//!
//! ```text
//! port ──┬── AgentsService ──┐
//!        ├── ClientsService ─┼─▶ SharedState ◀─┬── commit_regularly       every 50 ms
//!        └── http_routes ────┘                 └── recompile_on_changes   when tracepoints change
//! ```

use crate::accepted_connections::{accept, engage, refuse_surplus, room};
use crate::agents_service::AgentsService;
use crate::allowed_hosts::AllowedHosts;
use crate::clients_service::ClientsService;
use crate::compilation::Compiler;
use crate::doors::{add_reflection, health_service};
use crate::error::FrontendError;
use crate::guarded_connection::GuardedConnection;
use crate::history::Archive;
use crate::http_routes::routes;
use crate::options::FrontendOptions;
use crate::server_clock::ServerClock;
use crate::shared_state::SharedState;
use crate::sql::SqlEngine;
use crate::state::FrontendState;
use crate::store::{Store, StoredState};
use futures::stream::{Stream, TryStreamExt};
use pivot_protocol::MAX_MESSAGE_BYTES;
use pivot_protocol::wire::agents_server::AgentsServer;
use pivot_protocol::wire::frontend_server::FrontendServer;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::service::Routes;
use tonic::service::interceptor::InterceptedService;
use tracing::{error, info, warn};

/// How often what was reported is merged and stored, and windows are examined for whether they are due.
const COMMIT_INTERVAL: Duration = Duration::from_millis(50);

/// How often it is looked at what is to be done for history, at least and at most.
const MAINTAIN_LEAST: Duration = Duration::from_millis(100);
const MAINTAIN_MOST: Duration = Duration::from_secs(10);

/// How often connections without traffic are tried, so that a vanished peer is noticed.
const KEEPALIVE: Duration = Duration::from_secs(10);

/// How often agents are told that the frontend lives while it cannot store anything.
const KEEP_ALIVE: Duration = Duration::from_secs(5);

/// How long the last commit may take. What it does not store, agents still have.
const LAST_COMMIT: Duration = Duration::from_secs(3);

/// How long open streams may take to end.
const STOP: Duration = Duration::from_secs(1);

/// A frontend that serves until it is stopped.
#[derive(Debug)]
pub struct RunningFrontend {
    address: SocketAddr,
    shared: Arc<SharedState>,
    /// Tells the server to accept no more connections.
    stop: oneshot::Sender<()>,
    server: JoinHandle<()>,
    committer: JoinHandle<()>,
    recompiler: JoinHandle<()>,
    archivist: JoinHandle<()>,
}

impl RunningFrontend {
    /// Returns the address it listens on; the port is the one found if 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stores what is not stored yet, tells clients that the frontend stops, ends all streams and stops serving, within
    /// seconds.
    pub async fn stop(mut self) {
        self.committer.abort();
        self.recompiler.abort();
        self.archivist.abort();
        // What agents have reported until now need not be sent again.
        match tokio::time::timeout(LAST_COMMIT, self.shared.commit()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => error!("the frontend cannot store its state at the end: {error}"),
            Err(_) => {
                error!("the frontend ends without storing its state, which takes longer than {LAST_COMMIT:?}")
            }
        }
        self.shared.stop();

        // The server may have ended already; then nobody listens.
        let _ = self.stop.send(());
        if tokio::time::timeout(STOP, &mut self.server).await.is_err() {
            self.server.abort();
        }
    }
}

/// Starts a frontend. Fails if the address cannot be listened on.
pub async fn start(options: FrontendOptions) -> Result<RunningFrontend, FrontendError> {
    let (listener, address) = listen(options.listen)
        .await
        .map_err(|source| FrontendError::Listen { address: options.listen, source })?;
    let coming = TcpListenerStream::new(listener).inspect_ok(|stream| {
        // Messages are small and are waited for.
        let _ = stream.set_nodelay(true);
    });
    start_over(FrontendOptions { listen: address, ..options }, coming)
}

/// Starts a frontend over connections that somebody else accepts at [`FrontendOptions::listen`].
pub fn start_over<S>(
    options: FrontendOptions,
    coming: impl Stream<Item = io::Result<S>> + Send + 'static,
) -> Result<RunningFrontend, FrontendError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let address = options.listen;
    let shared = Arc::new(open_state(&options)?);
    let sql =
        SqlEngine::start(options.sql).map_err(|error| FrontendError::Sql { reason: error.to_string() })?;

    let (stop, stopped) = oneshot::channel();
    let connections = accept(coming, room(options.max_connections), shared.connections.clone());
    let routes = served_routes(&shared, Arc::new(sql), AllowedHosts::at(address.ip()));
    let server = tokio::spawn(serve(connections, routes, stopped));
    let committer = tokio::spawn(commit_regularly(shared.clone()));
    let recompiler = tokio::spawn(shared.clone().recompile_on_changes());
    let archivist = tokio::spawn(maintain_history(shared.clone(), options.history.file_after));
    Ok(RunningFrontend { address, shared, stop, server, committer, recompiler, archivist })
}

async fn listen(address: SocketAddr) -> std::io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// Returns all routes: those of both gRPC services, and of HTTP.
fn served_routes(shared: &Arc<SharedState>, sql: Arc<SqlEngine>, hosts: AllowedHosts) -> Routes {
    let agents = AgentsServer::new(AgentsService::new(shared.clone()))
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES);
    let service = ClientsService::new(shared.clone(), sql);
    let clients = FrontendServer::new(service.clone())
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES);

    let grpc = Routes::new(InterceptedService::new(agents, refuse_surplus))
        .add_service(InterceptedService::new(clients, engage))
        .add_service(InterceptedService::new(health_service(shared), engage));
    let grpc = add_reflection(grpc.clone()).unwrap_or_else(|error| {
        // Nobody can ask what there is; all else goes on.
        error!("the frontend cannot say what it can do: {error}");
        grpc
    });
    routes(service, grpc.into_axum_router(), hosts).into()
}

/// Serves agents and clients until it is told to stop.
async fn serve<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    connections: impl Stream<Item = io::Result<GuardedConnection<S>>>,
    routes: Routes,
    stopped: oneshot::Receiver<()>,
) {
    let served = tonic::transport::Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE))
        .accept_http1(true)
        .add_routes(routes)
        .serve_with_incoming_shutdown(connections, async {
            // A dropped sender means stop as well.
            let _ = stopped.await;
        })
        .await;

    if let Err(error) = served {
        error!("the frontend's server ended: {error}");
    }
}

/// Merges, stores and shows what was reported, until it is aborted.
async fn commit_regularly(shared: Arc<SharedState>) {
    let mut interval = tokio::time::interval(COMMIT_INTERVAL);
    // After a pause of the process one commit does what all those would that were missed.
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told = None;
    let mut kept_alive = Instant::now();

    loop {
        interval.tick().await;
        let problem = shared.commit().await.err().map(|error| error.to_string());
        if problem.is_some() && kept_alive.elapsed() >= KEEP_ALIVE {
            kept_alive = Instant::now();
            shared.lock().keep_agents_alive();
        }
        // Said once, and again when it is over.
        if problem != told {
            match &problem {
                Some(problem) => {
                    error!("the frontend cannot store its state, and shows nothing new: {problem}")
                }
                None => info!("the frontend stores its state again"),
            }
            told = problem;
        }
    }
}

/// Puts windows into files after some time, and removes what is not kept any more, until it is aborted.
async fn maintain_history(shared: Arc<SharedState>, file_after: Duration) {
    let Some(archive) = shared.archive() else { return };
    let mut interval = tokio::time::interval((file_after / 2).clamp(MAINTAIN_LEAST, MAINTAIN_MOST));
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told = None;

    loop {
        interval.tick().await;
        let problem = shared.maintain_history(archive).await.err().map(|error| error.to_string());
        // Said once, and again when it is over.
        if problem != told {
            match &problem {
                Some(problem) => error!("windows stay in the store and are not put into files: {problem}"),
                None => info!("windows are put into files again"),
            }
            told = problem;
        }
    }
}

/// Opens the data directory and takes up the state that is in it.
fn open_state(options: &FrontendOptions) -> Result<SharedState, FrontendError> {
    let Some(directory) = &options.data else {
        let clock = ServerClock::start(options.machine.clone(), None);
        let state = FrontendState::new(options, clock.now_ns());
        return Ok(SharedState::new(state, Arc::new(Store::none()), None, clock));
    };
    let opened = Store::open(&options.machine, directory)
        .map_err(|error| FrontendError::Data { reason: error.to_string() })?;
    if let Some(aside) = &opened.set_aside {
        let aside = aside.display();
        warn!("the stored state could not be read: it is in {aside} now, and the frontend begins anew");
    }

    let stored_clock = opened.state.as_ref().and_then(|stored| stored.frontend.clock.as_ref());
    let clock = ServerClock::start(options.machine.clone(), stored_clock);
    let state = match opened.state {
        Some(stored) => take_up(options, stored, clock.now_ns()),
        None => FrontendState::new(options, clock.now_ns()),
    };

    let store = Arc::new(opened.store);
    if !options.machine.has_files() {
        return Ok(SharedState::new(state, store, None, clock));
    }
    let (frontend, history) = (state.queries.frontend, options.history.clone());
    let archive = Archive::open(store.clone(), directory, frontend, history);
    let archive = archive.map_err(|error| FrontendError::Data { reason: error.to_string() })?;
    Ok(SharedState::new(state, store, Some(archive), clock))
}

/// Makes the state that was stored, and says what could not be taken over.
fn take_up(options: &FrontendOptions, stored: StoredState, now_ns: i64) -> FrontendState {
    let compiler: Compiler = Arc::new(pivot_query::compile_with);
    let (state, problems) = FrontendState::restore(options, stored, &compiler, now_ns);
    for problem in problems {
        warn!("{problem}");
    }

    info!(
        queries = state.active().count(),
        agents = state.registry.iter().count(),
        "the stored state is taken up"
    );
    state
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::net::Ipv4Addr;

    #[tokio::test]
    async fn a_taken_port_is_an_error_that_names_the_address() {
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let running = start(FrontendOptions { listen, ..FrontendOptions::default() }).await.unwrap();
        let taken = FrontendOptions { listen: running.address(), ..FrontendOptions::default() };
        let error = start(taken).await.unwrap_err();
        assert!(error.to_string().contains(&running.address().to_string()));
        running.stop().await;
    }
}
