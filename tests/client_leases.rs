//! Queries go some time after the client that installed them, unless they were asked to stay: as processes.
#![allow(missing_docs, clippy::unwrap_used)]

use pivot_protocol::wire;
use pivot_tests::{PATIENCE, ServerProcess, pivot_binary};
use std::io::Read;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// The grace of the servers here; clients are heard of four times in it.
const GRACE: &[&str] = &["--client-grace", "2s"];

/// A time in which a query that nobody holds is gone.
const LONG: Duration = Duration::from_secs(5);

const QUERY: &str = "FROM l IN Leases.hit SELECT COUNT";

/// A client as a process, which is killed when dropped.
struct ClientProcess(Child);

impl ClientProcess {
    /// Starts `pivot` with arguments and reads nothing of what it prints.
    fn start(server: &ServerProcess, arguments: &[&str]) -> ClientProcess {
        let mut command = pivot(server, arguments);
        ClientProcess(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
    }

    fn kill(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }

    fn signal(&self, signal: &str) {
        let pid = self.0.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    /// Waits for its end, and returns what it has printed to standard error.
    fn stderr(mut self) -> String {
        let mut text = String::new();
        self.0.stderr.take().unwrap().read_to_string(&mut text).unwrap();
        text
    }
}

impl Drop for ClientProcess {
    fn drop(&mut self) {
        self.kill();
    }
}

fn pivot(server: &ServerProcess, arguments: &[&str]) -> Command {
    let mut command = Command::new(pivot_binary());
    command.args(["--frontend", &server.url()]).args(arguments).env("USER", "ada").stdin(Stdio::null());
    command
}

/// Runs `pivot` to its end.
fn run(server: &ServerProcess, arguments: &[&str]) -> Output {
    let output = pivot(server, arguments).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    output
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The installed queries.
async fn queries(server: &ServerProcess) -> Vec<wire::Query> {
    let request = wire::ListQueriesRequest {};
    server.client().await.list_queries(request).await.unwrap().into_inner().queries
}

async fn numbers(server: &ServerProcess) -> Vec<u32> {
    queries(server).await.iter().map(|query| query.number).collect()
}

/// Waits until queries of these numbers are installed and no other.
async fn wait_for(server: &ServerProcess, expected: &[u32]) {
    let until = Instant::now() + PATIENCE;
    while numbers(server).await != expected {
        assert!(Instant::now() < until, "{expected:?} are installed, and not {:?}", queries(server).await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Installs a query for a session, as a client of somebody else.
async fn install(server: &ServerProcess, session: &str) -> u32 {
    let owner = wire::QueryOwner { session: session.into(), ..Default::default() };
    let request = wire::InstallRequest { text: QUERY.into(), owner: Some(owner), ..Default::default() };
    server.client().await.install(request).await.unwrap().into_inner().query.unwrap()
}

/// Says that a session lives, for a time.
async fn keep_alive(server: &ServerProcess, session: &str, time: Duration) {
    let until = Instant::now() + time;
    while Instant::now() < until {
        let request = wire::KeepAliveRequest { session: session.into() };
        let reply = server.client().await.keep_alive(request).await.unwrap().into_inner();
        assert_eq!(reply.grace_ns, 2_000_000_000);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_query_of_a_client_that_is_killed_goes_and_that_of_another_stays() {
    let server = ServerProcess::start_with(GRACE).await;
    let mut killed = ClientProcess::start(&server, &["-c", QUERY]);
    wait_for(&server, &[1]).await;
    let lives = ClientProcess::start(&server, &["-c", QUERY]);
    wait_for(&server, &[1, 2]).await;

    let listed = stdout(&run(&server, &["-c", r"\dq"]));
    assert!(
        listed.contains("ada@")
            && listed.contains("(-c, pid ")
            && listed.contains("goes 2 s after its client"),
        "{listed}"
    );
    let listed = stdout(&run(&server, &["-c", r"\dq 2"]));
    assert!(listed.contains(&format!("(-c, pid {}), goes 2 s", lives.0.id())), "{listed}");

    killed.kill();
    wait_for(&server, &[2]).await;
    tokio::time::sleep(LONG).await;
    assert_eq!(numbers(&server).await, [2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_whose_output_nobody_reads_stays_with_its_client_and_goes_with_it() {
    let server = ServerProcess::start_with(GRACE).await;
    let agent = pivot::builder().process("leases").frontend(server.url()).init().unwrap();
    // Each window has far more than a pipe holds.
    let text = "FROM l IN Leases.hit GROUP BY l.n SELECT l.n, COUNT EVERY 100ms";
    let mut killed = ClientProcess::start(&server, &["-c", text, "--format", "json"]);
    wait_for(&server, &[1]).await;
    let stopped = ClientProcess::start(&server, &["-c", text, "--format", "json"]);
    wait_for(&server, &[1, 2]).await;
    for n in 0..30_000_u64 {
        pivot::tracepoint!("Leases.hit", n = n);
        if n % 100 == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    tokio::time::sleep(LONG).await;
    assert_eq!(numbers(&server).await, [1, 2]);

    killed.kill();
    wait_for(&server, &[2]).await;
    stopped.signal("-STOP");
    wait_for(&server, &[]).await;
    drop(agent);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_is_asked_to_stay_stays_also_over_a_restart() {
    let mut server = ServerProcess::start_with(GRACE).await;
    let mut client = ClientProcess::start(&server, &["-c", QUERY]);
    wait_for(&server, &[1]).await;
    let kept = stdout(&run(&server, &["-c", r"\keep"]));
    assert!(kept.contains("query 1 stays"), "{kept}");
    client.kill();

    let detached = run(&server, &["-c", QUERY, "--detach"]);
    assert_eq!(stdout(&detached), "2\n");
    let file = server.data().join("errors.pivot");
    std::fs::write(&file, QUERY).unwrap();
    let file = file.display().to_string();
    assert_eq!(stdout(&run(&server, &["-f", &file, "--detach"])), "3 errors\n");
    assert!(stdout(&run(&server, &["-c", r"\keep errors"])).contains("query 3 stays"));

    for _ in 0..2 {
        tokio::time::sleep(LONG).await;
        assert_eq!(numbers(&server).await, [1, 2, 3]);
        let listed = stdout(&run(&server, &["-c", r"\dq"]));
        assert_eq!(listed.lines().filter(|line| line.contains("  stays  FROM")).count(), 3, "{listed}");
        assert!(listed.contains("(-c, pid") && listed.contains("(errors.pivot, pid"), "{listed}");
        server.restart().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn several_detached_queries_are_installed_all_or_none() {
    let server = ServerProcess::start_with(GRACE).await;
    let wrong = format!("{QUERY}; FROM l IN Leases.hit SELCT COUNT");
    let output = pivot(&server, &["-c", &wrong, "--detach"]).output().unwrap();
    assert_eq!((output.status.code(), stdout(&output)), (Some(2), String::new()));
    assert!(queries(&server).await.is_empty());

    let both = format!("{QUERY}; {QUERY}");
    let output = run(&server, &["-c", &both, "--detach", "--format", "json"]);
    assert_eq!(stdout(&output), "{\"query\":2,\"name\":\"\"}\n{\"query\":3,\"name\":\"\"}\n");
    let output = pivot(&server, &["-c", QUERY, "--detach", "--for", "1s"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn leases_begin_anew_when_the_frontend_is_started_again() {
    let mut server = ServerProcess::start_with(GRACE).await;
    let client = ClientProcess::start(&server, &["-c", QUERY]);
    wait_for(&server, &[1]).await;
    let gone = install(&server, "gone").await;
    server.kill();
    tokio::time::sleep(LONG).await;
    server.restart().await;

    // Both are there, until the client that lives has had its time to come back.
    assert_eq!(numbers(&server).await, [1, gone]);
    wait_for(&server, &[1]).await;
    tokio::time::sleep(LONG).await;
    assert_eq!(numbers(&server).await, [1]);
    drop(client);
    wait_for(&server, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frontend_that_stood_still_does_not_take_its_clients_for_gone() {
    let server = ServerProcess::start_with(GRACE).await;
    let mut client = ClientProcess::start(&server, &["-c", QUERY]);
    wait_for(&server, &[1]).await;
    server.signal("-STOP");
    tokio::time::sleep(2 * LONG).await;
    server.signal("-CONT");
    tokio::time::sleep(LONG).await;
    assert_eq!(numbers(&server).await, [1]);
    client.kill();
    wait_for(&server, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_heard_of_again_within_the_grace_keeps_its_query() {
    let server = ServerProcess::start_with(GRACE).await;
    let query = install(&server, "away").await;
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(800)).await;
        // Over another connection each time, as after a cut.
        keep_alive(&server, "away", Duration::from_millis(1)).await;
    }
    assert_eq!(numbers(&server).await, [query]);
    keep_alive(&server, "another", LONG).await;
    assert!(queries(&server).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_reads_the_results_of_a_query_holds_it_too() {
    let server = ServerProcess::start_with(GRACE).await;
    let query = install(&server, "gone").await;
    let request = wire::ResultsRequest { query, ..Default::default() };
    let mut frames = server.client().await.results(request).await.unwrap().into_inner();
    tokio::time::sleep(LONG).await;
    assert_eq!(numbers(&server).await, [query]);

    server.client().await.uninstall(wire::UninstallRequest { query }).await.unwrap();
    let last = frames.message().await.unwrap().unwrap();
    assert_eq!((last.last, last.end()), (true, wire::frame::End::Uninstalled));
    let query = install(&server, "gone").await;
    wait_for(&server, &[]).await;
    let request = wire::ResultsRequest { query, ..Default::default() };
    let mut frames = server.client().await.results(request).await.unwrap().into_inner();
    let last = frames.message().await.unwrap().unwrap();
    assert_eq!((last.last, last.end()), (true, wire::frame::End::Abandoned));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_was_stopped_for_too_long_says_why_its_query_is_gone() {
    let server = ServerProcess::start_with(GRACE).await;
    let client = ClientProcess::start(&server, &["-c", QUERY]);
    wait_for(&server, &[1]).await;
    // The frontend tries idle connections every ten seconds, for twenty.
    client.signal("-STOP");
    wait_for(&server, &[]).await;
    client.signal("-CONT");
    let stderr = client.stderr();
    assert!(stderr.contains("query 1 was uninstalled, since the frontend had not heard of"), "{stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_gives_no_session_gets_a_query_that_stays() {
    let server = ServerProcess::start_with(GRACE).await;
    let query = install(&server, "").await;
    tokio::time::sleep(LONG).await;
    let listed = queries(&server).await;
    assert_eq!((listed[0].number, &listed[0].lease, listed[0].owner.as_str()), (query, &None, ""));
}
