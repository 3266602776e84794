//! [`StoreClient`]: reads and writes files for one application.
//!
//! ```text
//! read_range ─▶ locate ─▶ for four blocks at a time: read_block ─▶ stream from replica 1, 2, 3
//!                                                        └─ all failed: pause, locate again, at most five times
//! write ─▶ create ─▶ for each block: add_block ─▶ send along the pipeline ─▶ complete
//! ```
//!
//! A read takes the first replica that the name node lists, and goes on with the next one at the byte where
//! the stream broke. A call to the name node that fails for the moment is repeated after growing pauses.

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
use crate::process_counters::AppCounters;
use crate::rpc_tracepoints::request_of;
use crate::{AppCounts, StoreError, generated};

/// Pauses between the attempts of one call.
const PAUSES_MS: [u64; 5] = [50, 100, 200, 400, 800];

/// The blocks of one file that are read at the same time.
const CONCURRENT_BLOCKS: usize = 4;

/// A client of one cluster, for one application; cheap to clone.
#[derive(Clone, Debug)]
pub struct StoreClient {
    app: Arc<str>,
    name_node: Arc<str>,
    connections: Arc<Connections>,
    counters: Arc<AppCounters>,
}

/// The hosts that hold one block of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockLocation {
    /// Number of the block.
    pub block: u64,
    /// Length of the block in bytes.
    pub length: u64,
    /// Hosts with a live replica, in the order in which readers try them.
    pub hosts: Vec<String>,
}

/// A file as the name node lists it.
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
    fn from_wire(file: generated::FileStatus) -> FileStatus {
        let accessed = (file.accessed_ms > 0).then(|| Duration::from_millis(file.accessed_ms));
        let accessed = accessed.and_then(|since_epoch| UNIX_EPOCH.checked_add(since_epoch));
        FileStatus { path: file.path, length: file.length, accessed }
    }
}

impl StoreClient {
    /// Makes a client that names itself `app`. It connects when it is first used.
    pub fn new(name_node: &str, app: &str) -> StoreClient {
        StoreClient::with_counters(name_node, app, Arc::default())
    }

    /// Makes a client that counts its bytes with these counters.
    pub(crate) fn with_counters(name_node: &str, app: &str, counters: Arc<AppCounters>) -> StoreClient {
        StoreClient { app: app.into(), name_node: name_node.into(), connections: Arc::default(), counters }
    }

    /// Returns the bytes received and written so far.
    pub fn summary(&self) -> AppCounts {
        self.counters.summary()
    }

    fn request<T>(&self, message: T) -> Request<T> {
        request_of(&self.app, message)
    }

    /// Makes the error of a call to the name node about a file.
    fn refused(&self, path: &str, status: Status) -> StoreError {
        match status.code() {
            Code::NotFound => StoreError::NotFound(path.to_owned()),
            _ => StoreError::rpc(&self.name_node, status),
        }
    }

    /// Repeats a call to the name node until it succeeds, fails for good, or the pauses are used up.
    async fn with_retries<T, F>(&self, op: &'static str, mut call: impl FnMut() -> F) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        for (attempt, pause_ms) in (1..).zip(PAUSES_MS) {
            match call().await {
                Err(error) if error.is_transient() => {
                    self.connections.note_failure(&self.name_node, &error);
                    note_retry(op, "namenode", attempt, &error);
                }
                // An error that lasts is an answer as well: the name node is there.
                done => {
                    self.connections.note_answer(&self.name_node);
                    return done;
                }
            }

            tokio::time::sleep(Duration::from_millis(pause_ms)).await;
        }

        // The last attempt, after the last pause.
        call().await
    }

    /// Returns the length of a file in bytes.
    pub async fn length(&self, path: &str) -> Result<u64, StoreError> {
        self.with_retries("Open", || async {
            let request = self.request(OpenRequest { path: path.to_owned() });
            let reply = self.connections.name_node(&self.name_node)?.open(request).await;
            Ok(reply.map_err(|status| self.refused(path, status))?.into_inner().length)
        })
        .await
    }

    /// Returns the files whose path begins with `prefix`.
    pub async fn list(&self, prefix: &str) -> Result<Vec<FileStatus>, StoreError> {
        self.with_retries("List", || async {
            let request = self.request(ListRequest { prefix: prefix.to_owned() });
            let reply = self.connections.name_node(&self.name_node)?.list(request).await;
            let files = reply.map_err(|status| self.refused(prefix, status))?.into_inner().files;
            Ok(files.into_iter().map(FileStatus::from_wire).collect())
        })
        .await
    }

    /// Deletes a file. Succeeds if the file does not exist.
    pub async fn delete(&self, path: &str) -> Result<(), StoreError> {
        self.with_retries("Delete", || async {
            let request = self.request(DeleteRequest { path: path.to_owned() });
            let reply = self.connections.name_node(&self.name_node)?.delete(request).await;
            reply.map(drop).map_err(|status| self.refused(path, status))
        })
        .await
    }

    /// Renames a file, in place of one that has the new path. Not repeated: it may have been done.
    pub async fn rename(&self, from: &str, to: &str) -> Result<(), StoreError> {
        let request = self.request(RenameRequest { from: from.to_owned(), to: to.to_owned() });
        let reply = self.connections.name_node(&self.name_node)?.rename(request).await;
        reply.map(drop).map_err(|status| self.refused(from, status))
    }

    /// Returns the blocks of a file with the hosts of their live replicas.
    pub async fn block_locations(&self, path: &str) -> Result<Vec<BlockLocation>, StoreError> {
        let blocks = self.locate(path, 0, u64::MAX).await?;
        let locations = blocks.into_iter().map(|located| BlockLocation {
            block: located.block,
            length: located.length,
            hosts: located.replicas.into_iter().map(|node| node.host).collect(),
        });
        Ok(locations.collect())
    }

    /// Returns the blocks that cover a range of a file, with their live replicas.
    async fn locate(&self, path: &str, offset: u64, length: u64) -> Result<Vec<LocatedBlock>, StoreError> {
        self.with_retries("GetBlockLocations", || async {
            let request = self.request(GetBlockLocationsRequest { path: path.to_owned(), offset, length });
            let reply = self.connections.name_node(&self.name_node)?.get_block_locations(request).await;
            Ok(reply.map_err(|status| self.refused(path, status))?.into_inner().blocks)
        })
        .await
    }

    /// Reads a file as a whole.
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

        // A branch of the request for each block: without, concurrent reads would see each other's tuples.
        let mut pieces = futures::stream::iter(blocks)
            .map(|block| pivot::forked(self.read_block(path, block, offset, end)))
            .buffered(CONCURRENT_BLOCKS);

        let mut total = 0;
        while let Some(piece) = pieces.try_next().await? {
            total += piece.len() as u64;
            take(piece);
        }
        Ok(total)
    }

    /// Reads the part of a block that lies in the range `offset..end` of its file.
    async fn read_block(
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
                        self.connections.note_answer(&replica.host);
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
                    // A replica that was cut off by a crash.
                    Ok(()) => StoreError::rpc(&replica.host, Status::data_loss("the block ends too early")),
                    Err(error) => error,
                };

                self.connections.note_failure(&replica.host, &error);
                note_retry("ReadBlock", &replica.host, attempt, &error);
            }

            // By then the name node may know that a node is gone, or that it has come back.
            tokio::time::sleep(Duration::from_millis(pause_ms)).await;
            let located = self.locate(path, block.offset, 1).await?;
            let same_block = located.into_iter().filter(|located| located.block == block.block);
            replicas = same_block.flat_map(|located| located.replicas).collect();
        }
        Err(StoreError::Unreadable { path: path.to_owned(), block: block.block, replicas: replicas.len() })
    }

    /// Appends to `piece` what it still lacks of a range of a block: an earlier replica may have sent the
    /// beginning.
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
        let reply = self.connections.data_node(&replica.address)?.read_block(request).await;
        let mut packets = reply.map_err(failed)?.into_inner();

        // Read to the end behind the last packet: the trailers bring back what the data node packed.
        loop {
            let packet = tokio::time::timeout(PATIENCE, packets.message()).await;
            let packet = packet.map_err(|_| failed(Status::deadline_exceeded("the stream stands still")))?;
            let Some(packet) = packet.map_err(failed)? else { return Ok(()) };
            self.counters.read.fetch_add(packet.data.len() as u64, Ordering::Relaxed);
            piece.extend_from_slice(&packet.data);
        }
    }

    /// Writes a new file in blocks of at most `block_bytes`. Fails if the file exists.
    pub async fn write(&self, path: &str, content: Bytes, block_bytes: u64) -> Result<(), StoreError> {
        let lease = self
            .with_retries("Create", || async {
                let request = self.request(CreateRequest { path: path.to_owned() });
                let reply = self.connections.name_node(&self.name_node)?.create(request).await;
                Ok(reply.map_err(|status| self.refused(path, status))?.into_inner().lease)
            })
            .await?;

        let mut blocks = Vec::new();
        for piece in pieces(&content, block_bytes) {
            blocks.push(self.write_block(path, lease, piece).await?);
        }

        let request = self.request(CompleteRequest { path: path.to_owned(), lease, blocks });
        let reply = self.connections.name_node(&self.name_node)?.complete(request).await;
        reply.map(drop).map_err(|status| self.refused(path, status))
    }

    /// Writes one block, with other data nodes if the first of the pipeline fails.
    async fn write_block(&self, path: &str, lease: u64, piece: Bytes) -> Result<WrittenBlock, StoreError> {
        let mut excluded = Vec::new();
        for (attempt, pause_ms) in (1..).zip(PAUSES_MS) {
            let AddBlockReply { block, pipeline } = self.add_block(path, lease, &excluded).await?;
            let Some((first, rest)) = pipeline.split_first() else {
                // Every node is excluded or none is live yet: try all of them again.
                excluded.clear();
                tokio::time::sleep(Duration::from_millis(pause_ms)).await;
                continue;
            };

            let length = piece.len() as u64;
            let head = WriteHead { block, length, pipeline: rest.to_vec() };
            match self.send(first, head, piece.clone()).await {
                Ok(hosts) => {
                    self.connections.note_answer(&first.host);
                    self.counters.written.fetch_add(length, Ordering::Relaxed);
                    return Ok(WrittenBlock { block, length, hosts });
                }
                Err(error) => {
                    self.connections.note_failure(&first.host, &error);
                    note_retry("WriteBlock", &first.host, attempt, &error);
                }
            }

            // Whichever node of the pipeline failed, the first is the one that did not answer us.
            excluded.push(first.host.clone());
        }
        Err(StoreError::Unwritable(path.to_owned()))
    }

    /// Allocates the next block of a file, away from hosts that could not be reached.
    async fn add_block(
        &self,
        path: &str,
        lease: u64,
        excluded: &[String],
    ) -> Result<AddBlockReply, StoreError> {
        self.with_retries("AddBlock", || async {
            let message = AddBlockRequest { path: path.to_owned(), lease, excluded: excluded.to_vec() };
            let reply = self.connections.name_node(&self.name_node)?.add_block(self.request(message)).await;
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
        let reply = self.connections.data_node(&first.address)?.write_block(request).await;
        Ok(reply.map_err(|status| StoreError::rpc(&first.host, status))?.into_inner().hosts)
    }

    /// Returns what the data node at an address really read and wrote, per application.
    pub async fn stats(&self, data_node: &str) -> Result<BTreeMap<String, AppCounts>, StoreError> {
        let reply = self.connections.data_node(data_node)?.stats(self.request(StatsRequest {})).await;
        let apps = reply.map_err(|status| StoreError::rpc(data_node, status))?.into_inner().apps;

        let mut by_app = BTreeMap::new();
        for app in apps {
            let summary = AppCounts {
                operations: app.operations,
                bytes_read: app.bytes_read,
                bytes_written: app.bytes_written,
            };
            by_app.insert(app.app, summary);
        }
        Ok(by_app)
    }
}

/// Marks that a call failed for the moment and is made again.
fn note_retry(op: &'static str, peer: &str, attempt: u64, error: &StoreError) {
    pivot::tracepoint!(
        "Client.retry",
        op: String = op.to_owned(),
        peer: String = peer.to_owned(),
        attempt: u64 = attempt,
        reason: String = error.reason(),
    );
}

/// Returns consecutive pieces of at most `longest` bytes, which share the memory of the whole.
fn pieces(whole: &Bytes, longest: u64) -> impl Iterator<Item = Bytes> + use<'_> {
    let longest = usize::try_from(longest.max(1)).unwrap_or(usize::MAX);
    (0..whole.len()).step_by(longest).map(move |start| whole.slice(start..whole.len().min(start + longest)))
}
