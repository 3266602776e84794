//! [`ProcessOptions`]: what one process of the store is told when it starts, as a struct and as a command
//! line.

use std::ffi::OsString;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use crate::{DataSet, StoreError};

/// The job of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ProcessRole {
    /// Knows files, blocks and replicas.
    NameNode,
    /// Keeps blocks.
    DataNode,
    /// Writes the data set once, then ends.
    Load,
    /// Reads small files whole (4 MiB).
    Get,
    /// Reads a large file whole (64 MiB), its blocks concurrently.
    Scan,
    /// Reads its input, sorts it, and replaces its output.
    Sort,
    /// Reads 8 KiB at random places.
    Stress,
    /// Does the operations that its standard input names, and prints how long each took.
    Measure,
}

impl ProcessRole {
    /// All roles, servers first.
    pub const ALL: [ProcessRole; 8] = [
        ProcessRole::NameNode,
        ProcessRole::DataNode,
        ProcessRole::Load,
        ProcessRole::Get,
        ProcessRole::Scan,
        ProcessRole::Sort,
        ProcessRole::Stress,
        ProcessRole::Measure,
    ];

    /// Returns the role's word, which is also the process name: `namenode`, `get`, ...
    pub fn as_str(self) -> &'static str {
        match self {
            ProcessRole::NameNode => "namenode",
            ProcessRole::DataNode => "datanode",
            ProcessRole::Load => "load",
            ProcessRole::Get => "get",
            ProcessRole::Scan => "scan",
            ProcessRole::Sort => "sort",
            ProcessRole::Stress => "stress",
            ProcessRole::Measure => "measure",
        }
    }

    /// Returns whether it is the name node or a data node, which run until they are stopped.
    pub fn is_server(self) -> bool {
        matches!(self, ProcessRole::NameNode | ProcessRole::DataNode)
    }

    /// Returns the pause after each operation: moderate, so that a whole cluster leaves two cores room.
    pub fn pace(self) -> Duration {
        match self {
            ProcessRole::NameNode | ProcessRole::DataNode | ProcessRole::Load | ProcessRole::Measure => {
                Duration::ZERO
            }
            ProcessRole::Get => Duration::from_millis(100),
            ProcessRole::Scan => Duration::from_millis(500),
            ProcessRole::Sort => Duration::from_millis(1000),
            ProcessRole::Stress => Duration::from_millis(20),
        }
    }
}

impl fmt::Display for ProcessRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ProcessRole {
    type Err = StoreError;

    fn from_str(word: &str) -> Result<ProcessRole, StoreError> {
        ProcessRole::ALL
            .into_iter()
            .find(|role| role.as_str() == word)
            .ok_or_else(|| StoreError::Role(word.to_owned()))
    }
}

/// The options of one process.
#[derive(Clone, Debug, clap::Args)]
pub struct ProcessOptions {
    /// The job of the process: namenode, datanode, load, get, scan, sort, stress or measure.
    pub role: ProcessRole,
    /// Logical host of the process, such as nn-1, dn-2 or app-1.
    #[arg(long)]
    pub name: String,
    /// Address a server listens on; any free port on loopback if not given.
    #[arg(long)]
    pub listen: Option<SocketAddr>,
    /// Address of the name node, host:port.
    #[arg(long, default_value = "127.0.0.1:7461")]
    pub name_node: String,
    /// Folder with the blocks, the statistics, and the files `go` and `stop`.
    #[arg(long)]
    pub data_dir: PathBuf,
    /// Pause after each operation, in milliseconds; the role's own pace if not given.
    #[arg(long)]
    pub pace_ms: Option<u64>,
    /// Pivot frontend, a URI; PIVOT_FRONTEND or the default if not given.
    #[arg(long)]
    pub frontend: Option<String>,
    /// A client ends after this many successful operations.
    #[arg(long)]
    pub operations: Option<u64>,
    /// A client begins when the file `go` exists in the data folder.
    #[arg(long)]
    pub wait_for_go: bool,
    /// A data node fails every Nth read of a block on purpose.
    #[arg(long)]
    pub fail_every: Option<u64>,
    /// The name node records when a file was last opened or located, on the disk before it answers.
    #[arg(long)]
    pub access_times: bool,
    /// The process ends at the end of its standard input; if that comes without the word `stop`,
    /// the supervisor is dead, and the process also removes what it wrote.
    #[arg(long)]
    pub supervised: bool,
    /// Sizes of the files that the clients work on.
    #[command(flatten)]
    pub dataset: DataSet,
}

impl ProcessOptions {
    /// Returns options with every choice at its default.
    pub fn new(role: ProcessRole, name: impl Into<String>, data_dir: impl Into<PathBuf>) -> ProcessOptions {
        ProcessOptions {
            role,
            name: name.into(),
            listen: None,
            name_node: "127.0.0.1:7461".to_owned(),
            data_dir: data_dir.into(),
            pace_ms: None,
            frontend: None,
            operations: None,
            wait_for_go: false,
            fail_every: None,
            access_times: false,
            supervised: false,
            dataset: DataSet::default(),
        }
    }

    /// Returns the command line that clap parses back into these options.
    pub fn to_args(&self) -> Vec<OsString> {
        // Every field is listed here: one that is missing would not reach the children of a cluster.
        let mut args: Vec<OsString> = vec![self.role.as_str().into()];
        let mut flag = |name: &str, value: OsString| args.extend([name.into(), value]);
        flag("--name", self.name.clone().into());
        flag("--name-node", self.name_node.clone().into());
        flag("--data-dir", self.data_dir.clone().into());

        if let Some(listen) = self.listen {
            flag("--listen", listen.to_string().into());
        }
        if let Some(pace_ms) = self.pace_ms {
            flag("--pace-ms", pace_ms.to_string().into());
        }
        if let Some(frontend) = &self.frontend {
            flag("--frontend", frontend.into());
        }
        if let Some(operations) = self.operations {
            flag("--operations", operations.to_string().into());
        }
        if let Some(every) = self.fail_every {
            flag("--fail-every", every.to_string().into());
        }
        for (name, value) in self.dataset.flags() {
            flag(name, value.to_string().into());
        }

        args.extend(self.access_times.then(|| "--access-times".into()));
        args.extend(self.wait_for_go.then(|| "--wait-for-go".into()));
        args.extend(self.supervised.then(|| "--supervised".into()));
        args
    }

    /// Returns the pause after each operation.
    pub fn pace(&self) -> Duration {
        self.pace_ms.map_or(self.role.pace(), Duration::from_millis)
    }

    /// Returns the folder where this process keeps blocks or the image of the name space.
    pub fn folder(&self) -> PathBuf {
        self.data_dir.join(&self.name)
    }

    /// Returns the file where this process leaves its statistics, one line of JSON.
    pub fn stats_path(&self) -> PathBuf {
        self.data_dir.join(format!("{}.stats.json", self.name))
    }
}
