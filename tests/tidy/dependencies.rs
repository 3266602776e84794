//! Who may depend on what, as `cargo metadata` and `cargo tree` tell it.

use super::root;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// The most crates that the agent may bring into a user's process.
const AGENT_CRATES: usize = 20;

/// What a program prints in the repository.
fn printed(program: &str, arguments: &[&str]) -> Vec<u8> {
    let output = Command::new(program).args(arguments).current_dir(root()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// The packages for this platform. Those for others are not on this machine if the cache began empty.
fn metadata() -> Value {
    let version = String::from_utf8(printed("rustc", &["-vV"])).unwrap();
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    let arguments = ["metadata", "--format-version=1", "--locked", "--filter-platform", host];
    serde_json::from_slice(&printed(env!("CARGO"), &arguments)).unwrap()
}

/// Direct dependencies of every package of the workspace, development and build ones aside.
fn direct(metadata: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let local = metadata["packages"].as_array().unwrap().iter().filter(|package| package["source"].is_null());
    let names = |package: &Value| {
        let normal = package["dependencies"].as_array().unwrap().iter().filter(|d| d["kind"].is_null());
        normal.map(|d| d["name"].as_str().unwrap().to_owned()).collect()
    };
    local.map(|package| (package["name"].as_str().unwrap().to_owned(), names(package))).collect()
}

/// Names of all packages that a package brings along at run time.
fn closure(metadata: &Value, package: &str) -> BTreeSet<String> {
    let nodes = metadata["resolve"]["nodes"].as_array().unwrap();
    let node = |id: &str| nodes.iter().find(|node| node["id"] == id).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let described = |id: &str| packages.iter().find(|package| package["id"] == id).unwrap();
    let id = packages.iter().find(|p| p["name"] == package).unwrap()["id"].as_str().unwrap();

    let (mut open, mut seen) = (vec![id], BTreeSet::from([id]));
    while let Some(id) = open.pop() {
        for dependency in node(id)["deps"].as_array().unwrap() {
            let normal =
                dependency["dep_kinds"].as_array().unwrap().iter().any(|kind| kind["kind"].is_null());
            let id = dependency["pkg"].as_str().unwrap();
            let kinds = described(id)["targets"][0]["kind"].as_array().unwrap();
            let build_time = kinds.iter().any(|kind| kind == "proc-macro");
            if normal && !build_time && seen.insert(id) {
                open.push(id);
            }
        }
    }

    seen.into_iter().map(|id| described(id)["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn advice_depends_on_a_hash_and_regex_alone() {
    let direct = direct(&metadata());
    let expected = ["foldhash", "hashbrown", "regex-lite"].map(String::from);
    assert_eq!(direct["pivot-advice"], BTreeSet::from(expected));
}

#[test]
fn the_agent_brings_few_crates_into_a_process() {
    let closure = closure(&metadata(), "pivot-agent");
    assert!(closure.len() <= AGENT_CRATES, "{closure:?}");
    assert!(!closure.contains("tokio") && !closure.contains("tonic"), "{closure:?}");
}

#[test]
fn heavy_crates_live_in_one_room_each() {
    let direct = direct(&metadata());
    for (package, dependencies) in &direct {
        let allowed = |name: &str, room: &str| !dependencies.contains(name) || package == room;
        assert!(allowed("datafusion", "pivot-frontend"), "{package} depends on datafusion");
        assert!(allowed("arrow", "pivot-frontend"), "{package} depends on arrow");
        assert!(allowed("nom", "pivot-query"), "{package} depends on nom");
        assert!(allowed("linkme", "pivot-agent"), "{package} depends on linkme");
    }
}

#[test]
fn only_the_uplink_brings_grpc_into_a_process() {
    let metadata = metadata();
    for package in ["pivot-baggage", "pivot-propagate", "pivot-query"] {
        assert!(!closure(&metadata, package).contains("tonic"), "{package} brings tonic");
    }
}

/// Every package with its features, as one command compiles it.
fn features(arguments: &[&str]) -> BTreeSet<String> {
    let common = ["tree", "--locked", "--prefix=none", "--format={p} [{f}]"];
    let tree = printed(env!("CARGO"), &[&common, arguments].concat());
    let line = |line: &str| line.replace(" (*)", "").replace(" (proc-macro)", "");
    String::from_utf8(tree).unwrap().lines().map(line).collect()
}

#[test]
fn the_demo_and_the_tests_share_what_they_compile() {
    let tests = features(&["--workspace", "--edges=normal,build,dev"]);
    let demo = features(&["--edges=normal,build"]);
    let own: Vec<_> = demo.difference(&tests).collect();
    assert!(own.is_empty(), "compiled once more for the demo, with other features: {own:#?}");
}
