//! `PIVOT_DISABLE=1` leaves everything idle: nothing is started, and nobody waits. The environment of a process
//! is its own, so the test runs itself once more.
#![cfg(target_os = "linux")]
#![allow(missing_docs, clippy::unwrap_used)]

use pivot_uplink::Config;
use std::process::Command;
use std::time::{Duration, Instant};

/// Whether the agent's thread is there.
fn has_thread() -> bool {
    let threads = std::fs::read_dir("/proc/self/task").unwrap().map(|thread| thread.unwrap().path());
    let mut names = threads.filter_map(|thread| std::fs::read_to_string(thread.join("comm")).ok());
    names.any(|name| name.trim() == "pivot-uplink")
}

#[test]
fn an_operator_can_switch_the_agent_off_from_outside() {
    if std::env::var_os("PIVOT_DISABLE").is_none() {
        for (value, starts) in [("1", "no"), ("0", "yes")] {
            let mut again = Command::new(std::env::current_exe().unwrap());
            let again = again.env("PIVOT_DISABLE", value).env("PIVOT_TEST_STARTS", starts).output().unwrap();
            assert!(again.status.success(), "{}", String::from_utf8_lossy(&again.stdout));
        }
        return;
    }
    let starts = std::env::var_os("PIVOT_TEST_STARTS").is_some_and(|starts| starts == "yes");
    let uplink = Config::new().frontend("http://127.0.0.1:9").start().unwrap();
    // A thread gives itself its name when it begins to run.
    let until = Instant::now() + Duration::from_secs(60);
    while starts && !has_thread() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(has_thread(), starts);
    if !starts {
        let begun = Instant::now();
        assert!(!uplink.flush(Duration::from_secs(60)));
        drop(uplink);
        assert!(begun.elapsed() < Duration::from_secs(30), "somebody waited");
    }
}
