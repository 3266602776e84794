//! One port with both services, and the task that closes windows.

use crate::agents_service::AgentsService;
use crate::clients_service::ClientsService;
use crate::error::FrontendError;
use crate::options::FrontendOptions;
use crate::state::{FrontendState, SharedState, now_ns};
use pivot_protocol::MAX_MESSAGE_BYTES;
use pivot_protocol::wire::agents_server::AgentsServer;
use pivot_protocol::wire::frontend_server::FrontendServer;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::transport::server::TcpIncoming;

/// How often windows are looked at.
const TICK: Duration = Duration::from_millis(100);

/// How long open streams may take to end.
const STOP: Duration = Duration::from_secs(1);

/// A frontend that serves until it is stopped.
#[derive(Debug)]
pub struct RunningFrontend {
    address: SocketAddr,
    shared: Arc<SharedState>,
    stop: oneshot::Sender<()>,
    server: JoinHandle<()>,
    closer: JoinHandle<()>,
}

impl RunningFrontend {
    /// Where it listens; the port is the one found if 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends all streams and stops serving, within a second or so.
    pub async fn stop(mut self) {
        self.closer.abort();
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
    let listen = options.listen;
    let failed = |source| FrontendError::Listen { address: listen, source };
    let listener = TcpListener::bind(listen).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let shared = Arc::new(SharedState::new(FrontendState::new(&options)));
    let agents = AgentsServer::new(AgentsService::new(shared.clone()))
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES);
    let clients = FrontendServer::new(ClientsService::new(shared.clone()))
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES);
    let (stop, stopped) = oneshot::channel::<()>();
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let server = tonic::transport::Server::builder()
        .http2_keepalive_interval(Some(Duration::from_secs(10)))
        .add_service(agents)
        .add_service(clients)
        .serve_with_incoming_shutdown(incoming, async {
            // A dropped sender means stop as well.
            let _ = stopped.await;
        });
    let server = tokio::spawn(async {
        if let Err(error) = server.await {
            eprintln!("the frontend's server ended: {error}");
        }
    });
    let closer = tokio::spawn(close_windows(shared.clone()));
    Ok(RunningFrontend { address, shared, stop, server, closer })
}

/// Makes frames of the windows that are over.
async fn close_windows(shared: Arc<SharedState>) {
    let mut interval = tokio::time::interval(TICK);
    loop {
        interval.tick().await;
        shared.lock().tick(now_ns());
    }
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
