//! An operator or the application keeps the agent from calling `membarrier`. A process decides once whether its
//! events fence on their own, so the test runs itself again for the environment variable.
#![allow(missing_docs, clippy::unwrap_used)]

use pivot_uplink::Config;
use std::process::Command;

#[test]
fn events_fence_on_their_own_where_the_system_call_is_forbidden() {
    let config = Config::new().frontend("http://127.0.0.1:9");
    let config = if std::env::var_os("PIVOT_FENCES").is_some() {
        config
    } else {
        let mut again = Command::new(std::env::current_exe().unwrap());
        let again = again.env("PIVOT_FENCES", "1").output().unwrap();
        assert!(again.status.success(), "{}", String::from_utf8_lossy(&again.stdout));
        config.fences()
    };
    let uplink = config.start().unwrap();
    assert_eq!(pivot_agent::weave(&[]), []);
    pivot_agent::drain();
    assert!(pivot_agent::is_fenced());
    drop(uplink);
}
