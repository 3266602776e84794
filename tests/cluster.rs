//! The whole system as processes: a frontend, the store, and queries whose answers are known from the
//! bytes that the data nodes counted on their own.
#![allow(missing_docs, clippy::unwrap_used)]

use pivot_advice::{Exports, FieldDescriptor, Type, Value};
use pivot_protocol::{from_wire, to_wire, wire};
use pivot_store::{Cluster, ClusterPlan, DataSet, ProcessRole, ProcessSummary};
use pivot_tests::{PATIENCE, PlayedAgent, TestFrontend, pivot_binary};
use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

const Q1: &str = include_str!("../queries/paper/q1.pivot");
const Q2: &str = include_str!("../queries/paper/q2.pivot");

fn cluster(frontend: &str, plan: ClusterPlan) -> Cluster {
    let plan = ClusterPlan {
        frontend: Some(frontend.to_owned()),
        wait_for_go: true,
        pace_ms: Some(1),
        dataset: DataSet::small(),
        ..plan
    };

    Cluster::start(plan, |_, options| {
        let mut command = Command::new(pivot_binary());
        command.arg("store").args(options.to_args());
        command
    })
    .unwrap()
}

/// Waits until so many agents are connected and have woven what is installed.
async fn converged(frontend: &mut TestFrontend, agents: usize) {
    loop {
        let list = frontend.client.list_agents(wire::ListAgentsRequest {}).await.unwrap().into_inner().agents;
        let connected = wire::agent::State::Connected as i32;
        if list.iter().filter(|a| a.state == connected && a.converged).count() >= agents {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until a process is in the cumulative result of a query that groups by process id.
async fn takes_part(frontend: &mut TestFrontend, query: u32, pid: u32) {
    let mut frames = frontend.results(query).await;

    let found = async {
        while let Some(frame) = frames.message().await.unwrap() {
            if sums(&frame).contains_key(&pid.to_string()) {
                return;
            }
        }
        panic!("the results ended");
    };
    tokio::time::timeout(PATIENCE, found).await.unwrap_or_else(|_| panic!("process {pid} is missing"));
}

/// Rows of two columns as a map from text to number.
fn sums(frame: &wire::Frame) -> BTreeMap<String, u64> {
    let row = |row: &wire::Row| {
        let values: Vec<Value> = row.values.iter().map(|v| from_wire::value(v.clone()).unwrap()).collect();
        (values[0].to_string(), u64::try_from(values[1].as_integer().unwrap()).unwrap())
    };
    frame.cumulative.iter().map(row).collect()
}

fn read_by_host(summaries: &[ProcessSummary]) -> BTreeMap<String, u64> {
    let nodes = summaries.iter().filter(|s| s.process == "datanode" && s.bytes_read > 0);
    nodes.map(|s| (s.host.clone(), s.bytes_read)).collect()
}

fn read_by_application(summaries: &[ProcessSummary]) -> BTreeMap<String, u64> {
    let mut sums = BTreeMap::new();
    for summary in summaries.iter().filter(|s| s.process == "datanode") {
        for (name, app) in summary.apps.iter().filter(|(_, app)| app.bytes_read > 0) {
            *sums.entry(name.clone()).or_default() += app.bytes_read;
        }
    }
    sums
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_are_charged_exactly_to_the_host_and_application_that_caused_them() {
    let mut frontend = TestFrontend::start().await;
    let url = frontend.url();
    let plan = ClusterPlan { operations: Some(20), ..ClusterPlan::default() };
    let mut store = tokio::task::spawn_blocking(move || cluster(&url, plan)).await.unwrap();
    let (q1, q2) = (frontend.install(Q1).await, frontend.install(Q2).await);
    converged(&mut frontend, store.members().len()).await;
    store.go().unwrap();

    let summaries = tokio::task::spawn_blocking(move || {
        store.wait_for_clients().unwrap();
        store.stop();
        store.summaries()
    });

    let summaries = summaries.await.unwrap();
    let (by_host, by_application) = (frontend.finish(q1).await, frontend.finish(q2).await);
    assert!(read_by_application(&summaries).len() >= 3, "{summaries:?}");
    assert_eq!(sums(&by_host), read_by_host(&summaries));
    assert_eq!(sums(&by_application), read_by_application(&summaries));
    assert!(!by_host.cumulative_completeness.unwrap().partial);
    assert!(!by_application.cumulative_completeness.unwrap().partial);
    frontend.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_data_node_that_was_killed_takes_part_again_and_the_frontend_keeps_serving() {
    let mut frontend = TestFrontend::start().await;
    let query =
        frontend.install("From r In DataNodeMetrics.incrBytesRead GroupBy r.pid Select r.pid, COUNT").await;
    let url = frontend.url();
    let plan = ClusterPlan { clients: vec![ProcessRole::Stress], ..ClusterPlan::default() };
    let store = tokio::task::spawn_blocking(move || cluster(&url, plan)).await.unwrap();
    converged(&mut frontend, store.members().len()).await;
    store.go().unwrap();
    let victim = store.position("dn-1").unwrap();
    let before = store.members()[victim].pid();
    takes_part(&mut frontend, query, before).await;

    let store = tokio::task::spawn_blocking(move || {
        let mut store = store;
        store.kill(victim);
        store.restart(victim).unwrap();
        store
    })
    .await
    .unwrap();

    takes_part(&mut frontend, query, store.members()[victim].pid()).await;
    tokio::task::spawn_blocking(move || drop(store)).await.unwrap();
    frontend.stop().await;
}

/// Lets a request pass the tracepoint that the others are missed before.
fn end(request: &mut Option<pivot::baggage::Baggage>) {
    pivot::baggage::current::run_in(request, || pivot::tracepoint!("Absence.end"));
}

fn uncertain(completeness: Option<&wire::Completeness>) -> u64 {
    completeness.and_then(|completeness| completeness.loss).map_or(0, |loss| loss.uncertain)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_absence_is_uncertain_in_requests_that_began_before_the_query() {
    let mut frontend = TestFrontend::start().await;
    let agent = pivot::builder().process("absence").frontend(frontend.url()).init().unwrap();
    let mut early = Some(pivot::baggage::enter_request(None).finish());
    let text = "FROM e IN Absence.end ANTI JOIN b IN Absence.begin ON b -> e GROUP BY e.process SELECT e.process, COUNT";
    let query = frontend.install(text).await;
    converged(&mut frontend, 1).await;
    end(&mut early);

    let mut frames = frontend.results(query).await;
    let (mut first, mut certain) = (true, false);
    let settled = async {
        while !certain {
            let mut late = Some(pivot::baggage::enter_request(None).finish());
            end(&mut late);
            let frame = frames.message().await.unwrap().unwrap();
            let uncertain = uncertain(frame.completeness.as_ref());
            assert!(!first || uncertain >= 1, "{frame:?}");
            (first, certain) = (false, uncertain == 0);
        }
    };
    tokio::time::timeout(PATIENCE, settled).await.unwrap();
    let last = frontend.finish(query).await;
    assert!(last.cumulative_completeness.as_ref().unwrap().partial);
    let before = uncertain(last.cumulative_completeness.as_ref());

    let query = frontend.install(text).await;
    converged(&mut frontend, 1).await;
    let mut late = Some(pivot::baggage::enter_request(None).finish());
    end(&mut early);
    end(&mut late);
    assert!(agent.flush(PATIENCE));
    let last = frontend.finish(query).await;
    assert!(before >= 1 && uncertain(last.cumulative_completeness.as_ref()) >= 1, "{last:?}");
    frontend.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_in_which_nothing_happened_says_so_and_succeeds() {
    let frontend = TestFrontend::start().await;
    let exports = Exports {
        tracepoint: "Quiet.hit".into(),
        fields: vec![FieldDescriptor { name: "n".into(), ty: Type::I64 }],
        file: "quiet.rs".into(),
        line: 1,
        module: "quiet".into(),
    };
    let catalogue = vec![to_wire::exports(&exports)];
    let hello = wire::Hello { incarnation: 7, process: "quiet".into(), catalogue, ..Default::default() };
    let mut agent = PlayedAgent::attach(&frontend.url(), hello).await;
    agent.weave().await;

    for (query, result) in [
        ("FROM q IN Quiet.hit SELECT COUNT AS n, SUM(q.n) AS total", "0,"),
        ("FROM q IN Quiet.hit GROUP BY q.n SELECT q.n, COUNT", "0 rows, agents 1/1"),
    ] {
        let format = if result.contains("rows") { "table" } else { "csv" };
        let mut command = Command::new(pivot_binary());
        command.args(["--frontend", &frontend.url(), "-c", query, "--for", "300ms", "--format", format]);
        let run = tokio::task::spawn_blocking(move || command.output().unwrap());

        // Once for the install, and once for the uninstall.
        agent.weave().await;
        agent.weave().await;
        let output = run.await.unwrap();
        let (stdout, stderr) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success() && stdout.contains(result), "{stdout}\n{stderr}");
    }

    // A frontend waits for open streams when it stops.
    drop(agent);
    frontend.stop().await;
}
