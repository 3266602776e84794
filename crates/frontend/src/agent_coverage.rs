//! How many agents a result has heard.

/// Numbers of agents: those that have reported a window, and those that should.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AgentCoverage {
    pub(crate) reporting: u32,
    pub(crate) expected: u32,
    /// Expected ones that were lost long enough ago that nobody waits for them.
    pub(crate) lost: u32,
}

/// Whether a result has heard all agents that it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AllAgentsReported {
    /// Every expected agent has reported.
    All,
    /// Some expected agents have not reported.
    SomeMissing,
}

impl AgentCoverage {
    /// Returns whether every expected agent has reported.
    pub(crate) fn agents_heard(self) -> AllAgentsReported {
        if self.reporting >= self.expected { AllAgentsReported::All } else { AllAgentsReported::SomeMissing }
    }

    /// Whether an agent that has not reported may do so soon.
    pub(crate) fn is_waiting(self) -> bool {
        self.reporting + self.lost < self.expected
    }
}
