//! What the agent does on its own threads does not show in the log of an application that has no bridge, and takes
//! nothing from what the application does with the same crates.
#![allow(missing_docs, clippy::unwrap_used)]

mod quiet_harness;

use pivot_uplink::Config;
use quiet_harness::{Everything, connect, frontend_that_listens};
use tracing_core::{Dispatch, dispatcher};

#[test]
fn a_subscriber_gets_nothing_of_the_uplink_and_all_of_the_application() {
    let (seen, address) = (Everything::default(), frontend_that_listens());
    let uplink = Config::new().frontend(format!("http://localhost:{}", address.port())).start().unwrap();
    assert!(!dispatcher::has_been_set(), "`tracing` would stop logging with its feature `log`");

    // What is on its way meanwhile may get through.
    dispatcher::set_global_default(Dispatch::new(seen.clone())).unwrap();
    address.wait_for_connections(3);
    let before = seen.of_transport().len();
    address.wait_for_connections(5);
    assert_eq!(seen.of_transport().len(), before);

    connect(address.port());
    assert!(seen.of_transport().len() > before);
    drop(uplink);
}
