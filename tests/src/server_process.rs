//! `pivot server` as a process that can be killed and started again.

use crate::binary::pivot_binary;
use crate::time::PATIENCE;
use pivot_protocol::wire::frontend_client::FrontendClient;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tonic::transport::Channel;

/// How often a server that starts is asked whether it listens.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// A server with a data directory of its own, always at the same port. Killed when dropped.
#[derive(Debug)]
pub struct ServerProcess {
    data: TempDir,
    port: u16,
    /// The program that runs the server, with its arguments; empty if none does.
    wrapper: Vec<String>,
    /// Arguments beside address and directory.
    arguments: Vec<String>,
    child: Option<Child>,
}

impl ServerProcess {
    /// Starts a server at a free port.
    pub async fn start() -> ServerProcess {
        ServerProcess::start_with(&[]).await
    }

    /// Starts a server at a free port, with these arguments also when it is started again.
    pub async fn start_with(arguments: &[&str]) -> ServerProcess {
        ServerProcess::start_wrapped(&[], arguments).await
    }

    /// Starts a server at a free port by a program that is to run it: its words stand before those of the server.
    pub async fn start_wrapped(wrapper: &[&str], arguments: &[&str]) -> ServerProcess {
        let free = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let port = free.local_addr().expect("it is bound").port();
        drop(free);

        let data = tempfile::tempdir().expect("there is room for temporary files");
        let [wrapper, arguments] =
            [wrapper, arguments].map(|words| words.iter().map(ToString::to_string).collect());
        let mut server = ServerProcess { data, port, wrapper, arguments, child: None };
        server.restart().await;
        server
    }

    /// Returns the number of the process.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("the server runs").id()
    }

    /// Returns where agents and clients connect to.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Returns where it keeps its state.
    pub fn data(&self) -> &std::path::Path {
        self.data.path()
    }

    /// Ends the process as the system does when there is no memory left: at once, and without a chance to do anything.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Waits until the process has ended by itself, and returns its exit code if a signal has not ended it.
    ///
    /// # Panics
    ///
    /// If it does not end within [`PATIENCE`].
    pub async fn wait(&mut self) -> Option<i32> {
        let mut child = self.child.take().expect("the server runs");
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = child.try_wait().expect("it is a child") {
                return status.code();
            }
            assert!(Instant::now() < until, "the server does not end");
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// Sends the process a signal, such as `-STOP`.
    pub fn signal(&self, signal: &str) {
        let pid = self.pid().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().expect("kill runs").success());
    }

    /// Starts the process again, after a kill or for the first time, and waits until it serves.
    ///
    /// # Panics
    ///
    /// If it does not within [`PATIENCE`].
    pub async fn restart(&mut self) {
        self.kill();

        let listen = format!("127.0.0.1:{}", self.port);
        let binary = pivot_binary();
        let mut command = match self.wrapper.split_first() {
            Some((program, words)) => {
                let mut command = Command::new(program);
                command.args(words).arg(binary);
                command
            }
            None => Command::new(binary),
        };
        command.args(["server", "--listen", &listen, "--data"]).arg(self.data.path()).args(&self.arguments);
        self.child =
            Some(command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("the binary runs"));
        self.client().await;
    }

    /// Returns a client that is connected, as soon as the server serves.
    pub async fn client(&self) -> FrontendClient<Channel> {
        let until = Instant::now() + PATIENCE;
        loop {
            match FrontendClient::connect(self.url()).await {
                Ok(client) => return client,
                Err(error) => assert!(Instant::now() < until, "the server does not serve: {error:?}"),
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        self.kill();
    }
}
