//! [`Cluster`]: starts the processes of a cluster, and makes sure that none of them outlives it.
//!
//! ```text
//! start   name node ─▶ data nodes ─▶ loader writes the data set ─▶ clients
//! stop    clients ─▶ data nodes ─▶ name node
//! ```
//!
//! Every child holds a pipe from this process as its standard input and ends when the pipe does,
//! however this process dies. Children form process groups of their own, so Ctrl-C in a terminal
//! reaches this process alone, which then stops the children in order.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};
use std::{fmt, fs};

use crate::shutdown::STOP_WORD;
use crate::{ClusterPlan, ProcessOptions, ProcessRole, ProcessSummary, StoreError};

/// The longest wait for a child to become ready.
const STARTUP: Duration = Duration::from_secs(60);

/// The longest wait for a child to end after it was told to.
const GRACE: Duration = Duration::from_secs(5);

/// How often children are looked at.
const POLL: Duration = Duration::from_millis(5);

/// Makes the command that runs a process with these options.
type CommandFactory = Box<dyn Fn(&ProcessRole, &ProcessOptions) -> Command + Send + Sync>;

/// A running cluster. Dropping it stops all processes and removes the cluster's folder.
pub struct Cluster {
    /// The name node first, then data nodes, then clients.
    members: Vec<ClusterProcess>,
    command: CommandFactory,
    folder: PathBuf,
    /// Whether the start is to be given up.
    interrupted: Arc<AtomicBool>,
}

/// One process of a cluster.
#[derive(Debug)]
pub struct ClusterProcess {
    options: ProcessOptions,
    child: Child,
    /// The pipe that holds the process: it ends when this closes. `None` once it was told to stop.
    stdin: Option<ChildStdin>,
    /// The lines that the process prints.
    lines: Receiver<String>,
    address: Option<String>,
}

impl Cluster {
    /// Starts all processes of a plan and waits until the data set is written and all are ready.
    ///
    /// `command` must run [`crate::run`] with the options that it is given, for instance as
    /// `store` with [`ProcessOptions::to_args`]. If anything fails, what was started is stopped.
    pub fn start(
        plan: ClusterPlan,
        command: impl Fn(&ProcessRole, &ProcessOptions) -> Command + Send + Sync + 'static,
    ) -> Result<Cluster, StoreError> {
        let folder = plan.data_dir.clone().unwrap_or_else(fresh_folder);
        claim_empty_folder(&folder).map_err(|error| StoreError::disk(&folder, error))?;
        let mut cluster = Cluster {
            members: Vec::new(),
            command: Box::new(command),
            folder: folder.clone(),
            interrupted: plan.interrupted.clone(),
        };

        // In this order: each step needs the one before. Dropping `cluster` on an error stops all of it.
        cluster.launch(vec![plan.name_node(&folder)])?;
        let name_node = cluster.name_node().to_owned();
        cluster.launch(plan.data_nodes(&folder, &name_node))?;
        cluster.load(plan.loader(&folder, &name_node))?;
        cluster.launch(plan.clients(&folder, &name_node))?;
        Ok(cluster)
    }

    /// Starts processes at the same time and waits until all are ready.
    fn launch(&mut self, all: Vec<ProcessOptions>) -> Result<(), StoreError> {
        let first = self.members.len();
        for options in all {
            self.members.push(ClusterProcess::spawn(&self.command, options)?);
        }
        let interrupted = &self.interrupted;
        self.members[first..].iter_mut().try_for_each(|member| member.wait_ready(interrupted))
    }

    /// Writes the data set by a process of its own. Nothing of it stays but the files it wrote.
    fn load(&self, options: ProcessOptions) -> Result<(), StoreError> {
        let mut loader = ClusterProcess::spawn(&self.command, options)?;
        loader.wait_ready(&self.interrupted)?;

        while loader.is_running() && !self.interrupted.load(Ordering::Relaxed) {
            std::thread::sleep(POLL);
        }
        if self.interrupted.load(Ordering::Relaxed) {
            return Err(StoreError::Interrupted);
        }

        // Its statistics tell whether it wrote every file: it goes on after one that failed.
        let status = loader.wait_end(Duration::ZERO);
        let stats = loader.options.stats_path();
        let files = loader.options.dataset.files().len() as u64;
        if !ProcessSummary::read(&stats).is_ok_and(|summary| summary.operations == files) {
            return Err(loader.not_ready(format!("the data set is not written ({status})")));
        }

        let removed = fs::remove_file(&stats).and_then(|()| fs::remove_file(log_path(&loader.options)));
        removed.map_err(|error| StoreError::disk(&stats, error))
    }

    /// Returns all processes: the name node first, then data nodes, then clients.
    pub fn members(&self) -> &[ClusterProcess] {
        &self.members
    }

    /// Returns the position in [`Cluster::members`] of the process on a logical host.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.members.iter().position(|member| member.name() == name)
    }

    /// Returns the address of the name node, host:port.
    pub fn name_node(&self) -> &str {
        self.members.first().and_then(ClusterProcess::address).unwrap_or("")
    }

    /// Returns the folder with blocks, logs and statistics.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Tells the clients of a plan with `wait_for_go` to begin.
    pub fn go(&self) -> Result<(), StoreError> {
        self.write_signal_file("go")
    }

    fn write_signal_file(&self, word: &str) -> Result<(), StoreError> {
        let path = self.folder.join(word);
        fs::write(&path, b"").map_err(|error| StoreError::disk(&path, error))
    }

    /// Kills a process (SIGKILL) and waits until it is gone.
    pub fn kill(&mut self, index: usize) {
        self.members[index].kill();
    }

    /// Starts a process again, stopping it first if it runs, and waits until it is ready. A name
    /// node keeps its address, a data node gets a new one.
    pub fn restart(&mut self, index: usize) -> Result<(), StoreError> {
        let member = &mut self.members[index];
        member.tell_to_stop();
        member.wait_end(GRACE);

        // Clients know the name node by its address; data nodes tell it theirs.
        let mut options = member.options.clone();
        if options.role == ProcessRole::NameNode {
            options.listen = member.address.as_ref().and_then(|address| address.parse::<SocketAddr>().ok());
        }
        *member = ClusterProcess::spawn(&self.command, options)?;
        member.wait_ready(&self.interrupted)
    }

    /// Waits until every client has ended, as it does after its last operation.
    pub fn wait_for_clients(&mut self) -> Result<(), StoreError> {
        for member in self.members.iter_mut().filter(|member| !member.role().is_server()) {
            let name = member.name().to_owned();
            let status = member.child.wait().map_err(|error| StoreError::Serve(name, error.to_string()))?;
            if !status.success() {
                return Err(member.not_ready(status.to_string()));
            }
        }
        Ok(())
    }

    /// Stops everything in order: clients finish the operation they are at, then data nodes end,
    /// then the name node. The statistics stay until the cluster is dropped.
    pub fn stop(&mut self) {
        // All clients at once. Without the file, each still learns it from its standard input.
        let _ = self.write_signal_file("stop");

        self.stop_those(|role| !role.is_server());
        self.stop_those(|role| role == ProcessRole::DataNode);
        self.stop_those(|role| role == ProcessRole::NameNode);
    }

    /// Stops the processes of some roles at the same time, and waits until they have ended.
    fn stop_those(&mut self, is_one: impl Fn(ProcessRole) -> bool) {
        let mut those: Vec<_> = self.members.iter_mut().filter(|member| is_one(member.role())).collect();
        those.iter_mut().for_each(|member| member.tell_to_stop());
        for member in those {
            member.wait_end(GRACE);
        }
    }

    /// Returns the statistics that the processes left last, of those that left any.
    pub fn summaries(&self) -> Vec<ProcessSummary> {
        self.members
            .iter()
            .filter_map(|member| ProcessSummary::read(&member.options.stats_path()).ok())
            .collect()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.stop();
        // The folder lies in the temporary folder; a leftover is no reason to fail.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster").field("folder", &self.folder).field("members", &self.members).finish()
    }
}

impl ClusterProcess {
    /// Starts a process.
    fn spawn(command: &CommandFactory, options: ProcessOptions) -> Result<ClusterProcess, StoreError> {
        let failed = |error| StoreError::disk(&options.data_dir, error);
        let log = fs::File::options().create(true).append(true).open(log_path(&options)).map_err(failed)?;

        // A process group of its own: Ctrl-C in the terminal must not reach the child.
        let mut command = command(&options.role, &options);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log).process_group(0);
        let mut child = command.spawn().map_err(failed)?;
        let stdin = child.stdin.take();

        let (sender, lines) = mpsc::channel();
        if let Some(stdout) = child.stdout.take() {
            std::thread::spawn(move || {
                let lines = BufReader::new(stdout).lines().map_while(Result::ok);
                // Reads on when nobody listens any more, so that the child never finds a full pipe.
                lines.for_each(|line| drop(sender.send(line)));
            });
        }
        Ok(ClusterProcess { options, child, stdin, lines, address: None })
    }

    /// Returns the logical host of the process.
    pub fn name(&self) -> &str {
        &self.options.name
    }

    /// Returns the job of the process.
    pub fn role(&self) -> ProcessRole {
        self.options.role
    }

    /// Returns the options that the process was started with.
    pub fn options(&self) -> &ProcessOptions {
        &self.options
    }

    /// Returns the process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Returns the address where a server listens, host:port; `None` for a client.
    pub fn address(&self) -> Option<&str> {
        self.address.as_deref()
    }

    fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits until the process says that it is ready, which a server does with its address.
    fn wait_ready(&mut self, interrupted: &AtomicBool) -> Result<(), StoreError> {
        let deadline = Instant::now() + STARTUP;
        loop {
            if interrupted.load(Ordering::Relaxed) {
                return Err(StoreError::Interrupted);
            }

            // A short wait each time, so that an interruption is noticed soon.
            match self.lines.recv_timeout(POLL) {
                Ok(line) if line == "ready" => return Ok(()),
                Ok(line) => {
                    if let Some(address) = line.strip_prefix("listening ") {
                        self.address = Some(address.to_owned());
                        return Ok(());
                    }
                }
                Err(RecvTimeoutError::Timeout) if Instant::now() < deadline => {}
                Err(RecvTimeoutError::Timeout) => return Err(self.not_ready("it takes too long".to_owned())),
                Err(RecvTimeoutError::Disconnected) => return Err(self.not_ready("it ended".to_owned())),
            }
        }
    }

    /// Makes the error of a process that is not ready, with the end of its log.
    fn not_ready(&self, what: String) -> StoreError {
        let log = fs::read_to_string(log_path(&self.options)).unwrap_or_default();
        let lines: Vec<&str> = log.lines().rev().take(5).collect();
        let tail: Vec<&str> = lines.into_iter().rev().collect();

        StoreError::NotReady {
            name: self.name().to_owned(),
            reason: format!("{what}; log: {}", tail.join(" | ")),
        }
    }

    fn tell_to_stop(&mut self) {
        if let Some(mut stdin) = self.stdin.take() {
            // Fails only if the child has gone.
            let _ = writeln!(stdin, "{STOP_WORD}");
        }
    }

    /// Waits until the process has ended, and kills it if that takes too long. Returns how it ended.
    fn wait_end(&mut self, patience: Duration) -> String {
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline {
            match self.child.try_wait() {
                Ok(Some(status)) => return status.to_string(),
                Ok(None) => std::thread::sleep(POLL),
                Err(error) => return error.to_string(),
            }
        }
        self.kill();
        "killed after it had not ended in time".to_owned()
    }

    fn kill(&mut self) {
        // Both fail only for a child that has been waited for already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for ClusterProcess {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Returns the file with the standard error of a process.
fn log_path(options: &ProcessOptions) -> PathBuf {
    options.data_dir.join(format!("{}.log", options.name))
}

/// Makes the folder, which must be empty if it exists: it is removed at the end with all that is in it.
fn claim_empty_folder(folder: &Path) -> std::io::Result<()> {
    fs::create_dir_all(folder)?;
    match fs::read_dir(folder)?.next() {
        None => Ok(()),
        Some(_) => Err(std::io::Error::other("the folder is not empty")),
    }
}

/// Returns a folder that no other cluster of this or another process uses.
fn fresh_folder() -> PathBuf {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    std::env::temp_dir().join(format!("pivot-store-{}-{number}", std::process::id()))
}
