//! Processes that end with this one: frontends, their clients, and what is measured.

use crate::kind::Kind;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

/// A child that is killed when this is dropped.
pub(crate) struct Running {
    pub(crate) child: Child,
    /// Its standard input and output, if they are piped.
    input: Option<ChildStdin>,
    output: Option<BufReader<ChildStdout>>,
}

impl Running {
    fn start(command: &mut Command) -> anyhow::Result<Running> {
        let mut child = command.spawn()?;
        let (input, output) = (child.stdin.take(), child.stdout.take().map(BufReader::new));
        Ok(Running { child, input, output })
    }

    /// Returns the next line that it prints.
    pub(crate) fn read_line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        let output = self.output.as_mut().ok_or_else(|| anyhow::anyhow!("its output is not piped"))?;
        output.read_line(&mut line)?;
        Ok(line.trim().to_owned())
    }

    /// Writes an empty line to it.
    pub(crate) fn write_line(&mut self) -> anyhow::Result<()> {
        let input = self.input.as_mut().ok_or_else(|| anyhow::anyhow!("its input is not piped"))?;
        Ok(input.write_all(b"\n")?)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A frontend on a port of its own.
pub(crate) struct Frontend {
    url: String,
    _process: Running,
}

impl Frontend {
    /// Starts it and waits until it listens.
    pub(crate) fn start() -> anyhow::Result<Frontend> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut command = Command::new(binary());
        let command = command.args(["server", "--data", "none", "--listen", &format!("127.0.0.1:{port}")]);
        let process = Running::start(command.stdout(Stdio::null()).stderr(Stdio::null()))
            .map_err(|error| anyhow::anyhow!("{}: {error}", binary().display()))?;

        for _ in 0..100 {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Ok(Frontend { url: format!("http://127.0.0.1:{port}"), _process: process });
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        anyhow::bail!("the frontend does not listen after ten seconds")
    }

    /// Runs queries until the client is dropped.
    pub(crate) fn install(&self, queries: &[&str]) -> anyhow::Result<Running> {
        let mut command = Command::new(binary());
        command.args(["--frontend", &self.url, "--format", "ndjson", "--for", "10h"]);
        command.args(["-c", &queries.join("\n")]);

        Running::start(command.stdout(Stdio::null()))
    }

    /// Returns the list of running queries as the prompt shows it.
    pub(crate) fn running_queries(&self) -> anyhow::Result<String> {
        let output = Command::new(binary()).args(["--frontend", &self.url, "-c", r"\dq"]).output()?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// Returns the frontend's binary.
fn binary() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from);
    std::env::var_os("PIVOT").map_or_else(|| target.join("debug/pivot"), PathBuf::from)
}

/// Returns the frontend to which a kind of process is connected: the one that wants nothing, or the one with queries.
pub(crate) fn frontend_of<'a>(kind: Kind, idle: &'a Frontend, woven: &'a Frontend) -> Option<&'a Frontend> {
    match kind {
        Kind::Bare | Kind::BareAgain => None,
        Kind::Idle => Some(idle),
        Kind::Woven => Some(woven),
    }
}

/// Starts this program in a role, connected to a frontend if there is one.
pub(crate) fn start_role(role: &str, kind: Kind, frontend: Option<&Frontend>) -> anyhow::Result<Running> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args([role, kind.name()]).stdin(Stdio::piped()).stdout(Stdio::piped());
    if let Some(frontend) = frontend {
        command.env("PIVOT_FRONTEND", &frontend.url);
    }
    Running::start(&mut command)
}
