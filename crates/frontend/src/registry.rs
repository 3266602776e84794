//! Agents by incarnation: who they are, what they export, and how far they have reported.

use pivot_advice::Exports;
use pivot_protocol::{from_wire, wire};
use pivot_query::Catalog;
use std::collections::{BTreeMap, HashMap};
use tokio::sync::mpsc;
use tonic::Status;

/// What an agent's stream sends.
pub(crate) type Outbox = mpsc::Sender<Result<wire::ToAgent, Status>>;

/// The most agents that are remembered after they have gone.
const MAX_GONE: usize = 1000;

/// The most tracepoints of one agent that were told after its hello and before.
const MAX_EXPORTS: usize = 100_000;

/// Whether an agent is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Presence {
    /// Its stream is open.
    Connected,
    /// It said goodbye.
    Left,
    /// Its stream broke, at that time in nanoseconds since the epoch.
    Lost(i64),
}

/// What becomes of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SequenceCheck {
    /// The next one.
    Next,
    /// It was merged before.
    Duplicate,
    /// Reports before it are missing.
    Gap,
}

/// One process.
#[derive(Debug)]
pub(crate) struct AgentSession {
    pub(crate) process: String,
    pub(crate) host: String,
    pub(crate) pid: u32,
    pub(crate) build: String,
    pub(crate) labels: HashMap<String, String>,
    pub(crate) exports: Vec<Exports>,
    pub(crate) presence: Presence,
    pub(crate) connected_ns: i64,
    pub(crate) last_heard_ns: i64,
    pub(crate) woven: u64,
    pub(crate) woven_ns: i64,
    pub(crate) problems: Vec<wire::Problem>,
    pub(crate) statuses: Vec<wire::QueryStatus>,
    /// Messages that it sent without baggage.
    pub(crate) held_back: Vec<wire::HeldBack>,
    /// What it has lost, whatever the query.
    pub(crate) lost: wire::Lost,
    pub(crate) watermark_ns: i64,
    highest: Option<u64>,
    /// Whether a new report came on this connection.
    resumed: bool,
    connection: u64,
    outbox: Option<Outbox>,
}

impl AgentSession {
    /// Whether its stream is open.
    pub(crate) fn is_connected(&self) -> bool {
        self.presence == Presence::Connected
    }

    /// How people know it.
    pub(crate) fn name(&self) -> String {
        format!("{}@{}:{}", self.process, self.host, self.pid)
    }

    /// Takes in more of what it exports. False if all of it was known.
    pub(crate) fn export(&mut self, catalogue: Vec<wire::Exports>) -> bool {
        let before = self.exports.len();
        for exports in catalogue.into_iter().map(from_wire::exports) {
            if !self.exports.contains(&exports) && self.exports.len() < MAX_EXPORTS {
                self.exports.push(exports);
            }
        }
        self.exports.len() > before
    }

    /// Sends a message. An agent that does not read loses its stream and asks anew.
    pub(crate) fn send(&mut self, kind: wire::to_agent::Kind) {
        let message = wire::ToAgent { kind: Some(kind) };
        if self.outbox.as_ref().is_some_and(|outbox| outbox.try_send(Ok(message)).is_err()) {
            self.outbox = None;
        }
    }

    /// Judges a sequence and remembers the next one. The first new one of a connection is accepted
    /// whatever it is: an agent sends all that it still has, so those before it were acknowledged by an
    /// earlier frontend, or had to go and are counted as loss.
    pub(crate) fn accept(&mut self, sequence: u64) -> SequenceCheck {
        match self.highest {
            Some(highest) if sequence <= highest => SequenceCheck::Duplicate,
            Some(highest) if self.resumed && sequence > highest.saturating_add(1) => SequenceCheck::Gap,
            _ => {
                self.highest = Some(sequence);
                self.resumed = true;
                SequenceCheck::Next
            }
        }
    }
}

/// All agents and their merged catalogue.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    agents: BTreeMap<u64, AgentSession>,
    connections: u64,
}

impl Registry {
    /// Takes an agent in; gives the number of its connection and whether the catalogue has changed.
    pub(crate) fn connect(&mut self, hello: wire::Hello, outbox: Outbox, now_ns: i64) -> (u64, bool) {
        self.connections += 1;
        let exports: Vec<Exports> = hello.catalogue.into_iter().map(from_wire::exports).collect();
        let known = self.agents.remove(&hello.incarnation);
        let changed = known.as_ref().is_none_or(|known| known.exports != exports);
        let agent = AgentSession {
            process: hello.process,
            host: hello.host,
            pid: hello.pid,
            build: hello.build,
            labels: hello.labels,
            exports,
            presence: Presence::Connected,
            connected_ns: now_ns,
            last_heard_ns: now_ns,
            woven: 0,
            woven_ns: known.as_ref().map_or(0, |known| known.woven_ns),
            problems: Vec::new(),
            statuses: Vec::new(),
            held_back: Vec::new(),
            lost: known.as_ref().map(|known| known.lost).unwrap_or_default(),
            watermark_ns: known.as_ref().map_or(0, |known| known.watermark_ns),
            highest: known.and_then(|known| known.highest),
            resumed: false,
            connection: self.connections,
            outbox: Some(outbox),
        };
        self.agents.insert(hello.incarnation, agent);
        (self.connections, changed)
    }

    /// Notes that a connection has ended; one that was replaced does not count.
    pub(crate) fn disconnect(&mut self, incarnation: u64, connection: u64, now_ns: i64) {
        if let Some(agent) = self.agents.get_mut(&incarnation).filter(|a| a.connection == connection) {
            agent.outbox = None;
            if agent.is_connected() {
                agent.presence = Presence::Lost(now_ns);
            }
        }
        let gone = |agent: &AgentSession| !agent.is_connected();
        while self.agents.values().filter(|agent| gone(agent)).count() > MAX_GONE {
            let oldest = self.agents.iter().filter(|(_, agent)| gone(agent));
            let Some(oldest) = oldest.min_by_key(|(_, a)| a.last_heard_ns).map(|(i, _)| *i) else { return };
            self.agents.remove(&oldest);
        }
    }

    /// Closes all streams.
    pub(crate) fn close(&mut self) {
        self.agents.values_mut().for_each(|agent| agent.outbox = None);
    }

    /// The agent of a connection that is still its newest.
    pub(crate) fn on(&mut self, incarnation: u64, connection: u64) -> Option<&mut AgentSession> {
        self.agents.get_mut(&incarnation).filter(|agent| agent.connection == connection)
    }

    /// All agents with their incarnations.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, &AgentSession)> {
        self.agents.iter().map(|(incarnation, agent)| (*incarnation, agent))
    }

    /// Whether an agent is remembered.
    pub(crate) fn knows(&self, incarnation: u64) -> bool {
        self.agents.contains_key(&incarnation)
    }

    /// The agents whose streams are open.
    pub(crate) fn connected(&self) -> impl Iterator<Item = &AgentSession> {
        self.agents.values().filter(|agent| agent.is_connected())
    }

    /// The generation that all connected agents have woven; None without agents.
    pub(crate) fn woven_by_all(&self) -> Option<u64> {
        self.connected().map(|agent| agent.woven).min()
    }

    /// Sends a message to all connected agents.
    pub(crate) fn broadcast(&mut self, kind: &wire::to_agent::Kind) {
        self.agents.values_mut().filter(|a| a.is_connected()).for_each(|agent| agent.send(kind.clone()));
    }

    /// What all agents export, those that have gone included.
    pub(crate) fn catalog(&self) -> Catalog {
        let mut catalog = Catalog::default();
        self.agents.values().for_each(|agent| catalog.add_agent(&agent.exports));
        catalog
    }

    /// How many agents a window has heard and how many it should hear, of those that have woven the
    /// generation before the window ended. An agent that vanished is missed in the window it vanished in;
    /// one that has woven the generation `without` the query has reported all that it had.
    pub(crate) fn coverage(
        &self,
        generation: u64,
        without: Option<u64>,
        (start_ns, end_ns): (i64, i64),
    ) -> (u32, u32) {
        let (mut reporting, mut expected) = (0, 0);
        for agent in self.agents.values().filter(|a| a.woven >= generation && a.woven_ns < end_ns) {
            let flushed = without.is_some_and(|generation| agent.woven >= generation);
            let reported = flushed || agent.watermark_ns >= end_ns;
            let awaited = match agent.presence {
                Presence::Connected => true,
                Presence::Left => false,
                Presence::Lost(at_ns) => at_ns > start_ns,
            };
            reporting += u32::from(reported);
            expected += u32::from(reported || awaited);
        }
        (reporting, expected)
    }
}
