//! What the frontend tells agents: the set of advice that should be woven, and what has become of it.

use pivot_advice::{Advice, CarrierGlob, QueryBudget, QueryId};
use pivot_query::RunSettings;
use std::sync::Arc;

/// The longest window that agents report.
const LONGEST_WINDOW_NS: i64 = 1_000_000_000;

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
    /// The spans that carry a request in all processes, beside those that a process names itself.
    pub(crate) carriers: Vec<CarrierGlob>,
    /// The length of the windows to report: those of all queries are multiples of it.
    pub(crate) window_ns: i64,
}

impl WantedAdvice {
    /// Makes a generation without queries.
    pub(crate) fn new(generation: u64, woven_everywhere: u64) -> WantedAdvice {
        WantedAdvice { generation, woven_everywhere, window_ns: LONGEST_WINDOW_NS, ..WantedAdvice::default() }
    }

    /// Adds the advice of a query, which a generation brought.
    pub(crate) fn add(&mut self, query: QueryId, since: u64, advice: &[Advice]) {
        self.since.push((query, since));
        self.advice.extend_from_slice(advice);
        // Requests carry baggage only while some query anywhere packs: otherwise it costs them nothing.
        self.needs_baggage |= advice.iter().any(Advice::needs_carrying);
    }

    /// Adds on which terms a query runs.
    pub(crate) fn run_with(&mut self, query: QueryId, settings: &RunSettings) {
        self.window_ns = common_divisor(self.window_ns, settings.every_ns);
        if !settings.budget.is_empty() {
            self.budgets.push((query, settings.budget));
        }
    }
}

/// Returns the longest window of which both are multiples.
fn common_divisor(a_ns: i64, b_ns: i64) -> i64 {
    if b_ns <= 0 { a_ns } else { common_divisor(b_ns, a_ns % b_ns) }
}
