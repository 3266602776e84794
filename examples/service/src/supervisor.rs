//! The role `all`: starts every other role as a process of its own, and ends them with this one.
//!
//! Each child holds a pipe from this process as its standard input, and ends when the pipe closes: so none
//! outlives this process, however it ends.

use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};

/// Starts every role on ports from `port` on. Returns at Ctrl-C or when the time is over, and with an error if
/// one of the processes ends.
pub(crate) async fn run(time: Option<Duration>, port: u16) -> anyhow::Result<()> {
    let [web, stock, prices] = [0, 1, 2].map(|above| format!("127.0.0.1:{}", port + above));
    let [web_url, stock_url, prices_url] = [&web, &stock, &prices].map(|address| format!("http://{address}"));

    let mut stock = start(&["stock", "--listen", &stock])?;
    let mut prices = start(&["prices", "--listen", &prices])?;
    let mut web = start(&["web", "--listen", &web, "--stock", &stock_url, "--prices", &prices_url])?;
    let mut load = start(&["load", "--web", &web_url])?;

    // Taken out: `wait` would close them, and end the children.
    let _pipes = [stock.stdin.take(), prices.stdin.take(), web.stdin.take(), load.stdin.take()];

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

/// Starts one role.
fn start(arguments: &[&str]) -> std::io::Result<Child> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("--supervised").args(arguments).stdin(Stdio::piped()).kill_on_drop(true).spawn()
}

/// Waits until the process that started this one has ended.
pub(crate) async fn parent_ended() {
    // Nobody writes to the pipe: a read returns when it closes.
    let _ = tokio::io::stdin().read(&mut [0]).await;
}
