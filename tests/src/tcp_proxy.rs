//! A proxy between agents or clients and a frontend that cuts, delays and stalls their connections.

use crate::random::Random;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What becomes of connections.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    /// Everything passes.
    #[default]
    Open,
    /// Connections break, and new ones are closed at once.
    Cut,
    /// Nothing passes, and nobody is told.
    Stalled,
    /// Each piece waits this long, in both directions.
    Slow(Duration),
    /// What is sent passes in pieces of a few bytes.
    Dribbling,
}

/// A listener that hands connections on to one address. Ends when dropped.
#[derive(Debug)]
pub struct TcpProxy {
    address: SocketAddr,
    line: Arc<watch::Sender<Line>>,
    listener: JoinHandle<()>,
}

impl TcpProxy {
    /// Starts a proxy to a URL at a free port.
    pub async fn to(url: &str) -> TcpProxy {
        let target = url.trim_start_matches("http://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let line = Arc::new(watch::channel(Line::default()).0);

        let lines = line.clone();
        let listener = tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(connect(near, target.clone(), lines.subscribe()));
            }
        });
        TcpProxy { address, line, listener }
    }

    /// Returns where to connect to.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Has connections fare so from now on.
    pub fn set(&self, line: Line) {
        self.line.send_replace(line);
    }
}

impl Drop for TcpProxy {
    fn drop(&mut self) {
        self.listener.abort();
        self.line.send_replace(Line::Cut);
    }
}

async fn connect(near: TcpStream, target: String, line: watch::Receiver<Line>) {
    if *line.borrow() == Line::Cut {
        return;
    }
    let Ok(far) = TcpStream::connect(target).await else { return };
    let ((near_read, near_write), (far_read, far_write)) = (near.into_split(), far.into_split());
    let there = tokio::spawn(pass(near_read, far_write, line.clone()));
    let back = tokio::spawn(pass(far_read, near_write, line));
    let _ = tokio::join!(there, back);
}

/// Hands on what comes in one direction, until the line is cut.
async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut line: watch::Receiver<Line>) {
    let (mut bytes, mut random) = (vec![0; 16 << 10], Random::new(1));
    loop {
        let now = *line.borrow_and_update();
        let count = match now {
            Line::Cut => return,
            Line::Stalled => match line.changed().await {
                Ok(()) => continue,
                Err(_) => return,
            },
            Line::Dribbling => 1 + random.below(7),
            Line::Open | Line::Slow(_) => bytes.len(),
        };

        let read = tokio::select! {
            read = from.read(&mut bytes[..count]) => read,
            changed = line.changed() => match changed {
                Ok(()) => continue,
                Err(_) => return,
            },
        };
        let Ok(read @ 1..) = read else { return };
        if let Line::Slow(delay) = now {
            tokio::time::sleep(delay).await;
        }
        // What was read while the line was open arrives, unless it is cut meanwhile.
        if *line.borrow() == Line::Cut || to.write_all(&bytes[..read]).await.is_err() {
            return;
        }
    }
}
