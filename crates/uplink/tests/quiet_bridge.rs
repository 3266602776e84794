//! What the agent does on its own threads does not show in the application's log, nor in its catalogue.
#![allow(missing_docs, clippy::unwrap_used)]

mod quiet_harness;

use pivot_uplink::Config;
use quiet_harness::{Everything, connect, frontend_that_listens, is_of_transport};
use std::sync::Mutex;
use std::time::Duration;

static RECORDS: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Logger;

impl log::Log for Logger {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }
    fn log(&self, record: &log::Record<'_>) {
        RECORDS.lock().unwrap().push(record.target().to_owned());
    }
    fn flush(&self) {}
}

/// Returns the tracepoints of the crates that the uplink uses to reach its frontend.
fn known() -> Vec<String> {
    let names = pivot_agent::catalogue().into_iter().map(|exports| exports.tracepoint);
    names.filter(|name| is_of_transport(name)).collect()
}

#[test]
fn what_the_uplink_does_is_in_no_log_and_no_catalogue_unless_the_application_does_it_too() {
    let (seen, address) = (Everything::default(), frontend_that_listens());
    pivot_subscriber::log::install(Logger).unwrap();
    pivot_subscriber::install(seen.clone()).unwrap();

    // By name, so that it is looked up on another thread; the frontend gets bytes, and several attempts end.
    let uplink = Config::new().frontend(format!("http://localhost:{}", address.port())).start().unwrap();
    address.wait_for_connections(2);
    pivot_agent::weave(&[]);
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!((seen.of_transport(), known()), (vec![], vec![]));
    assert!(RECORDS.lock().unwrap().iter().all(|target| !is_of_transport(target)));

    // The application uses the same crates.
    connect(address.port());
    assert!(!seen.of_transport().is_empty() && !known().is_empty());
    drop(uplink);
}
