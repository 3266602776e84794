//! Remembers what the frontend was sent about this agent, so that only changes are sent.

use crate::agent_messages;
use crate::agent_runtime::AgentRuntime;
use crate::connection::Connection;
use pivot_advice::{Exports, NamedCarrier, QueryStatus, WeaveProblem};
use pivot_protocol::{to_wire, wire};
use wire::from_agent;

/// The most tracepoints in one message: far fewer bytes than a message may have, unless their names are very long.
const MAX_EXPORTED: usize = 5_000;

/// The state that was sent last on the current connection. A new connection begins with an empty one.
#[derive(Debug, Default)]
pub(crate) struct SentState {
    /// The generation that was reported as woven; `None` before the first.
    generation: Option<u64>,
    /// Why parts of that generation are not woven.
    problems: Vec<WeaveProblem>,
    statuses: Vec<QueryStatus>,
    carriers: Vec<NamedCarrier>,
    lost: wire::Lost,
    /// How many tracepoints had registered when the catalogue was sent.
    registered: usize,
}

impl SentState {
    /// Returns the state after a `Hello`, which carries the catalogue but for what [`SentState::send_changes`] sends.
    pub(crate) fn after_hello(agent: &impl AgentRuntime) -> SentState {
        let registered = agent.registered_count().min(MAX_EXPORTED);
        SentState { registered, ..SentState::default() }
    }

    /// Returns the tracepoints that a `Hello` carries: all that were linked into the program, and of the others as many
    /// as fit into a message.
    pub(crate) fn introduced(&self, agent: &impl AgentRuntime) -> Vec<Exports> {
        let behind = agent.registered_count().saturating_sub(self.registered);
        let mut catalogue = agent.catalogue();
        catalogue.truncate(catalogue.len().saturating_sub(behind));
        catalogue
    }

    /// Says that a generation is woven, and which of its advice is not.
    pub(crate) fn send_woven(
        &mut self,
        agent: &impl AgentRuntime,
        connection: &Connection,
        generation: u64,
        problems: Vec<WeaveProblem>,
    ) {
        self.generation = Some(generation);
        self.problems = problems;
        self.send_statuses(connection, agent.statuses(), agent.carriers());
    }

    /// Sends what has changed since it was sent last: tracepoints, losses, statuses and carriers.
    pub(crate) fn send_changes(&mut self, agent: &impl AgentRuntime, connection: &Connection) {
        let registered = agent.registered_count();
        if registered > self.registered {
            let mut new = agent.catalogue_since(self.registered);
            // The rest of many follows with the next window.
            new.truncate(MAX_EXPORTED);
            self.registered += new.len();
            connection.send(from_agent::Kind::Exported(agent_messages::exported(&new)));
        }

        let lost = agent_messages::lost(&agent.losses());
        if lost != self.lost {
            self.lost = lost;
            connection.send(from_agent::Kind::Lost(lost));
        }

        let (statuses, carriers) = (agent.statuses(), agent.carriers());
        if statuses != self.statuses || carriers != self.carriers {
            self.send_statuses(connection, statuses, carriers);
        }
    }

    /// Sends statuses and carriers with the generation they belong to; nothing before the first generation.
    fn send_statuses(
        &mut self,
        connection: &Connection,
        statuses: Vec<QueryStatus>,
        carriers: Vec<NamedCarrier>,
    ) {
        let Some(generation) = self.generation else { return };

        connection.send(from_agent::Kind::Woven(wire::Woven {
            generation,
            problems: self.problems.iter().map(to_wire::weave_problem).collect(),
            statuses: statuses.iter().map(to_wire::query_status).collect(),
            carriers: carriers.iter().map(to_wire::named_carrier).collect(),
        }));
        (self.statuses, self.carriers) = (statuses, carriers);
    }
}
