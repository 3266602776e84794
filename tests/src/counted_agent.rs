//! The binary `counted_agent` as a process: an agent with a ground truth that survives it.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// A process that hits the tracepoint `Counted.hit` with `n = 2`, and counts how often. Killed when dropped.
#[derive(Debug)]
pub struct CountedAgent {
    directory: TempDir,
    child: Child,
}

impl CountedAgent {
    /// Starts the binary at this path, with variables of the environment, each as `NAME=value`.
    pub fn start(binary: &str, url: &str, process: &str, variables: &[String]) -> CountedAgent {
        let directory = tempfile::tempdir().expect("there is room for temporary files");
        let mut command = Command::new("env");
        command.args(variables).arg(binary).arg(truth_file(directory.path()));
        command.env("PIVOT_FRONTEND", url).env("PIVOT_PROCESS", process);
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the binary runs");
        CountedAgent { directory, child }
    }

    /// Lets it hit the tracepoint a thousand times a second.
    pub fn go(&mut self) {
        self.say("go");
    }

    /// Stops it, and waits until the frontend has everything.
    pub fn pause(&mut self) {
        self.say("pause");
        let stdout = self.child.stdout.as_mut().expect("it is piped");
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).expect("it says a line");
        assert_eq!(line.trim(), "paused");
    }

    fn say(&mut self, word: &str) {
        let stdin = self.child.stdin.as_mut().expect("it is piped");
        writeln!(stdin, "{word}").expect("the process reads");
    }

    /// Lets it stop and leave, and waits for its end.
    pub fn leave(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }

    /// Ends it at once.
    pub fn kill(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Sends the process a signal, such as `-STOP`.
    pub fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().expect("kill runs").success());
    }

    /// Returns how often it has hit the tracepoint. One that was killed may have done so once less.
    pub fn hits(&self) -> u64 {
        std::fs::metadata(truth_file(self.directory.path())).map_or(0, |truth| truth.len())
    }
}

fn truth_file(directory: &Path) -> PathBuf {
    directory.join("truth")
}

impl Drop for CountedAgent {
    fn drop(&mut self) {
        self.kill();
    }
}
