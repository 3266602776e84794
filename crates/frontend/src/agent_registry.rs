//! The agents that are or were connected: who they are, what they export, how far they have reported.
//!
//! An agent is known by its *incarnation*, a random number drawn when its process starts, so that a
//! process which reconnects goes on where it was. Each connection has a number too, since a broken stream
//! may linger while its successor is open: messages count only on the newest connection. Both numbers
//! together are an [`AgentConnectionId`].
//!
//! Reports carry a sequence per incarnation, from 1 without gaps. [`AgentSession::accept`] merges each
//! once: what is resent after a reconnect is acknowledged again and ignored, and a gap is refused.
//!
//! An agent that has gone is listed for ten minutes. Then all that is kept of it is its highest sequence, for the case
//! that it comes back ([`DepartedAgents`]).

use crate::agent_report::{AgentLosses, AgentReport};
use crate::announced_exports::AnnouncedExports;
use crate::departed_agents::DepartedAgents;
use crate::known_exports::{AgentExports, KnownExports};
use crate::time_range::TimeRange;
use crate::wanted_advice::{AgentCommand, WantedForm};
use crate::wanted_set::WantedSet;
use pivot_advice::{PeerReplies, QueryStatus, WeaveProblem, WithheldMessages};
use prost::bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use tokio::sync::mpsc;
use tonic::Status;

/// The sending end of an agent's stream; an error ends the stream.
pub(crate) type Outbox = mpsc::Sender<Result<AgentCommand, Status>>;

/// How long an agent is listed after it has gone, with all that it exports.
const LISTED_NS: i64 = 600 * 1_000_000_000;

/// The most agents that are listed after they have gone.
const MAX_GONE: usize = 10_000;

/// The most entries kept of an agent's list of hosts that it sent messages without baggage to.
const MAX_WITHHELD: usize = 100;

/// Names one connection of one agent, so that a message from a connection that was replaced is told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AgentConnectionId {
    /// The random number of the agent's process.
    pub(crate) incarnation: u64,
    /// The number of the connection, unique in this frontend.
    pub(crate) number: u64,
}

/// Whether one agent is connected, has left, or was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AgentPresence {
    /// The agent's stream is open.
    Connected,
    /// The agent said goodbye, after it had reported everything.
    Left,
    /// The stream broke, at this time in nanoseconds since the epoch.
    Lost(i64),
}

/// The verdict on a report, by its sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SequenceCheck {
    /// The next one: the report is merged.
    Next,
    /// Merged before: the report is acknowledged again.
    Duplicate,
    /// Reports before it are missing: the report is refused.
    Gap,
}

/// Numbers of agents: those that have reported a window, and those that should.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AgentCoverage {
    pub(crate) reporting: u32,
    pub(crate) expected: u32,
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
}

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
}

/// One process, while it is connected and for a while after.
#[derive(Debug)]
pub(crate) struct AgentSession {
    pub(crate) identity: AgentIdentity,
    /// The tracepoints that it has announced.
    pub(crate) exports: AgentExports,
    pub(crate) presence: AgentPresence,
    pub(crate) connected_ns: i64,
    /// When its latest message came.
    pub(crate) last_heard_ns: i64,
    /// The generation of advice that it has woven.
    pub(crate) woven: u64,
    /// When it first had woven any; 0 before.
    pub(crate) woven_ns: i64,
    /// Advice that it could not weave.
    pub(crate) problems: Vec<WeaveProblem>,
    /// How each query fares in it.
    pub(crate) statuses: Vec<QueryStatus>,
    /// Messages that it sent without baggage.
    pub(crate) withheld: Vec<WithheldMessages>,
    /// How the replies of each peer came.
    pub(crate) peers: Vec<PeerReplies>,
    /// Losses that belong to no query.
    pub(crate) losses: AgentLosses,
    /// The end of the windows whose rows it has all reported.
    pub(crate) watermark_ns: i64,
    /// When its newest report was cut, by its own clock.
    pub(crate) cut_ns: i64,
    /// The highest sequence that was merged.
    highest: Option<u64>,
    /// Whether a new report has come on this connection.
    resumed: bool,
    /// The number of its newest connection.
    connection: u64,
    /// Where messages to it go; `None` if its stream is closed.
    outbox: Option<Outbox>,
    /// When its stream was closed.
    gone_ns: Option<i64>,
}

impl AgentSession {
    /// Whether its stream is open.
    pub(crate) fn is_connected(&self) -> bool {
        self.presence == AgentPresence::Connected
    }

    /// Returns the name under which people know the process.
    pub(crate) fn name(&self) -> String {
        let AgentIdentity { process, host, pid, .. } = &self.identity;
        format!("{process}@{host}:{pid}")
    }

    /// Returns what it has to do with a window of a query, of which one generation brought the query and another
    /// may have taken it away again.
    fn part_in(&self, installed: u64, removed: Option<u64>, window: TimeRange) -> WindowPart {
        // An agent that began to weave after the window has nothing to say about it.
        if self.woven < installed || self.woven_ns >= window.end_ns {
            return WindowPart::None;
        }

        // An agent that has unwoven the query has reported all that it had, whatever its watermark.
        let has_flushed = removed.is_some_and(|generation| self.woven >= generation);
        if has_flushed || self.watermark_ns >= window.end_ns {
            return WindowPart::Reported;
        }

        let is_awaited = match self.presence {
            AgentPresence::Connected => true,
            AgentPresence::Left => false,
            // It is missed in the window in which it vanished, and not for ever after.
            AgentPresence::Lost(at_ns) => at_ns > window.start_ns,
        };
        if is_awaited { WindowPart::Awaited } else { WindowPart::None }
    }

    /// Whether it exports one of the tracepoints.
    pub(crate) fn exports_any(&self, tracepoints: &[String]) -> bool {
        self.exports.contains_any(tracepoints)
    }

    /// Sends a command. An agent that does not read loses its stream, and asks anew when it reconnects.
    pub(crate) fn send(&mut self, command: AgentCommand) {
        if self.outbox.as_ref().is_some_and(|outbox| outbox.try_send(Ok(command)).is_err()) {
            self.outbox = None;
        }
    }

    /// Takes over what a report that is merged says of the process as a whole.
    pub(crate) fn note_report(&mut self, report: &AgentReport) {
        self.watermark_ns = self.watermark_ns.max(report.watermark_ns);
        // Of an agent that does not say it, rows are known up to the end of its window.
        let cut_ns = if report.cut_ns > 0 { report.cut_ns } else { report.window.end_ns };
        self.cut_ns = self.cut_ns.max(cut_ns);

        self.withheld = report.withheld.iter().take(MAX_WITHHELD).cloned().collect();
        self.peers = report.peers.iter().take(MAX_WITHHELD).cloned().collect();
    }

    /// Decides what becomes of a report, and remembers the sequence if the report is to be merged.
    pub(crate) fn accept(&mut self, sequence: u64) -> SequenceCheck {
        match self.highest {
            Some(highest) if sequence <= highest => SequenceCheck::Duplicate,

            // The first new report of a connection is accepted whatever its sequence: an agent sends all
            // that it still has, so those before it were acknowledged by an earlier frontend, or were
            // discarded by the agent and are counted as loss.
            Some(highest) if self.resumed && sequence > highest.saturating_add(1) => SequenceCheck::Gap,

            _ => {
                self.highest = Some(sequence);
                self.resumed = true;
                SequenceCheck::Next
            }
        }
    }
}

/// Whether an agent has reported a window of a query, or is expected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WindowPart {
    /// It has reported all that it had.
    Reported,
    /// Its report is still to come, or is missing.
    Awaited,
    /// It does not take part.
    None,
}

/// All agents.
#[derive(Debug, Default)]
pub(crate) struct AgentRegistry {
    /// By incarnation.
    agents: BTreeMap<u64, AgentSession>,
    /// What all of them export.
    pub(crate) exports: KnownExports,
    /// The agents that have gone, by when, and their incarnation.
    gone: BTreeSet<(i64, u64)>,
    /// The agents that are no longer listed.
    departed: DepartedAgents,
    /// The incarnations of those that departed since queries last asked.
    forgotten: Vec<u64>,
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

        // What was merged of an agent outlives its connections: its sequence, its watermark, and since
        // when it takes part.
        let session = AgentSession {
            identity,
            exports,
            presence: AgentPresence::Connected,
            connected_ns: now_ns,
            last_heard_ns: now_ns,
            woven: 0,
            woven_ns: known.as_ref().map_or(0, |known| known.woven_ns),
            problems: Vec::new(),
            statuses: Vec::new(),
            withheld: Vec::new(),
            peers: Vec::new(),
            losses: known.as_ref().map(|known| known.losses).unwrap_or_default(),
            watermark_ns: known.as_ref().map_or(0, |known| known.watermark_ns),
            cut_ns: known.as_ref().map_or(0, |known| known.cut_ns),
            highest: known.and_then(|known| known.highest).or(departed),
            resumed: false,
            connection: number,
            outbox: Some(outbox),
            gone_ns: None,
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
        let Some(agent) = agent.filter(|agent| agent.connection == connection.number) else { return };
        agent.last_heard_ns = now_ns;
        self.exports.announce(&mut agent.exports, announced);
    }

    /// Notes that a connection has ended; one that was replaced does not count.
    pub(crate) fn disconnect(&mut self, connection: AgentConnectionId, now_ns: i64) {
        if let Some(agent) = self.agent_of(connection) {
            agent.outbox = None;
            agent.exports.discount();
            if agent.is_connected() {
                agent.presence = AgentPresence::Lost(now_ns);
            }

            if agent.gone_ns.is_none() {
                agent.gone_ns = Some(now_ns);
                self.gone.insert((now_ns, connection.incarnation));
            }
        }
        self.forget_gone(now_ns);
    }

    /// Takes agents off the list that have gone long ago, and the first ones of too many.
    pub(crate) fn forget_gone(&mut self, now_ns: i64) {
        while let Some((gone_ns, incarnation)) = self.gone.first().copied() {
            let is_listed = now_ns.saturating_sub(gone_ns) <= LISTED_NS && self.gone.len() <= MAX_GONE;
            if is_listed {
                return;
            }

            self.gone.pop_first();
            let Some(agent) = self.agents.remove(&incarnation) else { continue };
            self.exports.forget(agent.exports);
            self.forgotten.push(incarnation);
            if let Some(highest) = agent.highest {
                self.departed.remember(incarnation, highest, now_ns);
            }
        }
    }

    /// Returns the agents that were taken off the list since [`AgentRegistry::clear_forgotten`].
    pub(crate) fn forgotten(&self) -> &[u64] {
        &self.forgotten
    }

    /// Notes that everybody knows which agents were taken off the list.
    pub(crate) fn clear_forgotten(&mut self) {
        self.forgotten.clear();
    }

    /// Closes all streams.
    pub(crate) fn close(&mut self) {
        for agent in self.agents.values_mut() {
            agent.outbox = None;
        }
    }

    /// Returns the agent of a connection, or `None` if the agent has a newer one or is forgotten.
    pub(crate) fn agent_of(&mut self, connection: AgentConnectionId) -> Option<&mut AgentSession> {
        let agent = self.agents.get_mut(&connection.incarnation)?;
        Some(agent).filter(|agent| agent.connection == connection.number)
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

    /// Returns the newest generation that all connected agents have woven, or `None` without agents.
    pub(crate) fn woven_by_all(&self) -> Option<u64> {
        self.connected().map(|agent| agent.woven).min()
    }

    /// Tells all connected agents how what they should weave has changed, or all of it to those that take no changes.
    pub(crate) fn broadcast_wanted(&mut self, wanted: &mut WantedSet, change: &Bytes) {
        for agent in self.agents.values_mut().filter(|agent| agent.is_connected()) {
            let command = match agent.identity.wanted_form {
                WantedForm::Changes => AgentCommand::Change(change.clone()),
                WantedForm::WholeSet => wanted.whole(WantedForm::WholeSet),
            };
            agent.send(command);
        }
    }

    /// Sends a command to all connected agents.
    pub(crate) fn broadcast(&mut self, command: &AgentCommand) {
        for agent in self.agents.values_mut().filter(|agent| agent.is_connected()) {
            agent.send(command.clone());
        }
    }

    /// Counts the agents that have reported a window of a query and those that should have.
    ///
    /// `installed` is the generation that brought the query, `removed` the one that took it away again.
    pub(crate) fn coverage(&self, installed: u64, removed: Option<u64>, window: TimeRange) -> AgentCoverage {
        let mut coverage = AgentCoverage::default();
        for agent in self.agents.values() {
            let part = agent.part_in(installed, removed, window);
            coverage.reporting += u32::from(part == WindowPart::Reported);
            coverage.expected += u32::from(part != WindowPart::None);
        }
        coverage
    }

    /// Whether any agent that takes part in a window exports one of the tracepoints: only then it means something
    /// that nothing was reported. The generations are those of [`AgentRegistry::coverage`].
    pub(crate) fn has_witness(
        &self,
        installed: u64,
        removed: Option<u64>,
        window: TimeRange,
        tracepoints: &[String],
    ) -> bool {
        self.agents.values().any(|agent| {
            agent.part_in(installed, removed, window) != WindowPart::None && agent.exports_any(tracepoints)
        })
    }
}
