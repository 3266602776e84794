//! [`Connections`]: gRPC channels to peers, kept by address, and one line in the log when a peer stops or
//! starts to answer.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tonic::transport::{Channel, Endpoint};
use tower_layer::Layer;

use crate::StoreError;
use crate::generated::data_node_client::DataNodeClient;
use crate::generated::name_node_client::NameNodeClient;
use crate::pivot_runtime::ClientLayer;

/// A channel that carries the baggage of the request with every call.
pub(crate) type PropagatingChannel = <ClientLayer as Layer<Channel>>::Service;

/// The longest wait for the begin of an answer, and for each packet after it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

const WINDOW_BYTES: u32 = 1 << 20;

/// Channels by address. A connection that broke is made again by the next call on its channel.
#[derive(Default)]
pub(crate) struct Connections {
    by_address: Mutex<HashMap<String, PropagatingChannel>>,
    /// The peers that did not answer the last call.
    missing: Mutex<HashSet<String>>,
}

impl Connections {
    /// Returns a client of the name node at an address.
    pub(crate) fn name_node(&self, address: &str) -> Result<NameNodeClient<PropagatingChannel>, StoreError> {
        Ok(NameNodeClient::new(self.channel(address)?))
    }

    /// Returns a client of the data node at an address.
    pub(crate) fn data_node(&self, address: &str) -> Result<DataNodeClient<PropagatingChannel>, StoreError> {
        Ok(DataNodeClient::new(self.channel(address)?))
    }

    fn channel(&self, address: &str) -> Result<PropagatingChannel, StoreError> {
        let mut by_address = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(channel) = by_address.get(address) {
            return Ok(channel.clone());
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

        // The layer goes around the channel once, not around each call.
        let channel = ClientLayer::new().layer(channel);
        by_address.insert(address.to_owned(), channel.clone());
        Ok(channel)
    }

    /// Logs the first failure of a peer. The following ones are silent until it answers again.
    pub(crate) fn note_failure(&self, peer: &str, reason: &dyn std::fmt::Display) {
        if self.missing.lock().unwrap_or_else(PoisonError::into_inner).insert(peer.to_owned()) {
            eprintln!("{peer} does not answer: {reason}");
        }
    }

    /// Notes that a peer answered, and logs it if that is news.
    pub(crate) fn note_answer(&self, peer: &str) {
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
