//! What the frontend tells agents: the set of advice that should be woven, and what has become of it.

use pivot_advice::{Advice, QueryBudget, QueryId};
use std::sync::Arc;

/// A message to an agent.
#[derive(Debug, Clone)]
pub(crate) enum AgentCommand {
    /// Make what is woven equal to this.
    Weave(Arc<WantedAdvice>),
    /// Every report up to this sequence has been merged.
    Acknowledge(u64),
    /// All agents have woven this generation.
    WovenEverywhere(u64),
}

/// One generation: all advice that should be woven, of all queries.
#[derive(Debug, Default, Clone)]
pub(crate) struct WantedAdvice {
    /// Rises with every change.
    pub(crate) generation: u64,
    pub(crate) advice: Vec<Advice>,
    /// Whether requests have to carry baggage, for any query in any process.
    pub(crate) needs_baggage: bool,
    /// The newest generation that all agents have woven.
    pub(crate) woven_everywhere: u64,
    /// For each query the generation that brought its advice as it is. In a request of an earlier one,
    /// events may have passed before the query was woven.
    pub(crate) since: Vec<(QueryId, u64)>,
    /// The budgets that queries ask for in each process; those that ask for nothing are left out.
    pub(crate) budgets: Vec<(QueryId, QueryBudget)>,
    /// The length of the windows to report: those of all queries are multiples of it.
    pub(crate) window_ns: i64,
}
