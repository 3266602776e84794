//! The same as with `membarrier`, where there is none.
#![allow(missing_docs)]

mod harness;
mod stress;

use std::time::Duration;

#[test]
fn a_drain_after_unweaving_leaves_no_event_behind() {
    pivot_agent::use_fences();
    stress::check(Duration::from_millis(1500));
    assert!(pivot_agent::is_fenced());
}
