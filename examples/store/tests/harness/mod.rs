//! A small cluster of real processes, run by the example's own binary.

use std::process::Command;
use std::time::{Duration, Instant};

use pivot_store::{Cluster, ClusterPlan, DataSet, ProcessRole};

/// An address where nothing listens: the agents of the processes find no frontend, which must not matter.
pub const NO_FRONTEND: &str = "http://127.0.0.1:9";

/// Returns a plan with small files.
pub fn plan(clients: &[ProcessRole]) -> ClusterPlan {
    ClusterPlan {
        clients: clients.to_vec(),
        frontend: Some(NO_FRONTEND.to_owned()),
        dataset: DataSet::small(),
        ..ClusterPlan::default()
    }
}

/// Starts a cluster of this example's own binary.
pub fn start(plan: ClusterPlan) -> Cluster {
    Cluster::start(plan, |_, options| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_store"));
        command.args(options.to_args());
        command
    })
    .unwrap()
}

/// Returns whether a process runs. One that has ended and waits to be reaped does not.
pub fn is_running(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(") ").next().unwrap_or("Z").starts_with('Z'))
}

/// Waits for a condition that has to come true, and panics after a minute.
pub fn wait_until(mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(60), "waited in vain");
        std::thread::sleep(Duration::from_millis(20));
    }
}
