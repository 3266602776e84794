//! [`ClusterPlan`]: the processes of a cluster and their options.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::{DataSet, ProcessOptions, ProcessRole};

/// The processes that a supervisor starts: one name node, data nodes, and clients.
#[derive(Clone, Debug, clap::Args)]
pub struct ClusterPlan {
    /// Number of data nodes.
    #[arg(long, default_value_t = 4)]
    pub data_nodes: usize,
    /// Client processes, in the order of their hosts app-1, app-2, ...
    #[arg(long, value_delimiter = ',', default_value = "get,scan,sort,stress")]
    pub clients: Vec<ProcessRole>,
    /// Folder of the cluster, which is removed at the end; a new one in the temporary folder if not given.
    #[arg(long)]
    pub data_dir: Option<PathBuf>,
    /// Pause of the clients after each operation, in milliseconds; each role's own if not given.
    #[arg(long)]
    pub pace_ms: Option<u64>,
    /// Pivot frontend, a URI; PIVOT_FRONTEND or the default if not given.
    #[arg(long)]
    pub frontend: Option<String>,
    /// Each client ends after this many operations.
    #[arg(long)]
    pub operations: Option<u64>,
    /// Clients begin when they are told so by `Cluster::go`.
    #[arg(long)]
    pub wait_for_go: bool,
    /// Each data node fails every Nth read of a block on purpose.
    #[arg(long)]
    pub fail_every: Option<u64>,
    /// The name node records when a file was last opened or located.
    #[arg(long)]
    pub access_times: bool,
    /// Sizes of the files that the clients work on.
    #[command(flatten)]
    pub dataset: DataSet,
    /// Ends the start of the cluster early when it becomes true.
    #[arg(skip)]
    pub interrupted: Arc<AtomicBool>,
}

impl Default for ClusterPlan {
    fn default() -> ClusterPlan {
        ClusterPlan {
            data_nodes: 4,
            clients: vec![ProcessRole::Get, ProcessRole::Scan, ProcessRole::Sort, ProcessRole::Stress],
            data_dir: None,
            pace_ms: None,
            frontend: None,
            operations: None,
            wait_for_go: false,
            fail_every: None,
            access_times: false,
            dataset: DataSet::default(),
            interrupted: Arc::default(),
        }
    }
}

impl ClusterPlan {
    /// Returns the options that all processes have in common.
    fn options(&self, role: ProcessRole, name: String, folder: &Path) -> ProcessOptions {
        let mut options = ProcessOptions::new(role, name, folder);
        options.frontend.clone_from(&self.frontend);
        options.dataset = self.dataset.clone();
        options.supervised = true;
        options
    }

    /// Returns the options of the name node.
    pub(crate) fn name_node(&self, folder: &Path) -> ProcessOptions {
        let options = self.options(ProcessRole::NameNode, "nn-1".to_owned(), folder);
        ProcessOptions { access_times: self.access_times, ..options }
    }

    /// Returns the options of each data node.
    pub(crate) fn data_nodes(&self, folder: &Path, name_node: &str) -> Vec<ProcessOptions> {
        let mut all = Vec::new();
        for number in 1..=self.data_nodes {
            let options = self.options(ProcessRole::DataNode, format!("dn-{number}"), folder);
            all.push(ProcessOptions {
                name_node: name_node.to_owned(),
                fail_every: self.fail_every,
                ..options
            });
        }
        all
    }

    /// Returns the options of the process that writes the data set.
    pub(crate) fn loader(&self, folder: &Path, name_node: &str) -> ProcessOptions {
        let options = self.options(ProcessRole::Load, "load-1".to_owned(), folder);
        ProcessOptions { name_node: name_node.to_owned(), ..options }
    }

    /// Returns the options of each client.
    pub(crate) fn clients(&self, folder: &Path, name_node: &str) -> Vec<ProcessOptions> {
        let mut all = Vec::new();
        for (number, role) in (1..).zip(&self.clients) {
            all.push(ProcessOptions {
                name_node: name_node.to_owned(),
                pace_ms: self.pace_ms,
                operations: self.operations,
                wait_for_go: self.wait_for_go,
                ..self.options(*role, format!("app-{number}"), folder)
            });
        }
        all
    }
}
