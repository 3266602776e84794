//! The data node's service: streams blocks from its disk, and stores them along a pipeline.
//!
//! Every byte is counted where its packet is made, in the reply stream itself: a packet belongs to
//! the request that asked for it, and no task of its own stands between them.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures::Stream;
use tokio::fs::File;
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use crate::blocks::{Blocks, Unfinished};
use crate::links::Links;
use crate::meter::{AppMeter, Meter};
use crate::rpc::{answer, app_of, received, request_of, responding};
use crate::wire::data_node_server::DataNode as Service;
use crate::wire::{
    AppStats, Packet, ReadBlockRequest, StatsReply, StatsRequest, WriteBlockReply, WriteHead, WritePacket,
};

/// Longest piece of a block in one packet.
pub(crate) const PACKET_BYTES: u64 = 128 << 10;

/// Packets under way to the next data node of a pipeline.
const AHEAD: usize = 4;

/// One data node.
#[derive(Debug)]
pub(crate) struct DataNode {
    pub(crate) host: String,
    pub(crate) blocks: Arc<Blocks>,
    pub(crate) links: Arc<Links>,
    pub(crate) meter: Arc<Meter>,
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
        let meter = self.meter.app(app);
        let mut file = self.blocks.create(head.block).await?;
        let mut next = self.forward(app, &head);
        let mut length = 0;
        while let Some(packet) = packets.message().await? {
            if let Some((sender, _)) = &next {
                // A next node that is gone takes nothing; this node still stores the block.
                let _ = sender.send(packet.clone()).await;
            }
            length += packet.data.len() as u64;
            store(&mut file, &packet.data, &meter).await?;
        }
        if length != head.length {
            return Err(Status::data_loss(format!(
                "block {}: {length} bytes came of {}",
                head.block, head.length
            )));
        }
        self.blocks.finish(file).await?;
        let mut hosts = vec![self.host.clone()];
        if let Some((sender, reply)) = next.take() {
            drop(sender);
            hosts.extend(reply.await.unwrap_or_default());
        }
        meter.operations.fetch_add(1, Ordering::Relaxed);
        Ok(WriteBlockReply { hosts })
    }

    /// Opens the rest of the pipeline. Its reply names the hosts that stored the block.
    fn forward(&self, app: &str, head: &WriteHead) -> Option<Forward> {
        let (next, rest) = head.pipeline.split_first()?;
        let mut peer = self.links.data_node(&next.address).ok()?;
        let head = WriteHead { pipeline: rest.to_vec(), ..head.clone() };
        let (sender, packets) = mpsc::channel(AHEAD);
        let first = WritePacket { head: Some(head), data: Default::default() };
        let stream = futures::StreamExt::chain(futures::stream::iter([first]), ReceiverStream::new(packets));
        let request = request_of(app, stream);
        let (links, host) = (self.links.clone(), next.host.clone());
        let reply = pivot::spawn(async move {
            match peer.write_block(request).await {
                Ok(reply) => {
                    links.found(&host);
                    reply.into_inner().hosts
                }
                Err(status) => {
                    links.lost(&host, &status);
                    Vec::new()
                }
            }
        });
        Some((sender, reply))
    }

    fn stats(&self) -> StatsReply {
        let apps = self.meter.by_app().into_iter().map(|(app, counts)| AppStats {
            app,
            operations: counts.operations,
            bytes_read: counts.bytes_read,
            bytes_written: counts.bytes_written,
        });
        StatsReply { host: self.host.clone(), apps: apps.collect() }
    }
}

type Forward = (mpsc::Sender<WritePacket>, pivot::propagate::JoinHandle<Vec<String>>);

async fn store(file: &mut Unfinished, data: &[u8], meter: &AppMeter) -> Result<(), Status> {
    file.write(data).await?;
    let delta = data.len() as u64;
    meter.written.fetch_add(delta, Ordering::Relaxed);
    pivot::tracepoint!("DataNodeMetrics.incrBytesWritten", delta: u64 = delta);
    Ok(())
}

/// The packets of a range, up to the end of the block if that comes first.
fn packets(mut file: File, length: u64, meter: Arc<AppMeter>) -> impl Stream<Item = Result<Packet, Status>> {
    async_stream::try_stream! {
        let mut left = length;
        while left > 0 {
            let mut data = Vec::with_capacity(left.min(PACKET_BYTES) as usize);
            (&mut file).take(left.min(PACKET_BYTES)).read_to_end(&mut data).await?;
            if data.is_empty() {
                break;
            }
            let delta = data.len() as u64;
            left -= delta;
            meter.read.fetch_add(delta, Ordering::Relaxed);
            pivot::tracepoint!("DataNodeMetrics.incrBytesRead", delta: u64 = delta);
            yield Packet { data: data.into() };
        }
        meter.operations.fetch_add(1, Ordering::Relaxed);
        responding("ReadBlock");
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
        let meter = self.meter.app(&app_of(request.metadata()));
        let ask = request.into_inner();
        pivot::tracepoint!(
            "DN.DataTransferProtocol",
            block: String = ask.block.to_string(),
            op: String = "READ_BLOCK".to_owned(),
            size: u64 = ask.length,
        );
        let opened = self.blocks.read_from(ask.block, ask.offset).await;
        let file = opened.inspect_err(|_| responding("ReadBlock"))?;
        Ok(Response::new(Box::pin(packets(file, ask.length, meter))))
    }

    async fn write_block(
        &self,
        request: Request<Streaming<WritePacket>>,
    ) -> Result<Response<WriteBlockReply>, Status> {
        let app = app_of(request.metadata());
        let mut stream = request.into_inner();
        answer("WriteBlock", async {
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
