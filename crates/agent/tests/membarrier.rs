//! Events that pay for no fence, because weaving and draining have the system fence for them.
#![allow(missing_docs)]

mod harness;
mod stress;

use std::time::Duration;

#[test]
fn a_drain_after_unweaving_leaves_no_event_behind() {
    stress::check(Duration::from_millis(1500));
    if cfg!(target_os = "linux") {
        assert!(!pivot_agent::is_fenced(), "this machine has membarrier, but it was not used");
    }
}
