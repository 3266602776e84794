//! The counts of data nodes and of clients agree, byte for byte.
#![allow(clippy::unwrap_used, missing_docs, unreachable_pub, dead_code)]

mod harness;

use std::collections::BTreeMap;

use harness::{plan, start, wait_until};
use pivot_store::{AppCounts, ClusterPlan, ProcessRole, ProcessSummary};

const CLIENTS: [ProcessRole; 4] =
    [ProcessRole::Get, ProcessRole::Scan, ProcessRole::Sort, ProcessRole::Stress];

/// Returns the counts of all data nodes together, per application.
fn served(summaries: &[ProcessSummary]) -> BTreeMap<String, AppCounts> {
    let mut served: BTreeMap<String, AppCounts> = BTreeMap::new();
    let of_data_nodes = summaries.iter().filter(|summary| summary.process == "datanode");
    for (app, counts) in of_data_nodes.flat_map(|summary| &summary.apps) {
        let sum = served.entry(app.clone()).or_default();
        sum.operations += counts.operations;
        sum.bytes_read += counts.bytes_read;
        sum.bytes_written += counts.bytes_written;
    }
    served
}

/// Checks that every byte that a client received was sent by a data node, and each that it wrote stored on three.
fn check_counts(summaries: &[ProcessSummary], clients: usize) {
    let served = served(summaries);
    let of_clients: Vec<_> = summaries.iter().filter(|summary| summary.host.starts_with("app-")).collect();
    assert_eq!(of_clients.len(), clients);
    for client in of_clients {
        let counts = served[&client.process];
        assert_eq!(client.failed, 0, "{}", client.process);
        assert_eq!(counts.bytes_read, client.bytes_read, "read by {}", client.process);
        assert_eq!(counts.bytes_written, 3 * client.bytes_written, "written by {}", client.process);
    }
}

#[test]
fn statistics_equal_what_clients_received_after_a_number_of_operations() {
    let mut cluster = start(ClusterPlan { operations: Some(5), pace_ms: Some(1), ..plan(&CLIENTS) });
    cluster.wait_for_clients().unwrap();
    cluster.stop();
    let summaries = cluster.summaries();
    check_counts(&summaries, CLIENTS.len());

    let read = |app: &str| served(&summaries)[app].bytes_read;
    assert_eq!((read("get"), read("scan")), (5 * (64 << 10), 5 * (1 << 20)));
    assert_eq!((read("sort"), read("stress")), (5 * (64 << 10), 5 * (8 << 10)));
}

#[test]
fn a_stop_lets_clients_finish_whole_operations() {
    let mut cluster = start(ClusterPlan { pace_ms: Some(0), ..plan(&CLIENTS) });
    wait_until(|| cluster.summaries().iter().filter(|summary| summary.host.starts_with("app-")).count() == 4);
    cluster.stop();
    let summaries = cluster.summaries();
    check_counts(&summaries, CLIENTS.len());

    let scan = summaries.iter().find(|summary| summary.process == "scan").unwrap();
    assert_eq!(scan.bytes_read, scan.operations * (1 << 20));
}

#[test]
fn clients_do_nothing_before_they_are_told_to_go() {
    let mut cluster =
        start(ClusterPlan { wait_for_go: true, operations: Some(2), ..plan(&[ProcessRole::Get]) });
    let path = cluster.members().last().unwrap().options().stats_path();
    wait_until(|| path.exists());
    assert_eq!(ProcessSummary::read(&path).unwrap().operations, 0);

    cluster.go().unwrap();
    cluster.wait_for_clients().unwrap();
    assert_eq!(ProcessSummary::read(&path).unwrap().operations, 2);
}
