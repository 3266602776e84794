//! Files survive byte for byte: on three nodes, without one of them, and after the name node was killed.
#![allow(clippy::unwrap_used, missing_docs, unreachable_pub, dead_code)]

mod harness;

use std::time::{Duration, SystemTime};

use harness::{plan, start};
use pivot_store::{Cluster, ClusterPlan, FileStatus, ProcessRole, StoreClient, content};

/// Reads every file of the data set and compares each byte.
async fn check_files(client: &StoreClient, cluster: &Cluster) {
    for (path, length) in cluster.members()[0].options().dataset.files() {
        assert!(client.read(&path).await.unwrap() == content(&path, length), "{path} differs");
    }
}

/// Returns the hosts of a file's first block.
async fn hosts(client: &StoreClient, path: &str) -> Vec<String> {
    client.block_locations(path).await.unwrap()[0].hosts.clone()
}

/// Waits until the hosts of a file's first block meet a condition.
async fn wait_for_hosts(client: &StoreClient, path: &str, condition: impl Fn(&[String]) -> bool) {
    let waiting = async {
        while !condition(&hosts(client, path).await) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waiting).await.unwrap();
}

#[tokio::test]
async fn files_are_read_back_as_written_and_have_three_replicas() {
    let cluster = start(plan(&[]));
    let client = StoreClient::new(cluster.name_node(), "test");
    check_files(&client, &cluster).await;
    for FileStatus { path, length, .. } in client.list("/").await.unwrap() {
        let blocks = client.block_locations(&path).await.unwrap();
        assert_eq!(blocks.iter().map(|block| block.length).sum::<u64>(), length);
        for block in blocks {
            assert_eq!(block.hosts.len(), 3, "replicas of {path}");
            for host in &block.hosts {
                let file = cluster.folder().join(host).join(format!("blk_{}", block.block));
                assert_eq!(std::fs::metadata(file).unwrap().len(), block.length);
            }
        }
    }
}

#[tokio::test]
async fn ranges_are_read_across_blocks() {
    let cluster = start(plan(&[]));
    let client = StoreClient::new(cluster.name_node(), "test");
    let whole = content("/scan/input", 1 << 20);
    for (offset, length) in [(0, 1), (65_535, 2), (60_000, 200_000), (1_048_570, 100), (1 << 20, 1)] {
        let mut range = Vec::new();
        client.read_range("/scan/input", offset, length, |piece| range.extend(piece)).await.unwrap();
        let end = whole.len().min((offset + length) as usize);
        assert!(range == whole[offset as usize..end], "range {offset}+{length}");
    }
}

#[tokio::test]
async fn reads_and_writes_go_on_without_a_killed_node_until_it_takes_part_again() {
    let mut cluster = start(plan(&[]));
    let client = StoreClient::new(cluster.name_node(), "test");
    assert_eq!(hosts(&client, "/scan/input").await[0], "dn-1");
    let first = cluster.position("dn-1").unwrap();

    let address = cluster.members()[first].address().unwrap().to_owned();
    cluster.kill(first);
    check_files(&client, &cluster).await;
    client.write("/while/gone", content("/while/gone", 200_000).into(), 65_536).await.unwrap();

    wait_for_hosts(&client, "/scan/input", |hosts| !hosts.contains(&"dn-1".to_owned())).await;
    client.write("/after/expiry", content("/after/expiry", 200_000).into(), 65_536).await.unwrap();
    let blocks = client.block_locations("/after/expiry").await.unwrap();
    assert!(blocks.iter().all(|block| block.hosts == ["dn-2", "dn-3", "dn-4"]));

    cluster.restart(first).unwrap();
    let again = cluster.members()[first].address().unwrap();
    assert_ne!(again, address);
    wait_for_hosts(&client, "/scan/input", |hosts| hosts[0] == "dn-1").await;
    check_files(&client, &cluster).await;
    assert!(client.stats(again).await.unwrap()["test"].bytes_read > 0);
    for path in ["/while/gone", "/after/expiry"] {
        assert!(client.read(path).await.unwrap() == content(path, 200_000), "{path} differs");
    }
}

#[tokio::test]
async fn a_read_that_is_interrupted_goes_on_with_another_replica() {
    let mut plan = plan(&[]);
    plan.dataset.scan_bytes = 16 << 20;
    plan.dataset.block_bytes = 4 << 20;
    let mut cluster = start(plan);
    let client = StoreClient::new(cluster.name_node(), "test");
    let reading =
        async { assert!(client.read("/scan/input").await.unwrap() == content("/scan/input", 16 << 20)) };
    let first = cluster.position("dn-1").unwrap();
    let killing = async {
        while client.summary().bytes_read == 0 {
            tokio::task::yield_now().await;
        }
        cluster.kill(first);
    };

    futures::join!(reading, killing);
    assert_eq!(client.summary().bytes_read, 16 << 20);
}

#[tokio::test]
async fn files_survive_a_killed_name_node() {
    let mut cluster = start(plan(&[]));
    let client = StoreClient::new(cluster.name_node(), "test");
    cluster.kill(0);
    cluster.restart(0).unwrap();
    wait_for_hosts(&client, "/scan/input", |hosts| hosts.len() == 3).await;
    check_files(&client, &cluster).await;
}

#[tokio::test]
async fn access_times_are_recorded_if_wanted_and_survive_a_killed_name_node() {
    for access_times in [false, true] {
        let mut cluster = start(ClusterPlan { access_times, ..plan(&[]) });
        let client = StoreClient::new(cluster.name_node(), "test");
        let begun = SystemTime::now() - Duration::from_millis(1);
        client.length("/get/1").await.unwrap();
        client.read_range("/get/2", 0, 8, drop).await.unwrap();
        cluster.kill(0);
        cluster.restart(0).unwrap();
        wait_for_hosts(&client, "/get/3", |hosts| hosts.len() == 3).await;

        let mut recorded = client.list("/get/").await.unwrap();
        recorded.retain(|file| file.accessed.is_some_and(|at| at >= begun));
        let paths: Vec<&str> = recorded.iter().map(|file| file.path.as_str()).collect();
        // To wait for the hosts of /get/3 is to locate it.
        assert_eq!(paths, if access_times { vec!["/get/1", "/get/2", "/get/3"] } else { vec![] });
    }
}

#[tokio::test]
async fn blocks_of_deleted_files_leave_the_disk() {
    let cluster = start(plan(&[]));
    let client = StoreClient::new(cluster.name_node(), "test");
    let block = client.block_locations("/get/0").await.unwrap()[0].block;
    let copies = || {
        let file = |host: u32| cluster.folder().join(format!("dn-{host}")).join(format!("blk_{block}"));
        (1..=4).filter(|host| file(*host).exists()).count()
    };
    assert_eq!(copies(), 3);
    client.delete("/get/0").await.unwrap();
    harness::wait_until(|| copies() == 0);
    assert!(client.read("/get/0").await.is_err());
}

#[tokio::test]
async fn replicas_are_used_unevenly_on_purpose() {
    let cluster = start(plan(&[]));
    let client = StoreClient::new(cluster.name_node(), "test");
    check_files(&client, &cluster).await;
    let mut read = Vec::new();
    for member in cluster.members().iter().filter(|member| member.role() == ProcessRole::DataNode) {
        let stats = client.stats(member.address().unwrap()).await.unwrap();
        read.push(stats.get("test").map_or(0, |app| app.bytes_read));
    }
    assert!(read[0] > read[1] && read[1] > 0 && read[2..] == [0, 0], "{read:?}");
}
