//! All roles as processes of their own, which end with this one.

use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};

const ROLES: [&str; 4] = ["stock", "prices", "web", "load"];

/// Starts every role and waits for Ctrl-C, the end of the time, or of one of them.
pub(crate) async fn run(time: Option<Duration>) -> anyhow::Result<()> {
    let program = std::env::current_exe()?;
    let start = |role: &&str| {
        let mut command = Command::new(&program);
        // A pipe that nobody writes to: it closes when this process ends, however it does.
        command.args(["--supervised", role]).stdin(Stdio::piped()).kill_on_drop(true).spawn()
    };
    let mut children = ROLES.iter().map(start).collect::<Result<Vec<Child>, _>>()?;
    // Waiting for a process would close what it is given.
    let _pipes: Vec<_> = children.iter_mut().map(|child| child.stdin.take()).collect();
    let [stock, prices, web, load] = children.as_mut_slice() else { return Ok(()) };
    let ended = tokio::select! {
        ended = stock.wait() => ended,
        ended = prices.wait() => ended,
        ended = web.wait() => ended,
        ended = load.wait() => ended,
        _ = tokio::signal::ctrl_c() => return Ok(()),
        () = tokio::time::sleep(time.unwrap_or(Duration::MAX)) => return Ok(()),
    };
    anyhow::bail!("one of the processes has ended: {}", ended?)
}

/// Waits until the process that started this one has ended.
pub(crate) async fn abandoned() {
    // A pipe that nobody writes to.
    let _ = tokio::io::stdin().read(&mut [0]).await;
}
