//! The network between simulated hosts, as `tonic` uses one.

use futures::Stream;
use futures::future::BoxFuture;
use futures::stream::unfold;
use hyper_util::rt::TokioIo;
use std::io;
use std::task::{Context, Poll};
use tonic::codegen::http::Uri;
use tonic::transport::{Channel, Endpoint, Error};
use tower_service::Service;
use turmoil::net::{TcpListener, TcpStream};

/// The name of the frontend's host.
pub(crate) const FRONTEND: &str = "frontend";
pub(crate) const PORT: u16 = 7468;

/// Connects to a host of the simulation.
pub(crate) fn connect(endpoint: &Endpoint) -> impl Future<Output = Result<Channel, Error>> {
    endpoint.connect_with_connector(SimulatedConnector)
}

/// Returns all connections that come to this host.
pub(crate) async fn coming() -> io::Result<impl Stream<Item = io::Result<TcpStream>> + Send> {
    let listener = TcpListener::bind(("0.0.0.0", PORT)).await?;
    Ok(unfold(listener, |listener| async {
        let accepted = listener.accept().await.map(|(stream, _)| stream);
        Some((accepted, listener))
    }))
}

#[derive(Debug, Clone, Copy)]
struct SimulatedConnector;

impl Service<Uri> for SimulatedConnector {
    type Response = TokioIo<TcpStream>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<TokioIo<TcpStream>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        Box::pin(async move {
            let host = uri.host().unwrap_or(FRONTEND).to_owned();
            TcpStream::connect((host, PORT)).await.map(TokioIo::new)
        })
    }
}
