//! How a data node stays known: it says where it is and what it holds, and deletes what it is told to.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::StoreError;
use crate::block_files::BlockFiles;
use crate::connections::Connections;
use crate::generated::{BlockReport, HeartbeatRequest, Node};
use crate::shutdown::Shutdown;

const INTERVAL: Duration = Duration::from_millis(300);

/// Of so many heartbeats, one says what the node holds: a report takes the longer the more blocks there are.
const REPORT_EVERY: u64 = 10;

/// The heart of one data node.
#[derive(Debug)]
pub(crate) struct Heartbeat {
    pub(crate) node: Node,
    /// Differs between two starts of the same data node.
    pub(crate) incarnation: u64,
    pub(crate) name_node: String,
    pub(crate) blocks: Arc<BlockFiles>,
    pub(crate) links: Arc<Connections>,
    pub(crate) beats: AtomicU64,
}

impl Heartbeat {
    /// Beats until the process has to end, and calls `registered` after the first beat that arrived.
    pub(crate) async fn run(&self, stop: &Shutdown, registered: impl FnOnce()) -> Result<(), StoreError> {
        let mut registered = Some(registered);
        while !stop.is_requested() {
            match self.beat().await {
                Ok(()) => {
                    self.links.found(&self.name_node);
                    if let Some(registered) = registered.take() {
                        registered();
                    }
                }
                Err(error) if error.is_passing() => self.links.lost(&self.name_node, &error),
                Err(error) => return Err(error),
            }
            stop.pause(INTERVAL).await;
        }
        Ok(())
    }

    async fn beat(&self) -> Result<(), StoreError> {
        let due = self.beats.fetch_add(1, Ordering::Relaxed).is_multiple_of(REPORT_EVERY);
        // A name node that has started anew asks for the report.
        if self.send(due).await? && !due { self.send(true).await.map(drop) } else { Ok(()) }
    }

    /// Sends one heartbeat, with a report or not; whether one is wanted.
    async fn send(&self, reports: bool) -> Result<bool, StoreError> {
        let beat = HeartbeatRequest {
            node: Some(self.node.clone()),
            incarnation: self.incarnation,
            report: reports.then(|| BlockReport { blocks: self.blocks.list() }),
        };
        let mut name_node = self.links.name_node(&self.name_node)?;
        let reply =
            name_node.heartbeat(beat).await.map_err(|status| StoreError::rpc(&self.name_node, status))?;
        let reply = reply.into_inner();
        for block in reply.unwanted {
            self.blocks.remove(block);
        }
        Ok(reply.report_wanted)
    }
}
