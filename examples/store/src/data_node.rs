//! [`DataNode`]: the service that streams blocks from its disk, and stores them along a pipeline.
//!
//! ```text
//! read   queue (3 at a time) ─▶ page from cache or disk ─▶ packet ─▶ reply stream
//! write  packet ─▶ this disk ─┐
//!           └──▶ next node ───┴─▶ when both are done: hosts that stored the block
//! ```
//!
//! Every byte is counted where its packet is made, in the reply stream itself: a packet belongs to
//! the request that asked for it, and no task of its own stands between them.

use std::io::SeekFrom;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use futures::Stream;
use prost::bytes::Bytes;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use crate::block_files::{BlockFiles, UnfinishedBlock};
use crate::connections::Connections;
use crate::generated::data_node_server::DataNode as Service;
use crate::generated::{
    AppStats, Packet, ReadBlockRequest, StatsReply, StatsRequest, WriteBlockReply, WriteHead, WritePacket,
};
use crate::page_cache::PageCache;
use crate::pivot_runtime::{JoinHandle, spawn};
use crate::process_counters::{AppCounters, ProcessCounters};
use crate::rpc_tracepoints::{answer, app_of, received, request_of, responding};

/// The longest piece of a block in one packet, and the size of a page.
pub(crate) const PACKET_BYTES: u64 = 128 << 10;

/// The most packets under way to the next data node of a pipeline.
const AHEAD: usize = 4;

/// The most blocks that one data node reads at the same time; more wait for their turn.
pub(crate) const READERS: usize = 3;

/// One data node.
#[derive(Debug)]
pub(crate) struct DataNode {
    pub(crate) host: String,
    pub(crate) blocks: Arc<BlockFiles>,
    pub(crate) connections: Arc<Connections>,
    pub(crate) counters: Arc<ProcessCounters>,
    pub(crate) cache: Arc<PageCache>,
    /// One permit for each block that may be read at the same time.
    pub(crate) readers: Arc<Semaphore>,
    /// Every Nth read fails on purpose.
    pub(crate) fail_every: Option<u64>,
    /// The reads so far.
    pub(crate) reads: AtomicU64,
}

impl DataNode {
    #[pivot::tracepoints("DataNode.writeBlock", fields(block: String = head.block.to_string()))]
    async fn write(
        &self,
        app: &str,
        head: WriteHead,
        mut packets: Streaming<WritePacket>,
    ) -> Result<WriteBlockReply, Status> {
        pivot::tracepoint!(
            "DN.DataTransferProtocol",
            block: String = head.block.to_string(),
            op: String = "WRITE_BLOCK".to_owned(),
            size: u64 = head.length,
        );

        let counters = self.counters.app(app);
        let mut file = self.blocks.create(head.block).await?;
        let next = self.forward(app, &head);
        let mut length = 0;
        while let Some(packet) = packets.message().await? {
            // A next node that is gone takes nothing; this node still stores the block.
            if let Some(next) = &next {
                let _ = next.packets.send(packet.clone()).await;
            }
            length += packet.data.len() as u64;
            store(&mut file, &packet.data, &counters).await?;
        }

        // The client died, or the node before this one.
        if length != head.length {
            return Err(Status::data_loss(format!(
                "block {}: {length} bytes came of {}",
                head.block, head.length
            )));
        }
        self.blocks.finish(file).await?;

        let mut hosts = vec![self.host.clone()];
        if let Some(PipelineForward { packets, hosts: later_hosts }) = next {
            drop(packets);
            hosts.extend(later_hosts.await.unwrap_or_default());
        }
        counters.operations.fetch_add(1, Ordering::Relaxed);
        Ok(WriteBlockReply { hosts })
    }

    /// Opens the rest of the pipeline; `None` at its end, or if the next node has no valid address.
    fn forward(&self, app: &str, head: &WriteHead) -> Option<PipelineForward> {
        let (next, rest) = head.pipeline.split_first()?;
        let mut peer = self.connections.data_node(&next.address).ok()?;

        // A bounded channel: a slow node later in the pipeline slows the client down, and fills no memory here.
        let head = WriteHead { pipeline: rest.to_vec(), ..head.clone() };
        let (sender, packets) = mpsc::channel(AHEAD);
        let first = WritePacket { head: Some(head), data: Default::default() };
        let stream = futures::StreamExt::chain(futures::stream::iter([first]), ReceiverStream::new(packets));
        let request = request_of(app, stream);

        let connections = self.connections.clone();
        let host = next.host.clone();
        let hosts = spawn(async move {
            match peer.write_block(request).await {
                Ok(reply) => {
                    connections.note_answer(&host);
                    reply.into_inner().hosts
                }
                Err(status) => {
                    connections.note_failure(&host, &status);
                    Vec::new()
                }
            }
        });
        Some(PipelineForward { packets: sender, hosts })
    }

    /// Returns what this node really read and wrote.
    fn stats(&self) -> StatsReply {
        let apps = self.counters.by_app().into_iter().map(|(app, counts)| AppStats {
            app,
            operations: counts.operations,
            bytes_read: counts.bytes_read,
            bytes_written: counts.bytes_written,
        });
        StatsReply { host: self.host.clone(), apps: apps.collect() }
    }
}

/// A block on its way to the next data node of the pipeline.
struct PipelineForward {
    packets: mpsc::Sender<WritePacket>,
    /// Ends with the hosts that stored the block; empty if the next node failed.
    hosts: JoinHandle<Vec<String>>,
}

/// Appends a packet to a block.
async fn store(file: &mut UnfinishedBlock, data: &[u8], counters: &AppCounters) -> Result<(), Status> {
    file.write(data).await?;
    let delta = data.len() as u64;
    counters.written.fetch_add(delta, Ordering::Relaxed);
    pivot::tracepoint!("DataNodeMetrics.incrBytesWritten", delta: u64 = delta);
    Ok(())
}

/// One read of a block, from its turn to its last packet.
struct BlockRead {
    block: u64,
    file: File,
    cache: Arc<PageCache>,
    counters: Arc<AppCounters>,
    /// Given back when this is dropped: after the last packet, or when the client has gone.
    _turn: OwnedSemaphorePermit,
}

impl BlockRead {
    /// Returns a page of the block, from memory or from disk. Empty behind the block's end.
    async fn page(&mut self, number: u64) -> Result<Bytes, Status> {
        let begun = Instant::now();

        let cached = self.cache.get((self.block, number));
        let hit = cached.is_some();
        let data = match cached {
            Some(data) => data,
            None => {
                let data = self.read_from_disk(number).await?;
                self.cache.put((self.block, number), data.clone());
                data
            }
        };

        pivot::tracepoint!(
            "DataNode.page",
            block: String = self.block.to_string(),
            hit: bool = hit,
            elapsed: std::time::Duration = begun.elapsed(),
        );
        Ok(data)
    }

    async fn read_from_disk(&mut self, number: u64) -> Result<Bytes, Status> {
        let mut data = Vec::with_capacity(PACKET_BYTES as usize);
        self.file.seek(SeekFrom::Start(number * PACKET_BYTES)).await?;
        (&mut self.file).take(PACKET_BYTES).read_to_end(&mut data).await?;
        Ok(data.into())
    }
}

/// Streams the packets of a range, up to the end of the block if that comes first.
fn packets(mut read: BlockRead, offset: u64, length: u64) -> impl Stream<Item = Result<Packet, Status>> {
    async_stream::try_stream! {
        let (mut at, end) = (offset, offset.saturating_add(length));
        while at < end {
            let number = at / PACKET_BYTES;
            let page = read.page(number).await?;

            let from = at - number * PACKET_BYTES;
            let to = (end - number * PACKET_BYTES).min(page.len() as u64);
            if to <= from {
                break;
            }

            // Counted before it is yielded: the client may go away and never ask for the next.
            let delta = to - from;
            at += delta;
            read.counters.read.fetch_add(delta, Ordering::Relaxed);
            pivot::tracepoint!("DataNodeMetrics.incrBytesRead", delta: u64 = delta);
            yield Packet { data: page.slice(from as usize..to as usize) };
        }
        read.counters.operations.fetch_add(1, Ordering::Relaxed);
        responding("ReadBlock");
    }
}

impl DataNode {
    /// Waits until fewer than [`READERS`] blocks are being read.
    async fn wait_for_turn(&self) -> Result<OwnedSemaphorePermit, Status> {
        let begun = Instant::now();
        let busy = READERS.saturating_sub(self.readers.available_permits());
        let turn = self.readers.clone().acquire_owned().await;
        pivot::tracepoint!("DataNode.queue", busy: u64 = busy as u64, waited: std::time::Duration = begun.elapsed());
        turn.map_err(|_| Status::unavailable("the data node ends"))
    }

    /// Fails every Nth read, if the node was told to.
    fn inject_fault(&self, block: u64) -> Result<(), Status> {
        let number = self.reads.fetch_add(1, Ordering::Relaxed) + 1;
        if !self.fail_every.is_some_and(|every| number.is_multiple_of(every)) {
            return Ok(());
        }
        pivot::tracepoint!("DataNode.fault", block: String = block.to_string());
        Err(Status::unavailable("an injected fault"))
    }

    /// Opens a block for reading, when it is its turn.
    async fn open(&self, ask: &ReadBlockRequest, counters: Arc<AppCounters>) -> Result<BlockRead, Status> {
        self.inject_fault(ask.block)?;
        let turn = self.wait_for_turn().await?;
        let file = self.blocks.open_block(ask.block).await?;
        Ok(BlockRead { block: ask.block, file, cache: self.cache.clone(), counters, _turn: turn })
    }
}

#[tonic::async_trait]
impl Service for DataNode {
    type ReadBlockStream = Pin<Box<dyn Stream<Item = Result<Packet, Status>> + Send>>;

    async fn read_block(
        &self,
        request: Request<ReadBlockRequest>,
    ) -> Result<Response<Self::ReadBlockStream>, Status> {
        received("ReadBlock");
        let counters = self.counters.app(&app_of(request.metadata()));
        let ask = request.into_inner();
        pivot::tracepoint!(
            "DN.DataTransferProtocol",
            block: String = ask.block.to_string(),
            op: String = "READ_BLOCK".to_owned(),
            size: u64 = ask.length,
        );

        // The stream marks its end as the answer; without a stream the answer is the error.
        let opened = self.open(&ask, counters).await;
        let read = opened.inspect_err(|_| responding("ReadBlock"))?;
        Ok(Response::new(Box::pin(packets(read, ask.offset, ask.length))))
    }

    async fn write_block(
        &self,
        request: Request<Streaming<WritePacket>>,
    ) -> Result<Response<WriteBlockReply>, Status> {
        let app = app_of(request.metadata());
        let mut stream = request.into_inner();
        answer("WriteBlock", async {
            // The first packet tells which block it is and where it goes from here.
            let head = stream.message().await?.and_then(|packet| packet.head);
            let head = head.ok_or_else(|| Status::invalid_argument("the first packet has no head"))?;
            self.write(&app, head, stream).await
        })
        .await
    }

    async fn stats(&self, _: Request<StatsRequest>) -> Result<Response<StatsReply>, Status> {
        answer("Stats", async { Ok(self.stats()) }).await
    }
}
