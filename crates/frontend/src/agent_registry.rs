//! The agents that are or were connected: who they are, what they export, how far they have reported.
//!
//! An agent is known by its *incarnation*, a random number drawn when its process starts, so that a
//! process which reconnects goes on where it was. Each connection has a number too, since a broken stream
//! may linger while its successor is open: messages count only on the newest connection. Both numbers
//! together are an [`AgentConnectionId`].
//!
//! An agent that has gone is listed for ten minutes. Then all that is kept of it is its highest sequence, for the case
//! that it comes back ([`DepartedAgents`]).

use crate::agent_coverage::AgentCoverage;
use crate::agent_identity::AgentIdentity;
use crate::agent_session::{AgentPresence, AgentSession, NewConnection, Outbox, WindowPart};
use crate::announced_exports::AnnouncedExports;
use crate::departed_agents::DepartedAgents;
use crate::known_exports::KnownExports;
use crate::query_term::QueryTerm;
use crate::store::{ChangedAgent, StateChanges, StoredAgent, StoredDeparture};
use crate::time_range::TimeRange;
use crate::wanted_advice::WantedNews;
use crate::wanted_set::WantedSet;
use std::collections::{BTreeMap, BTreeSet};

/// How long an agent is listed after it has gone, with all that it exports; longer if its lease is longer.
const LISTED_NS: i64 = 600 * 1_000_000_000;

/// The most agents that are listed after they have gone.
const MAX_GONE: usize = 10_000;

/// Names one connection of one agent, so that a message from a connection that was replaced is told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AgentConnectionId {
    /// The random number of the agent's process.
    pub(crate) incarnation: u64,
    /// The number of the connection, unique in this frontend.
    pub(crate) number: u64,
}

/// All agents.
#[derive(Debug, Default)]
pub(crate) struct AgentRegistry {
    /// By incarnation.
    agents: BTreeMap<u64, AgentSession>,
    /// The tracepoints that all agents export.
    pub(crate) exports: KnownExports,
    /// The agents that have gone, by when, and their incarnation.
    gone: BTreeSet<(i64, u64)>,
    /// The agents that are no longer listed.
    departed: DepartedAgents,
    /// Agents that departed since queries last asked, by incarnation.
    forgotten: BTreeMap<u64, AgentSession>,
    /// How many connections there were, which is also the number of the newest.
    connections: u64,
}

impl AgentRegistry {
    /// Takes an agent in, or takes it in again.
    pub(crate) fn connect(
        &mut self,
        incarnation: u64,
        identity: AgentIdentity,
        announced: AnnouncedExports,
        outbox: Outbox,
        now_ns: i64,
    ) -> AgentConnectionId {
        self.connections += 1;
        let number = self.connections;
        // Before those of an earlier connection are given up, so that what is the same stays as it is.
        let exports = self.exports.connect(announced);
        let mut known = self.agents.remove(&incarnation);
        if let Some(known) = &mut known {
            self.exports.forget(std::mem::take(&mut known.exports));
            self.gone.remove(&(known.gone_ns.unwrap_or_default(), incarnation));
        }
        let departed = self.departed.take(incarnation);

        let connection = NewConnection { number, identity, exports, outbox };
        let session = match known {
            Some(mut known) => {
                known.reconnect(connection, now_ns);
                known
            }
            None => AgentSession::new(connection, departed, now_ns),
        };
        self.agents.insert(incarnation, session);
        AgentConnectionId { incarnation, number }
    }

    /// Adds tracepoints that became known after an agent's hello.
    pub(crate) fn add_exports(
        &mut self,
        connection: AgentConnectionId,
        announced: AnnouncedExports,
        now_ns: i64,
    ) {
        let agent = self.agents.get_mut(&connection.incarnation);
        let Some(agent) = agent.filter(|agent| agent.connection() == connection.number) else { return };
        agent.last_heard_ns = now_ns;
        agent.mark_changed();
        self.exports.announce(&mut agent.exports, announced);
    }

    /// Notes that a connection has ended; one that was replaced does not count.
    pub(crate) fn disconnect(&mut self, connection: AgentConnectionId, now_ns: i64) {
        if let Some(agent) = self.agent_of(connection) {
            agent.disconnect(now_ns);
            let gone_ns = agent.gone_ns.unwrap_or(now_ns);
            self.gone.insert((gone_ns, connection.incarnation));
        }
        self.forget_gone(now_ns);
    }

    /// Takes agents off the list that have gone long ago, and the first ones of too many.
    pub(crate) fn forget_gone(&mut self, now_ns: i64) {
        while let Some((gone_ns, incarnation)) = self.gone.first().copied() {
            let lease_ns = self.agents.get(&incarnation).map_or(0, |agent| agent.identity.lease_ns);
            let is_recent = now_ns.saturating_sub(gone_ns) <= LISTED_NS.max(lease_ns);
            if is_recent && self.gone.len() <= MAX_GONE {
                return;
            }

            self.gone.pop_first();
            if let Some(agent) = self.agents.remove(&incarnation) {
                if let Some(highest) = agent.highest() {
                    self.departed.remember(incarnation, highest, now_ns);
                }
                self.forgotten.insert(incarnation, agent);
            }
        }
    }

    /// Returns the agents that were taken off the list since [`AgentRegistry::clear_forgotten`], by incarnation.
    pub(crate) fn forgotten(&self) -> &BTreeMap<u64, AgentSession> {
        &self.forgotten
    }

    /// Notes that everybody knows which agents were taken off the list.
    pub(crate) fn clear_forgotten(&mut self) {
        for agent in std::mem::take(&mut self.forgotten).into_values() {
            self.exports.forget(agent.exports);
        }
    }

    /// Adds what has changed of agents to a commit, behind which they are told the generation that is wanted.
    pub(crate) fn collect_changes(&mut self, wanted: u64, changes: &mut StateChanges) {
        for (incarnation, agent) in &mut self.agents {
            if let Some(record) = agent.take_record() {
                let exports = agent.exports.declared();
                changes.agents.insert(*incarnation, ChangedAgent { record, exports });
            }
            if let Some(progress) = agent.take_progress(wanted) {
                changes.progress.insert(*incarnation, progress);
            }
        }

        changes.forgotten_agents.extend(self.forgotten.keys());
        self.departed.collect_changes(changes);
    }

    /// Tells agents what has become durable.
    pub(crate) fn publish(&mut self, news: &WantedNews, wanted: &mut WantedSet) {
        self.agents.values_mut().for_each(|agent| agent.publish(news, wanted));
    }

    /// Lets agents know that the frontend lives, though it can tell them nothing new.
    pub(crate) fn keep_alive(&mut self, woven_everywhere: u64) {
        self.agents.values_mut().for_each(|agent| agent.keep_alive(woven_everywhere));
    }

    /// Takes in agents as they were stored.
    pub(crate) fn restore(
        stored: Vec<StoredAgent>,
        departed: Vec<StoredDeparture>,
        now_ns: i64,
    ) -> AgentRegistry {
        let mut registry =
            AgentRegistry { departed: DepartedAgents::restore(departed), ..AgentRegistry::default() };
        for StoredAgent { incarnation, record, progress, exports } in stored {
            let exports = registry.exports.restore(exports);
            let agent = AgentSession::restore(record, progress, exports, now_ns);
            registry.agents.insert(incarnation, agent);
            registry.gone.insert((now_ns, incarnation));
        }
        registry
    }

    /// Closes all streams.
    pub(crate) fn close(&mut self) {
        self.agents.values_mut().for_each(AgentSession::close);
    }

    /// Returns the agent of a connection, or `None` if the agent has a newer one or is forgotten.
    pub(crate) fn agent_of(&mut self, connection: AgentConnectionId) -> Option<&mut AgentSession> {
        let agent = self.agents.get_mut(&connection.incarnation)?;
        Some(agent).filter(|agent| agent.connection() == connection.number)
    }

    /// Returns the agent that has sent a message, and notes when; see [`AgentRegistry::agent_of`].
    pub(crate) fn heard_from(
        &mut self,
        connection: AgentConnectionId,
        now_ns: i64,
    ) -> Option<&mut AgentSession> {
        let agent = self.agent_of(connection)?;
        agent.last_heard_ns = now_ns;
        Some(agent)
    }

    /// Returns all agents with their incarnations, those that have gone included.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, &AgentSession)> {
        self.agents.iter().map(|(incarnation, agent)| (*incarnation, agent))
    }

    /// Returns the agent of an incarnation, or `None` if it is forgotten.
    pub(crate) fn get(&self, incarnation: u64) -> Option<&AgentSession> {
        self.agents.get(&incarnation)
    }

    /// Returns the agents whose streams are open.
    pub(crate) fn connected(&self) -> impl Iterator<Item = &AgentSession> {
        self.agents.values().filter(|agent| agent.is_connected())
    }

    /// Returns the newest generation that all agents have woven, or `None` without agents. One that was lost since
    /// `waits_since_ns` counts as well, as it may not have noticed yet.
    pub(crate) fn woven_by_all(&self, waits_since_ns: i64) -> Option<u64> {
        let lost = self.gone.range((waits_since_ns, 0)..).filter_map(|(_, incarnation)| {
            let agent = self.agents.get(incarnation)?;
            matches!(agent.presence, AgentPresence::Lost(_)).then_some(agent)
        });
        let lost = lost.map(AgentSession::newest_woven);
        self.connected().map(|agent| agent.woven).chain(lost).min()
    }

    /// Counts the agents that have reported a window of a query and those that should have. Agents that were lost at
    /// `waits_since_ns` or later are still awaited.
    pub(crate) fn coverage(
        &self,
        term: QueryTerm<'_>,
        window: TimeRange,
        waits_since_ns: i64,
    ) -> AgentCoverage {
        let mut coverage = AgentCoverage::default();

        for agent in self.agents.values() {
            let part = agent.part_in(term, window, waits_since_ns);
            coverage.reporting += u32::from(part == WindowPart::Reported);
            coverage.expected += u32::from(part != WindowPart::None);
            coverage.lost += u32::from(part == WindowPart::Lost);
        }
        coverage
    }

    /// Whether any agent that takes part in a window exports one of the query's tracepoints: only then it means something
    /// that nothing was reported.
    pub(crate) fn has_witness(&self, term: QueryTerm<'_>, window: TimeRange) -> bool {
        let mut agents = self.agents.values();
        agents.any(|agent| {
            agent.part_in(term, window, i64::MAX) != WindowPart::None && agent.exports_any(term.tracepoints)
        })
    }

    /// Whether an agent was lost that may have gathered rows of a query in a time that it has not reported.
    pub(crate) fn misses_rows(&self, term: QueryTerm<'_>, range: TimeRange) -> bool {
        let mut gone = self.gone.iter().filter_map(|(_, incarnation)| self.agents.get(incarnation));
        gone.any(|agent| agent.may_have_rows(term, range))
    }

    /// Whether all agents have unwoven a query that was removed with a generation. Those that were lost at
    /// `waits_since_ns` or later are waited for.
    pub(crate) fn have_unwoven(&self, term: QueryTerm<'_>, removed: u64, waits_since_ns: i64) -> bool {
        let whole = TimeRange { start_ns: i64::MIN, end_ns: i64::MAX };
        let mut lost = self.gone.range((waits_since_ns, 0)..);
        let is_awaited = lost.any(|(_, incarnation)| {
            self.agents.get(incarnation).is_some_and(|agent| agent.may_have_rows(term, whole))
        });
        !is_awaited && self.connected().all(|agent| agent.woven >= removed)
    }
}
