//! Connections to peers, kept by address, and the one line in the log when one goes away.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tonic::transport::{Channel, Endpoint};
use tower_layer::Layer;

use crate::StoreError;
use crate::generated::data_node_client::DataNodeClient;
use crate::generated::name_node_client::NameNodeClient;
use crate::pivot_runtime::ClientLayer;

/// A channel that carries the request's baggage.
pub(crate) type PropagatingChannel = <ClientLayer as Layer<Channel>>::Service;

/// Longest wait for the begin of an answer, and for each packet after it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

const WINDOW_BYTES: u32 = 1 << 20;

/// Connections by address. A connection that broke is made again by the next call on it.
#[derive(Default)]
pub(crate) struct Connections {
    by_address: Mutex<HashMap<String, PropagatingChannel>>,
    missing: Mutex<HashSet<String>>,
}

impl Connections {
    pub(crate) fn name_node(&self, address: &str) -> Result<NameNodeClient<PropagatingChannel>, StoreError> {
        Ok(NameNodeClient::new(self.link(address)?))
    }

    pub(crate) fn data_node(&self, address: &str) -> Result<DataNodeClient<PropagatingChannel>, StoreError> {
        Ok(DataNodeClient::new(self.link(address)?))
    }

    fn link(&self, address: &str) -> Result<PropagatingChannel, StoreError> {
        let mut links = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(link) = links.get(address) {
            return Ok(link.clone());
        }
        let endpoint = Endpoint::from_shared(format!("http://{address}"))
            .map_err(|_| StoreError::Address { address: address.to_owned() })?;
        let channel = endpoint
            .connect_timeout(Duration::from_secs(1))
            .timeout(PATIENCE)
            .initial_stream_window_size(WINDOW_BYTES)
            .initial_connection_window_size(4 * WINDOW_BYTES)
            .tcp_nodelay(true)
            .connect_lazy();
        let link = ClientLayer::new().layer(channel);
        links.insert(address.to_owned(), link.clone());
        Ok(link)
    }

    /// Logs the first failure of a peer; the following ones are silent until it answers again.
    pub(crate) fn lost(&self, peer: &str, reason: &dyn std::fmt::Display) {
        if self.missing.lock().unwrap_or_else(PoisonError::into_inner).insert(peer.to_owned()) {
            eprintln!("{peer} does not answer: {reason}");
        }
    }

    /// Notes that a peer answered.
    pub(crate) fn found(&self, peer: &str) {
        if self.missing.lock().unwrap_or_else(PoisonError::into_inner).remove(peer) {
            eprintln!("{peer} answers again");
        }
    }
}

impl std::fmt::Debug for Connections {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connections").field("missing", &self.missing).finish_non_exhaustive()
    }
}
