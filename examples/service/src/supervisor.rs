//! All roles as processes of their own, which end with this one.

use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};

/// Starts every role and waits for Ctrl-C, the end of the time, or of one of them.
pub(crate) async fn run(time: Option<Duration>, port: u16) -> anyhow::Result<()> {
    let program = std::env::current_exe()?;
    let address = |above: u16| format!("127.0.0.1:{}", port + above);
    let url = |above: u16| format!("http://{}", address(above));
    let roles = [
        vec!["stock".into(), "--listen".into(), address(1)],
        vec!["prices".into(), "--listen".into(), address(2)],
        vec!["web", "--listen", &address(0), "--stock", &url(1), "--prices", &url(2)]
            .into_iter()
            .map(String::from)
            .collect(),
        vec!["load".into(), "--web".into(), url(0)],
    ];
    let start = |arguments: &Vec<String>| {
        let mut command = Command::new(&program);
        // A pipe that nobody writes to: it closes when this process ends, however it does.
        command.arg("--supervised").args(arguments).stdin(Stdio::piped()).kill_on_drop(true).spawn()
    };
    let mut children = roles.iter().map(start).collect::<Result<Vec<Child>, _>>()?;
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
pub(crate) async fn parent_ended() {
    // A pipe that nobody writes to.
    let _ = tokio::io::stdin().read(&mut [0]).await;
}
