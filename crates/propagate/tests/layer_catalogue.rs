//! The catalogue lists the tracepoints of a layer once a layer of its kind was made.

use pivot_propagate::{ClientLayer, ServerLayer};

/// Returns the tracepoints of calls that the process says it has.
fn listed() -> Vec<String> {
    let all = pivot_agent::catalogue().into_iter().map(|exports| exports.tracepoint.to_string());
    let mut found: Vec<String> = all.filter(|name| !name.starts_with("pivot::request")).collect();
    found.retain(|name| name.starts_with("pivot::"));
    found.sort();
    found
}

#[test]
fn a_process_has_the_tracepoints_of_the_layers_that_it_uses() {
    assert!(listed().is_empty());
    drop((ServerLayer::new(), ServerLayer::edge()));
    assert_eq!(listed(), ["pivot::server@enter", "pivot::server@exit"]);
    drop((ClientLayer::bridge(), ClientLayer::new()));
    let all = ["pivot::client@enter", "pivot::client@exit", "pivot::server@enter", "pivot::server@exit"];
    assert_eq!(listed(), all);
}
