//! The frontend as a process of its own, with what the kernel says of it.

use pivot_tests::pivot_binary;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// Ticks of the kernel's clock in a second, as `/proc` counts them.
const TICKS: u64 = 100;

/// A running `pivot server`; ended when dropped.
#[derive(Debug)]
pub(crate) struct MeasuredServer {
    child: Child,
    url: String,
    /// Where it keeps its state; removed with the server.
    _data: TempDir,
}

impl MeasuredServer {
    /// Starts a server at a free port.
    pub(crate) fn start() -> MeasuredServer {
        let binary = std::env::var("PIVOT_LOAD_SERVER").map(PathBuf::from);
        let mut command = Command::new(binary.unwrap_or_else(|_| pivot_binary()));
        let data = tempfile::tempdir().unwrap();
        command.args(["server", "--listen", "127.0.0.1:0", "--data"]).arg(data.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();

        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.split([' ', ',']).find(|word| word.starts_with("http://"));
        let url = url.unwrap_or_else(|| panic!("no address in {line:?}")).to_owned();
        MeasuredServer { child, url, _data: data }
    }

    pub(crate) fn url(&self) -> String {
        self.url.clone()
    }

    /// Returns the processor time that it has used.
    pub(crate) fn cpu(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        // Behind the name, which may have spaces: user and system time are the 12th and 13th of the rest.
        let rest = stat.rsplit_once(") ").unwrap().1;
        let ticks: u64 = rest.split(' ').skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum();
        Duration::from_millis(ticks * 1_000 / TICKS)
    }

    /// Returns its resident memory.
    pub(crate) fn memory_mib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
    }
}

impl Drop for MeasuredServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
