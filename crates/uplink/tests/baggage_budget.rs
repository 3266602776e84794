//! The operator of a process, or the application, says how many bytes of baggage travel with a message. The
//! environment of a process is its own, so the test runs itself once more for each value.
#![allow(missing_docs, clippy::unwrap_used)]

use pivot_baggage::{DEFAULT_BUDGET, HARD_LIMIT, budget_bytes};
use pivot_uplink::{Config, UplinkError};
use std::process::Command;

/// Starts an agent, and gives the budget that it has left, or the reason why it did not start.
fn started(config: Config) -> String {
    match config.frontend("http://127.0.0.1:9").start() {
        Ok(_uplink) => budget_bytes().to_string(),
        Err(UplinkError::BaggageBytes { given }) => format!("refused {given}"),
        Err(other) => panic!("{other}"),
    }
}

fn check(variable: &str, outcome: &str) {
    let mut again = Command::new(std::env::current_exe().unwrap());
    let again =
        again.env("PIVOT_BAGGAGE_BYTES", variable).env("PIVOT_TEST_OUTCOME", outcome).output().unwrap();
    assert!(again.status.success(), "{}", String::from_utf8_lossy(&again.stdout));
}

#[test]
fn the_budget_of_baggage_is_that_of_the_environment_or_of_the_builder() {
    if let Ok(outcome) = std::env::var("PIVOT_TEST_OUTCOME") {
        assert_eq!(started(Config::new()), outcome);
        return;
    }
    check("300", "300");
    check("4097", "refused 4097");
    check("", &DEFAULT_BUDGET.to_string());

    assert_eq!(started(Config::new().baggage_bytes(HARD_LIMIT + 1)), "refused 4097");
    assert_eq!(budget_bytes(), DEFAULT_BUDGET);
    assert_eq!(started(Config::new().baggage_bytes(2048)), "2048");
}
