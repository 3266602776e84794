//! [`NameNode`]: the service that keeps the name space, the live data nodes, and the image on disk.
//!
//! All state is behind one lock, which is held while the image is written: a change that was acknowledged is
//! on the disk, and images are written in order. The tracepoint `NameNode.lock` shows who waits for it.
//!
//! A data node whose last heartbeat is older than [`EXPIRY`] is no longer handed out.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tonic::{Request, Response, Status};

use crate::generated::name_node_server::NameNode as Service;
use crate::generated::{
    AddBlockReply, AddBlockRequest, CompleteReply, CompleteRequest, CreateReply, CreateRequest, DeleteReply,
    DeleteRequest, FileStatus, GetBlockLocationsReply, GetBlockLocationsRequest, HeartbeatReply,
    HeartbeatRequest, ListReply, ListRequest, LocatedBlock, Node, OpenReply, OpenRequest, RenameReply,
    RenameRequest,
};
use crate::namespace::{CompletedBlock, FileBlock, Namespace, NamespaceError, pipeline};
use crate::process_counters::ProcessCounters;
use crate::rpc_tracepoints::{answer, app_of};
use crate::{ProcessOptions, StoreError};

/// How long a data node counts as live after a heartbeat.
const EXPIRY: Duration = Duration::from_secs(2);

/// The name node of one cluster.
#[derive(Debug)]
pub(crate) struct NameNode {
    state: Mutex<NameNodeState>,
    image: PathBuf,
    /// Whether the name node records when files were opened or located.
    access_times: bool,
    counters: Arc<ProcessCounters>,
}

#[derive(Debug, Default)]
struct NameNodeState {
    namespace: Namespace,
    /// Data nodes by host.
    nodes: BTreeMap<String, RegisteredNode>,
    /// Blocks placed so far; the next one goes to the next nodes.
    placed: usize,
}

/// A data node that has sent a heartbeat.
#[derive(Debug)]
struct RegisteredNode {
    address: String,
    /// Changes with every start of the data node.
    incarnation: u64,
    last_heartbeat: Instant,
}

impl NameNode {
    /// Starts from the image that an earlier name node left, if there is one.
    pub(crate) fn start(
        options: &ProcessOptions,
        counters: Arc<ProcessCounters>,
    ) -> Result<NameNode, StoreError> {
        let folder = options.folder();
        fs::create_dir_all(&folder).map_err(|error| StoreError::disk(&folder, error))?;
        let image = folder.join("image.json");
        let mut namespace: Namespace = match fs::read(&image) {
            Ok(text) => {
                serde_json::from_slice(&text).map_err(|error| StoreError::disk(&image, error.into()))?
            }
            Err(_) => Namespace::default(),
        };

        // Blocks that were never published have numbers that are not in the image. The clock is above
        // them, so that no number is given twice.
        namespace.number_from(since_epoch().as_micros() as u64);
        let state = Mutex::new(NameNodeState { namespace, ..NameNodeState::default() });
        Ok(NameNode { state, image, access_times: options.access_times, counters })
    }

    /// Locks the state for an operation, whose name goes into the tracepoint.
    fn lock(&self, op: &'static str) -> MutexGuard<'_, NameNodeState> {
        let begun = Instant::now();
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        pivot::tracepoint!("NameNode.lock", op: String = op.to_owned(), waited: Duration = begun.elapsed());
        state
    }

    /// Saves the image. The caller holds the lock, so images are written in order.
    fn save(&self, namespace: &Namespace) -> Result<(), Status> {
        let text = serde_json::to_vec(namespace).map_err(|error| Status::internal(error.to_string()))?;
        self.write_image(&text)
            .map_err(|error| Status::internal(format!("{}: {error}", self.image.display())))
    }

    /// Replaces the image as a whole: a process that is killed leaves the old one or the new one.
    fn write_image(&self, text: &[u8]) -> io::Result<()> {
        let fresh = self.image.with_extension("part");
        let mut file = File::create(&fresh)?;
        file.write_all(text)?;
        file.sync_data()?;
        fs::rename(&fresh, &self.image)
    }

    /// Counts an operation for the application that asks for it.
    fn count<T>(&self, request: &Request<T>) {
        let app = self.counters.app(&app_of(request.metadata()));
        app.operations.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }

    /// Takes in a heartbeat. Returns the blocks that the data node may delete, or asks for a report of all
    /// blocks from a node whose blocks are not known.
    fn take_heartbeat(&self, beat: HeartbeatRequest) -> Result<HeartbeatReply, Status> {
        let node = beat.node.ok_or_else(|| Status::invalid_argument("heartbeat without a node"))?;
        let mut state = self.lock("Heartbeat");
        let known = state.nodes.get(&node.host).is_some_and(|known| known.incarnation == beat.incarnation);

        // What an earlier process of that host held may be gone from its disk.
        if !known && beat.report.is_some() {
            state.namespace.forget(&node.host);
        }

        let unwanted = match &beat.report {
            Some(report) => state.namespace.report(&node.host, &report.blocks),
            None if known => Vec::new(),
            None => return Ok(HeartbeatReply { report_wanted: true, ..Default::default() }),
        };

        let registered = RegisteredNode {
            address: node.address,
            incarnation: beat.incarnation,
            last_heartbeat: Instant::now(),
        };
        state.nodes.insert(node.host, registered);
        Ok(HeartbeatReply { unwanted, report_wanted: false })
    }

    #[pivot::tracepoints("NameNode.open", fields(src: String = path.to_owned()))]
    async fn open(&self, path: &str) -> Result<OpenReply, Status> {
        let mut state = self.lock("Open");
        let length = state.namespace.length(path).map_err(|refusal| refused(refusal, path))?;
        self.record_access(&mut state.namespace, path)?;
        Ok(OpenReply { length })
    }

    /// Records that a file is accessed now, if access times are wanted: on the disk, as every change.
    fn record_access(&self, namespace: &mut Namespace, path: &str) -> Result<(), Status> {
        let changes = self.access_times && namespace.access(path, since_epoch().as_millis() as u64);
        if changes { self.save(namespace) } else { Ok(()) }
    }

    async fn create(&self, path: String) -> Result<CreateReply, Status> {
        let lease = self.lock("Create").namespace.create(&path).map_err(|refusal| refused(refusal, &path))?;
        Ok(CreateReply { lease })
    }

    fn add_block(&self, ask: AddBlockRequest) -> Result<AddBlockReply, Status> {
        let mut state = self.lock("AddBlock");
        let block =
            state.namespace.add_block(&ask.path, ask.lease).map_err(|refusal| refused(refusal, &ask.path))?;

        let live: Vec<&str> =
            state.live_hosts().filter(|host| !ask.excluded.iter().any(|e| e == host)).collect();
        let pipeline =
            pipeline(&live, state.placed).into_iter().filter_map(|host| state.live_node(host)).collect();
        state.placed += 1;

        Ok(AddBlockReply { block, pipeline })
    }

    fn complete(&self, ask: CompleteRequest) -> Result<CompleteReply, Status> {
        let mut state = self.lock("Complete");
        let blocks = ask.blocks.into_iter().map(|written| CompletedBlock {
            block: written.block,
            length: written.length,
            hosts: written.hosts,
        });

        state
            .namespace
            .complete(&ask.path, ask.lease, blocks.collect())
            .map_err(|refusal| refused(refusal, &ask.path))?;
        self.save(&state.namespace)?;
        Ok(CompleteReply {})
    }

    fn locate(&self, ask: &GetBlockLocationsRequest) -> Result<Vec<LocatedBlock>, Status> {
        let mut state = self.lock("GetBlockLocations");
        self.record_access(&mut state.namespace, &ask.path)?;
        let blocks = state.namespace.locate(&ask.path, ask.offset, ask.length);
        let blocks = blocks.map_err(|refusal| refused(refusal, &ask.path))?;
        Ok(blocks.into_iter().map(|block| state.with_live_replicas(block)).collect())
    }

    #[pivot::tracepoints("NameNode.rename", fields(src: String = from.to_owned(), dst: String = to.to_owned()))]
    async fn rename(&self, from: &str, to: &str) -> Result<RenameReply, Status> {
        let mut state = self.lock("Rename");
        state.namespace.rename(from, to).map_err(|refusal| refused(refusal, from))?;
        self.save(&state.namespace)?;
        Ok(RenameReply {})
    }

    fn delete(&self, path: &str) -> Result<DeleteReply, Status> {
        let mut state = self.lock("Delete");
        state.namespace.delete(path);
        self.save(&state.namespace)?;
        Ok(DeleteReply {})
    }

    fn list(&self, prefix: &str) -> Vec<FileStatus> {
        let files = self.lock("List").namespace.list(prefix);
        let status = files.into_iter().map(|file| FileStatus {
            path: file.path,
            length: file.length,
            accessed_ms: file.accessed_ms,
        });
        status.collect()
    }
}

impl NameNodeState {
    fn live_hosts(&self) -> impl Iterator<Item = &str> {
        self.nodes.iter().filter(|(_, node)| node.is_live()).map(|(host, _)| host.as_str())
    }

    fn live_node(&self, host: &str) -> Option<Node> {
        let node = self.nodes.get(host).filter(|node| node.is_live())?;
        Some(Node { host: host.to_owned(), address: node.address.clone() })
    }

    /// Adds the addresses of those hosts that are live. Their order stays, so every client reads from the
    /// first of them: the bug to find.
    fn with_live_replicas(&self, block: FileBlock<'_>) -> LocatedBlock {
        let replicas = block.hosts.iter().filter_map(|host| self.live_node(host)).collect();
        LocatedBlock { block: block.block, offset: block.offset, length: block.length, replicas }
    }
}

impl RegisteredNode {
    fn is_live(&self) -> bool {
        self.last_heartbeat.elapsed() < EXPIRY
    }
}

fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Returns the status of a call that the name space refuses.
fn refused(refusal: NamespaceError, path: &str) -> Status {
    match refusal {
        NamespaceError::NoFile => Status::not_found(format!("no file {path}")),
        NamespaceError::Exists => Status::already_exists(format!("{path} exists")),
        NamespaceError::LeaseLost => Status::failed_precondition(format!("another client writes {path}")),
    }
}

/// Returns all hosts that appear in a list of blocks, each once, in the order in which clients see them.
fn hosts_of(blocks: &[LocatedBlock]) -> Vec<String> {
    let mut hosts: Vec<String> = Vec::new();
    for node in blocks.iter().flat_map(|block| &block.replicas) {
        if !hosts.contains(&node.host) {
            hosts.push(node.host.clone());
        }
    }
    hosts
}

#[tonic::async_trait]
impl Service for NameNode {
    async fn heartbeat(
        &self,
        request: Request<HeartbeatRequest>,
    ) -> Result<Response<HeartbeatReply>, Status> {
        answer("Heartbeat", async { self.take_heartbeat(request.into_inner()) }).await
    }

    async fn create(&self, request: Request<CreateRequest>) -> Result<Response<CreateReply>, Status> {
        self.count(&request);
        answer("Create", self.create(request.into_inner().path)).await
    }

    async fn add_block(&self, request: Request<AddBlockRequest>) -> Result<Response<AddBlockReply>, Status> {
        self.count(&request);
        answer("AddBlock", async { self.add_block(request.into_inner()) }).await
    }

    async fn complete(&self, request: Request<CompleteRequest>) -> Result<Response<CompleteReply>, Status> {
        self.count(&request);
        answer("Complete", async { self.complete(request.into_inner()) }).await
    }

    async fn open(&self, request: Request<OpenRequest>) -> Result<Response<OpenReply>, Status> {
        self.count(&request);
        answer("Open", self.open(&request.get_ref().path)).await
    }

    async fn get_block_locations(
        &self,
        request: Request<GetBlockLocationsRequest>,
    ) -> Result<Response<GetBlockLocationsReply>, Status> {
        self.count(&request);
        let ask = request.into_inner();
        answer("GetBlockLocations", async {
            let blocks = self.locate(&ask)?;

            pivot::tracepoint!(
                "NN.GetBlockLocations",
                src: String = ask.path.clone(),
                replicas: Vec<String> = hosts_of(&blocks),
            );
            Ok(GetBlockLocationsReply { blocks })
        })
        .await
    }

    async fn rename(&self, request: Request<RenameRequest>) -> Result<Response<RenameReply>, Status> {
        self.count(&request);
        let ask = request.into_inner();
        answer("Rename", self.rename(&ask.from, &ask.to)).await
    }

    async fn delete(&self, request: Request<DeleteRequest>) -> Result<Response<DeleteReply>, Status> {
        self.count(&request);
        answer("Delete", async { self.delete(&request.get_ref().path) }).await
    }

    async fn list(&self, request: Request<ListRequest>) -> Result<Response<ListReply>, Status> {
        self.count(&request);
        answer("List", async { Ok(ListReply { files: self.list(&request.get_ref().prefix) }) }).await
    }
}
