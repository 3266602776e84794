//! [`HeartbeatSender`]: how a data node stays known to the name node. It says where it is, now and then which
//! blocks it holds, and deletes those that the reply calls unwanted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::StoreError;
use crate::block_files::BlockFiles;
use crate::connections::Connections;
use crate::generated::{BlockReport, HeartbeatRequest, Node};
use crate::shutdown::ShutdownSignal;

const INTERVAL: Duration = Duration::from_millis(300);

/// Every Nth heartbeat lists the blocks of the node. Not every one, since that takes the longer the more
/// blocks there are.
const REPORT_EVERY: u64 = 10;

/// Sends the heartbeats of one data node.
#[derive(Debug)]
pub(crate) struct HeartbeatSender {
    pub(crate) node: Node,
    /// Differs between two starts of the same data node: blocks may be gone after a start.
    pub(crate) incarnation: u64,
    pub(crate) name_node: String,
    pub(crate) blocks: Arc<BlockFiles>,
    pub(crate) connections: Arc<Connections>,
    /// The heartbeats sent so far.
    pub(crate) beats: AtomicU64,
}

impl HeartbeatSender {
    /// Sends heartbeats until the process has to end, and calls `registered` after the first that arrived.
    pub(crate) async fn run(
        &self,
        stop: &ShutdownSignal,
        registered: impl FnOnce(),
    ) -> Result<(), StoreError> {
        let mut registered = Some(registered);

        while !stop.is_requested() {
            match self.beat().await {
                Ok(()) => {
                    self.connections.note_answer(&self.name_node);
                    if let Some(registered) = registered.take() {
                        registered();
                    }
                }
                Err(error) if error.is_transient() => self.connections.note_failure(&self.name_node, &error),
                Err(error) => return Err(error),
            }

            stop.pause(INTERVAL).await;
        }
        Ok(())
    }

    async fn beat(&self) -> Result<(), StoreError> {
        let due = self.beats.fetch_add(1, Ordering::Relaxed).is_multiple_of(REPORT_EVERY);
        let report_wanted = self.send(due).await?;

        // A name node that has started anew knows no blocks, and asks for the report before it is due.
        if report_wanted && !due {
            self.send(true).await?;
        }
        Ok(())
    }

    /// Sends one heartbeat, with a report of all blocks or without. Returns whether the name node wants one.
    async fn send(&self, with_report: bool) -> Result<bool, StoreError> {
        let beat = HeartbeatRequest {
            node: Some(self.node.clone()),
            incarnation: self.incarnation,
            report: with_report.then(|| BlockReport { blocks: self.blocks.list() }),
        };
        let mut name_node = self.connections.name_node(&self.name_node)?;
        let reply =
            name_node.heartbeat(beat).await.map_err(|status| StoreError::rpc(&self.name_node, status))?;

        let reply = reply.into_inner();
        // Blocks of files that were deleted, or never completed.
        for block in reply.unwanted {
            self.blocks.remove(block);
        }
        Ok(reply.report_wanted)
    }
}
