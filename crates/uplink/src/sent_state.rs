//! Remembers what the frontend was sent about this agent, so that only changes are sent.

use crate::agent_messages;
use crate::connection::Connection;
use pivot_advice::{QueryStatus, WeaveProblem};
use pivot_protocol::{to_wire, wire};
use wire::from_agent;

/// The state that was sent last on the current connection. A new connection begins with an empty one.
#[derive(Debug, Default)]
pub(crate) struct SentState {
    /// The generation that was reported as woven; `None` before the first.
    generation: Option<u64>,
    /// Why parts of that generation are not woven.
    problems: Vec<WeaveProblem>,
    statuses: Vec<QueryStatus>,
    lost: wire::Lost,
    /// How many tracepoints had registered when the catalogue was sent.
    registered: usize,
}

impl SentState {
    /// Returns the state after a `Hello`, which carries the catalogue.
    pub(crate) fn after_hello() -> SentState {
        SentState { registered: pivot_agent::registered_count(), ..SentState::default() }
    }

    /// Says that a generation is woven, and which of its advice is not.
    pub(crate) fn send_woven(
        &mut self,
        connection: &Connection,
        generation: u64,
        problems: Vec<WeaveProblem>,
    ) {
        self.generation = Some(generation);
        self.problems = problems;
        self.send_statuses(connection, pivot_agent::statuses());
    }

    /// Sends what has changed since it was sent last: tracepoints, losses and statuses.
    pub(crate) fn send_changes(&mut self, connection: &Connection) {
        let registered = pivot_agent::registered_count();
        if registered > self.registered {
            let new = pivot_agent::catalogue_since(self.registered);
            // What registers between the two calls is in `new` already and is sent twice, which does no harm.
            self.registered = registered;
            connection.send(from_agent::Kind::Exported(agent_messages::exported(&new)));
        }

        let lost = agent_messages::lost();
        if lost != self.lost {
            self.lost = lost;
            connection.send(from_agent::Kind::Lost(lost));
        }

        let statuses = pivot_agent::statuses();
        if statuses != self.statuses {
            self.send_statuses(connection, statuses);
        }
    }

    /// Sends the statuses with the generation they belong to; nothing before the first generation.
    fn send_statuses(&mut self, connection: &Connection, statuses: Vec<QueryStatus>) {
        let Some(generation) = self.generation else { return };
        connection.send(from_agent::Kind::Woven(wire::Woven {
            generation,
            problems: self.problems.iter().map(to_wire::weave_problem).collect(),
            statuses: statuses.iter().map(to_wire::query_status).collect(),
        }));
        self.statuses = statuses;
    }
}
