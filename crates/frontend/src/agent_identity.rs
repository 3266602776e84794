//! The identity of an agent: its process, host, build and labels, as it says them when it connects.

use crate::report_placement::PlacingClock;
use crate::wanted_advice::WantedForm;
use std::collections::HashMap;

/// The process of an agent, as the agent describes it when it connects.
#[derive(Debug, Default, Clone)]
pub(crate) struct AgentIdentity {
    pub(crate) process: String,
    pub(crate) host: String,
    pub(crate) pid: u32,
    pub(crate) build: String,
    pub(crate) labels: HashMap<String, String>,
    /// How it is told what to weave.
    pub(crate) wanted_form: WantedForm,
    /// The time after which it unweaves everything without a frontend, in nanoseconds.
    pub(crate) lease_ns: i64,
    /// The clock by which it places windows.
    pub(crate) clock: PlacingClock,
}

impl AgentIdentity {
    /// Returns the name under which people know the process.
    pub(crate) fn name(&self) -> String {
        let AgentIdentity { process, host, pid, .. } = self;
        format!("{process}@{host}:{pid}")
    }
}
