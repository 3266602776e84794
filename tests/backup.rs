//! A backup of a frontend that runs, and a frontend that is started with it: as processes.
#![allow(missing_docs, clippy::unwrap_used)]

use pivot_protocol::wire;
use pivot_tests::{PATIENCE, ServerProcess, TestFrontend, pivot_binary};
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

const QUERY: &str = "FROM b IN Backup.hit SELECT COUNT";

/// Makes a backup into a file.
fn backup(url: &str, file: &Path) -> Output {
    let mut command = Command::new(pivot_binary());
    command.args(["server", "backup"]).arg(file).args(["--frontend", url]);
    command.output().unwrap()
}

async fn install(server: &ServerProcess, name: &str) -> u32 {
    let request = wire::InstallRequest { text: QUERY.into(), name: name.into(), ..Default::default() };
    server.client().await.install(request).await.unwrap().into_inner().query.unwrap()
}

async fn queries(server: &ServerProcess) -> Vec<(u32, String)> {
    let request = wire::ListQueriesRequest {};
    let listed = server.client().await.list_queries(request).await.unwrap().into_inner().queries;
    listed.into_iter().map(|query| (query.number, query.name)).collect()
}

async fn wait_until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !holds().await {
        assert!(Instant::now() < until, "{what}, within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn is_woven() -> bool {
    pivot_agent::statuses().iter().any(|status| status.state == pivot_agent::QueryState::Active)
}

fn hit(times: u64) {
    for _ in 0..times {
        pivot::tracepoint!("Backup.hit");
    }
}

/// Uninstalls a query, and returns what it has counted and whether that is partial.
async fn finish(server: &ServerProcess, query: u32) -> (u64, bool) {
    let mut client = server.client().await;
    client.uninstall(wire::UninstallRequest { query }).await.unwrap();
    let request = wire::ResultsRequest { query, ..Default::default() };
    let mut frames = client.results(request).await.unwrap().into_inner();
    let mut last = wire::Frame::default();
    while let Some(frame) = frames.message().await.unwrap() {
        last = frame;
    }
    let Some(wire::value::Kind::U64(count)) = last.cumulative[0].values[0].kind else { panic!("{last:?}") };
    (count, last.cumulative_completeness.unwrap().partial)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frontend_goes_on_from_a_backup_and_says_what_is_missing() {
    let mut server = ServerProcess::start().await;
    let agent = pivot::builder().process("backup").frontend(server.url()).init().unwrap();
    let query = install(&server, "kept").await;
    wait_until("the query is woven", async || is_woven()).await;
    hit(100);
    assert!(agent.flush(PATIENCE));

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pivot.backup");
    let output = backup(&server.url(), &file);
    assert!(output.status.success(), "{output:?}");
    let left = std::fs::read_dir(server.data()).unwrap().count();
    assert_eq!(left, 2, "nothing is left beside the store and history");

    // After the backup: rows that are not in it, and a query whose number another one will get.
    hit(1_000);
    assert!(agent.flush(PATIENCE));
    let old = install(&server, "forgotten").await;
    wait_until("both are woven", async || pivot_agent::statuses().len() == 2).await;
    hit(10);
    server.kill();
    std::fs::copy(&file, server.data().join("pivot.redb")).unwrap();
    server.restart().await;

    assert_eq!(queries(&server).await, [(query, "kept".to_owned())]);
    let new = install(&server, "new").await;
    assert_eq!(new, old, "numbers go on from the backup");
    // What the agent still has is about queries of the first frontend.
    wait_until("the agent has connected again", async || {
        let woven = pivot_agent::statuses();
        let agents =
            server.client().await.list_agents(wire::ListAgentsRequest {}).await.unwrap().into_inner();
        woven.len() == 2 && agents.agents.iter().any(|agent| agent.state == 1 && agent.converged)
    })
    .await;
    hit(7);
    assert!(agent.flush(PATIENCE));
    assert_eq!(finish(&server, new).await, (7, false));

    // Another restart changes nothing more.
    server.restart().await;
    assert_eq!(finish(&server, query).await, (107, true));
    drop(agent);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_made_into_a_new_file_or_not_at_all() {
    let server = ServerProcess::start().await;
    install(&server, "kept").await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pivot.backup");
    std::fs::write(&file, "precious").unwrap();
    let output = backup(&server.url(), &file);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "precious");

    let nothing = TestFrontend::start().await;
    let other = folder.path().join("other");
    let output = tokio::task::block_in_place(|| backup(&nothing.url(), &other));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        stderr.contains("cannot make a backup: the frontend keeps nothing") && !other.exists(),
        "{stderr}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frontend_goes_on_storing_while_backups_are_made() {
    let mut server = ServerProcess::start().await;
    let folder = tempfile::tempdir().unwrap();
    for number in 0..10_u32 {
        install(&server, &format!("q{number}")).await;
        let file = folder.path().join(number.to_string());
        let name = format!("r{number}");
        let (made, installed) = tokio::join!(
            async { tokio::task::block_in_place(|| backup(&server.url(), &file)) },
            install(&server, &name)
        );
        assert!(made.status.success() && installed == 2 * number + 2, "{made:?}");
    }
    server.kill();
    std::fs::copy(folder.path().join("9"), server.data().join("pivot.redb")).unwrap();
    server.restart().await;
    assert!(queries(&server).await.len() >= 19);
}
