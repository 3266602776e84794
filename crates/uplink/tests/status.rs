//! What the application, and whoever reads standard error, hear of the connection. Each process says a thing once, so
//! the tests run themselves again.
#![allow(missing_docs, clippy::unwrap_used)]

use pivot_uplink::{Config, UplinkError, UplinkStatus};
use std::io::Read as _;
use std::net::TcpListener;
use std::process::Command;
use std::time::{Duration, Instant};

const ADDRESS: &str = "PIVOT_TEST_ADDRESS";

/// Runs a test of this file again, with an address for it. Returns what it wrote to standard error.
fn run_again(test: &str, address: &str) -> String {
    let mut again = Command::new(std::env::current_exe().unwrap());
    let out = again.args([test, "--exact", "--nocapture"]).env(ADDRESS, address).output().unwrap();
    let said = String::from_utf8(out.stderr).unwrap();
    assert!(out.status.success(), "{said}{}", String::from_utf8_lossy(&out.stdout));
    said
}

/// Waits until the status is as it should be.
fn wait_for(uplink: &pivot_uplink::Uplink, is_there: impl Fn(&UplinkStatus) -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_there(&uplink.status()) {
        assert!(Instant::now() < deadline, "{:?}", uplink.status());
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_missing_frontend_is_said_once_and_stays_in_the_status() {
    let Ok(address) = std::env::var(ADDRESS) else {
        // A port that nobody listens on.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let address = format!("http://127.0.0.1:{port}");
        let said = run_again("a_missing_frontend_is_said_once_and_stays_in_the_status", &address);
        let lines: Vec<&str> = said.lines().filter(|line| line.starts_with("pivot:")).collect();
        assert_eq!(lines.len(), 1, "{said}");
        assert!(lines[0].starts_with(&format!("pivot: no frontend at {address}: ")), "{said}");
        return;
    };

    let uplink = Config::new().frontend(address).start().unwrap();
    let begun = Instant::now();
    wait_for(&uplink, |status| {
        let has_failed = matches!(status, UplinkStatus::Connecting { problem: Some(_), .. });
        has_failed && begun.elapsed() > Duration::from_secs(3)
    });
}

#[test]
fn a_process_that_ends_at_once_still_hears_of_a_missing_frontend() {
    let Ok(address) = std::env::var(ADDRESS) else {
        let said =
            run_again("a_process_that_ends_at_once_still_hears_of_a_missing_frontend", "http://127.0.0.1:9");
        assert_eq!(said.matches("pivot: no frontend at http://127.0.0.1:9: ").count(), 1, "{said}");
        return;
    };
    drop(Config::new().frontend(address).start().unwrap());
}

#[test]
fn https_is_refused_and_nothing_is_sent_in_the_clear() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = format!("https://{}", listener.local_addr().unwrap());
    let error = Config::new().frontend(&address).start().unwrap_err();

    assert!(matches!(&error, UplinkError::Address { address: refused, .. } if *refused == address));
    assert!(error.to_string().contains("Pivot does not speak TLS yet"), "{error}");
    std::thread::sleep(Duration::from_millis(100));
    assert!(listener.accept().is_err(), "somebody connected");
}

#[test]
fn https_in_the_environment_is_refused_like_one_in_the_program() {
    if std::env::var_os("PIVOT_FRONTEND").is_none() {
        let mut again = Command::new(std::env::current_exe().unwrap());
        let test = "https_in_the_environment_is_refused_like_one_in_the_program";
        let again = again.args([test, "--exact"]).env("PIVOT_FRONTEND", "https://127.0.0.1:9");
        assert!(again.output().unwrap().status.success());
        return;
    }
    assert!(matches!(Config::new().start(), Err(UplinkError::Address { .. })));
}

#[test]
fn a_server_of_another_kind_is_a_problem_in_the_status() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            // Reads the preface of HTTP/2, and hangs up.
            let _ = stream.unwrap().read(&mut [0; 24]);
        }
    });

    let uplink = Config::new().frontend(address).start().unwrap();
    wait_for(&uplink, |status| {
        matches!(status, UplinkStatus::Refused { .. } | UplinkStatus::Connecting { problem: Some(_), .. })
    });
}

#[test]
fn a_disabled_agent_says_so() {
    if std::env::var_os("PIVOT_DISABLE").is_none() {
        let mut again = Command::new(std::env::current_exe().unwrap());
        let again = again.args(["a_disabled_agent_says_so", "--exact"]).env("PIVOT_DISABLE", "1");
        assert!(again.output().unwrap().status.success());
        return;
    }
    assert_eq!(Config::new().start().unwrap().status(), UplinkStatus::Disabled);
}
