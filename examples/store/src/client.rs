//! Reads and writes files for one application.
//!
//! A read takes the first replica that the name node lists and goes on with the next one, at the
//! byte where the stream broke. A call that fails in passing is repeated a few times, later each time.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures::{StreamExt, TryStreamExt};
use prost::bytes::Bytes;
use tonic::{Code, Request, Status};

use crate::connections::{Connections, PATIENCE};
use crate::data_node::PACKET_BYTES;
use crate::generated::{
    AddBlockReply, AddBlockRequest, CompleteRequest, CreateRequest, DeleteRequest, GetBlockLocationsRequest,
    ListRequest, LocatedBlock, Node, OpenRequest, ReadBlockRequest, RenameRequest, StatsRequest, WriteHead,
    WritePacket, WrittenBlock,
};
use crate::rpc::request_of;
use crate::statistics::AppCounters;
use crate::{AppSummary, StoreError, generated};

/// Pauses between the attempts of one call.
const PAUSES_MS: [u64; 5] = [50, 100, 200, 400, 800];

/// BlockFiles of one file that are read at the same time.
const CONCURRENT_BLOCKS: usize = 4;

/// A client of one cluster, for one application; cheap to clone.
#[derive(Clone, Debug)]
pub struct Client {
    app: Arc<str>,
    name_node: Arc<str>,
    links: Arc<Connections>,
    meter: Arc<AppCounters>,
}

/// Where one block of a file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockLocation {
    /// Number of the block.
    pub block: u64,
    /// Length of the block in bytes.
    pub length: u64,
    /// Hosts with a live replica, in the order in which readers try them.
    pub hosts: Vec<String>,
}

/// What the name node knows of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileStatus {
    /// Its path.
    pub path: String,
    /// Its length in bytes.
    pub length: u64,
    /// When it was last opened or located, if that was recorded.
    pub accessed: Option<SystemTime>,
}

impl FileStatus {
    fn of(file: generated::FileStatus) -> FileStatus {
        let accessed = (file.accessed_ms > 0).then(|| Duration::from_millis(file.accessed_ms));
        let accessed = accessed.and_then(|since_epoch| UNIX_EPOCH.checked_add(since_epoch));
        FileStatus { path: file.path, length: file.length, accessed }
    }
}

impl Client {
    /// A client that names itself `app`. Connects when it is first used.
    pub fn new(name_node: &str, app: &str) -> Client {
        Client::counting(name_node, app, Arc::default())
    }

    pub(crate) fn counting(name_node: &str, app: &str, meter: Arc<AppCounters>) -> Client {
        Client { app: app.into(), name_node: name_node.into(), links: Arc::default(), meter }
    }

    /// Bytes received and written so far.
    pub fn summary(&self) -> AppSummary {
        self.meter.summary()
    }

    fn request<T>(&self, message: T) -> Request<T> {
        request_of(&self.app, message)
    }

    fn refused(&self, path: &str, status: Status) -> StoreError {
        match status.code() {
            Code::NotFound => StoreError::NotFound(path.to_owned()),
            _ => StoreError::rpc(&self.name_node, status),
        }
    }

    /// Calls until it succeeds, fails for good, or the pauses are used up.
    async fn persist<T, F>(&self, op: &'static str, mut call: impl FnMut() -> F) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        for (attempt, pause_ms) in (1..).zip(PAUSES_MS) {
            match call().await {
                Err(error) if error.is_passing() => {
                    self.links.lost(&self.name_node, &error);
                    retry(op, "namenode", attempt, &error);
                }
                done => {
                    self.links.found(&self.name_node);
                    return done;
                }
            }
            tokio::time::sleep(Duration::from_millis(pause_ms)).await;
        }
        call().await
    }

    /// Length of a file in bytes.
    pub async fn length(&self, path: &str) -> Result<u64, StoreError> {
        self.persist("Open", || async {
            let request = self.request(OpenRequest { path: path.to_owned() });
            let reply = self.links.name_node(&self.name_node)?.open(request).await;
            Ok(reply.map_err(|status| self.refused(path, status))?.into_inner().length)
        })
        .await
    }

    /// Files whose path begins with `prefix`.
    pub async fn list(&self, prefix: &str) -> Result<Vec<FileStatus>, StoreError> {
        self.persist("List", || async {
            let request = self.request(ListRequest { prefix: prefix.to_owned() });
            let reply = self.links.name_node(&self.name_node)?.list(request).await;
            let files = reply.map_err(|status| self.refused(prefix, status))?.into_inner().files;
            Ok(files.into_iter().map(FileStatus::of).collect())
        })
        .await
    }

    /// Deletes a file; a file that does not exist is deleted already.
    pub async fn delete(&self, path: &str) -> Result<(), StoreError> {
        self.persist("Delete", || async {
            let request = self.request(DeleteRequest { path: path.to_owned() });
            let reply = self.links.name_node(&self.name_node)?.delete(request).await;
            reply.map(drop).map_err(|status| self.refused(path, status))
        })
        .await
    }

    /// Renames a file, replacing the one that has the new path.
    pub async fn rename(&self, from: &str, to: &str) -> Result<(), StoreError> {
        let request = self.request(RenameRequest { from: from.to_owned(), to: to.to_owned() });
        let reply = self.links.name_node(&self.name_node)?.rename(request).await;
        reply.map(drop).map_err(|status| self.refused(from, status))
    }

    /// The blocks of a file and their live replicas.
    pub async fn places(&self, path: &str) -> Result<Vec<BlockLocation>, StoreError> {
        let blocks = self.locate(path, 0, u64::MAX).await?;
        let place = |located: LocatedBlock| BlockLocation {
            block: located.block,
            length: located.length,
            hosts: located.replicas.into_iter().map(|node| node.host).collect(),
        };
        Ok(blocks.into_iter().map(place).collect())
    }

    async fn locate(&self, path: &str, offset: u64, length: u64) -> Result<Vec<LocatedBlock>, StoreError> {
        self.persist("GetBlockLocations", || async {
            let request = self.request(GetBlockLocationsRequest { path: path.to_owned(), offset, length });
            let reply = self.links.name_node(&self.name_node)?.get_block_locations(request).await;
            Ok(reply.map_err(|status| self.refused(path, status))?.into_inner().blocks)
        })
        .await
    }

    /// A whole file.
    pub async fn read(&self, path: &str) -> Result<Vec<u8>, StoreError> {
        let length = self.length(path).await?;
        let mut content = Vec::with_capacity(length as usize);
        self.read_range(path, 0, length, |piece| content.extend_from_slice(&piece)).await?;
        Ok(content)
    }

    /// Hands the blocks of a range to `take`, in order; some are read ahead concurrently.
    /// Returns the number of bytes, less than asked for only at the end of the file.
    pub async fn read_range(
        &self,
        path: &str,
        offset: u64,
        length: u64,
        mut take: impl FnMut(Vec<u8>),
    ) -> Result<u64, StoreError> {
        let blocks = self.locate(path, offset, length).await?;
        let end = offset.saturating_add(length);
        let mut total = 0;
        let mut pieces = futures::stream::iter(blocks)
            .map(|block| pivot::forked(self.read_piece(path, block, offset, end)))
            .buffered(CONCURRENT_BLOCKS);
        while let Some(piece) = pieces.try_next().await? {
            total += piece.len() as u64;
            take(piece);
        }
        Ok(total)
    }

    /// The part of a block that lies in the range `offset..end` of its file.
    async fn read_piece(
        &self,
        path: &str,
        block: LocatedBlock,
        offset: u64,
        end: u64,
    ) -> Result<Vec<u8>, StoreError> {
        let begun = Instant::now();
        let skip = offset.saturating_sub(block.offset);
        let length = block.length.min(end - block.offset) - skip;
        let mut piece = Vec::with_capacity(length as usize);
        let mut replicas = block.replicas;
        let mut attempt = 0;
        for pause_ms in PAUSES_MS {
            for replica in &replicas {
                attempt += 1;
                let error = match self.stream(replica, block.block, skip, length, &mut piece).await {
                    Ok(()) if piece.len() as u64 == length => {
                        self.links.found(&replica.host);
                        pivot::tracepoint!(
                            "Client.readBlock",
                            block: String = block.block.to_string(),
                            replica: String = replica.host.clone(),
                            attempts: u64 = attempt,
                            bytes: u64 = length,
                            elapsed: Duration = begun.elapsed(),
                        );
                        return Ok(piece);
                    }
                    Ok(()) => StoreError::rpc(&replica.host, Status::data_loss("the block ends too early")),
                    Err(error) => error,
                };
                self.links.lost(&replica.host, &error);
                retry("ReadBlock", &replica.host, attempt, &error);
            }
            tokio::time::sleep(Duration::from_millis(pause_ms)).await;
            let again = self.locate(path, block.offset, 1).await?;
            replicas =
                again.into_iter().filter(|b| b.block == block.block).flat_map(|b| b.replicas).collect();
        }
        Err(StoreError::Unreadable { path: path.to_owned(), block: block.block, replicas: replicas.len() })
    }

    /// Appends to `piece` what it still lacks of a range of a block.
    async fn stream(
        &self,
        replica: &Node,
        block: u64,
        skip: u64,
        length: u64,
        piece: &mut Vec<u8>,
    ) -> Result<(), StoreError> {
        let have = piece.len() as u64;
        let request = self.request(ReadBlockRequest { block, offset: skip + have, length: length - have });
        let failed = |status| StoreError::rpc(&replica.host, status);
        let reply = self.links.data_node(&replica.address)?.read_block(request).await;
        let mut packets = reply.map_err(failed)?.into_inner();
        loop {
            let packet = tokio::time::timeout(PATIENCE, packets.message()).await;
            let packet = packet.map_err(|_| failed(Status::deadline_exceeded("the stream stands still")))?;
            // The stream is read to its end, behind the last packet: there the reply is complete.
            let Some(packet) = packet.map_err(failed)? else { return Ok(()) };
            self.meter.read.fetch_add(packet.data.len() as u64, Ordering::Relaxed);
            piece.extend_from_slice(&packet.data);
        }
    }

    /// Writes a new file in blocks of at most `block_bytes`. Fails if the file exists.
    pub async fn write(&self, path: &str, content: Bytes, block_bytes: u64) -> Result<(), StoreError> {
        let lease = self
            .persist("Create", || async {
                let request = self.request(CreateRequest { path: path.to_owned() });
                let reply = self.links.name_node(&self.name_node)?.create(request).await;
                Ok(reply.map_err(|status| self.refused(path, status))?.into_inner().lease)
            })
            .await?;
        let mut blocks = Vec::new();
        for piece in pieces(&content, block_bytes) {
            blocks.push(self.write_block(path, lease, piece).await?);
        }
        let request = self.request(CompleteRequest { path: path.to_owned(), lease, blocks });
        let reply = self.links.name_node(&self.name_node)?.complete(request).await;
        reply.map(drop).map_err(|status| self.refused(path, status))
    }

    /// Writes one block, with other data nodes if the first of the pipeline fails.
    async fn write_block(&self, path: &str, lease: u64, piece: Bytes) -> Result<WrittenBlock, StoreError> {
        let mut excluded = Vec::new();
        for (attempt, pause_ms) in (1..).zip(PAUSES_MS) {
            let AddBlockReply { block, pipeline } = self.add_block(path, lease, &excluded).await?;
            let Some((first, rest)) = pipeline.split_first() else {
                // Every node was excluded or none lives yet: all of them deserve another try.
                excluded.clear();
                tokio::time::sleep(Duration::from_millis(pause_ms)).await;
                continue;
            };
            let length = piece.len() as u64;
            let head = WriteHead { block, length, pipeline: rest.to_vec() };
            match self.send(first, head, piece.clone()).await {
                Ok(hosts) => {
                    self.links.found(&first.host);
                    self.meter.written.fetch_add(length, Ordering::Relaxed);
                    return Ok(WrittenBlock { block, length, hosts });
                }
                Err(error) => {
                    self.links.lost(&first.host, &error);
                    retry("WriteBlock", &first.host, attempt, &error);
                }
            }
            excluded.push(first.host.clone());
        }
        Err(StoreError::Unwritable(path.to_owned()))
    }

    async fn add_block(
        &self,
        path: &str,
        lease: u64,
        excluded: &[String],
    ) -> Result<AddBlockReply, StoreError> {
        self.persist("AddBlock", || async {
            let message = AddBlockRequest { path: path.to_owned(), lease, excluded: excluded.to_vec() };
            let reply = self.links.name_node(&self.name_node)?.add_block(self.request(message)).await;
            Ok(reply.map_err(|status| self.refused(path, status))?.into_inner())
        })
        .await
    }

    /// Streams a block into a pipeline. Returns the hosts that stored it.
    async fn send(&self, first: &Node, head: WriteHead, piece: Bytes) -> Result<Vec<String>, StoreError> {
        let head = WritePacket { head: Some(head), data: Bytes::new() };
        let data = pieces(&piece, PACKET_BYTES).map(|data| WritePacket { head: None, data });
        let packets: Vec<WritePacket> = std::iter::once(head).chain(data).collect();
        let request = self.request(futures::stream::iter(packets));
        let reply = self.links.data_node(&first.address)?.write_block(request).await;
        Ok(reply.map_err(|status| StoreError::rpc(&first.host, status))?.into_inner().hosts)
    }

    /// What the data node at an address really read and wrote, per application.
    pub async fn stats(&self, data_node: &str) -> Result<BTreeMap<String, AppSummary>, StoreError> {
        let reply = self.links.data_node(data_node)?.stats(self.request(StatsRequest {})).await;
        let apps = reply.map_err(|status| StoreError::rpc(data_node, status))?.into_inner().apps;
        let summary = |app: &crate::generated::AppStats| AppSummary {
            operations: app.operations,
            bytes_read: app.bytes_read,
            bytes_written: app.bytes_written,
        };
        Ok(apps.into_iter().map(|app| (app.app.clone(), summary(&app))).collect())
    }
}

/// Marks that a call failed in passing, and is made again.
fn retry(op: &'static str, peer: &str, attempt: u64, error: &StoreError) {
    pivot::tracepoint!(
        "Client.retry",
        op: String = op.to_owned(),
        peer: String = peer.to_owned(),
        attempt: u64 = attempt,
        reason: String = error.reason(),
    );
}

/// Consecutive pieces of at most `longest` bytes, which share the memory of the whole.
fn pieces(whole: &Bytes, longest: u64) -> impl Iterator<Item = Bytes> + use<'_> {
    let longest = usize::try_from(longest.max(1)).unwrap_or(usize::MAX);
    (0..whole.len()).step_by(longest).map(move |start| whole.slice(start..whole.len().min(start + longest)))
}
