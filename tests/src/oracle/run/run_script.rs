//! What a run in band is given.

use crate::oracle::run::event_dag::{RunStep, TracepointSpec};

/// The input of a run in band.
#[derive(Debug)]
pub struct RunScript<'a> {
    /// The tracepoints of the catalogue.
    pub tracepoints: &'a [TracepointSpec],
    /// The events, in order.
    pub steps: &'a [RunStep],
    /// How many bytes of baggage a message carries.
    pub budget_bytes: usize,
}

impl RunScript<'_> {
    /// Whether a reply comes without its baggage.
    pub fn loses_replies(&self) -> bool {
        self.steps.iter().any(RunStep::loses_reply)
    }

    /// Whether nothing is lost on the way.
    pub(crate) fn is_complete(&self) -> bool {
        self.budget_bytes == usize::MAX && !self.loses_replies()
    }
}
