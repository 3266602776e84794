//! The lists of queries and of agents that the frontend keeps, as data: converted from the wire, not yet drawn.

use crate::humanize::time_since;
use pivot_advice::{
    LossCounts, OutsidePlaces, PeerReplies, QueryBudget, QueryCost, QueryState, RuledOutTracepoints,
    WithheldMessages,
};
use pivot_protocol::{from_wire, wire};
use std::time::Duration;

/// An installed query, as the frontend saw it when it was asked.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct ListedQuery {
    pub(crate) number: u32,
    /// The name under which other queries can join with it; empty for none.
    pub(crate) name: String,
    pub(crate) text: String,
    /// How long ago it was installed.
    pub(crate) installed_ago: Duration,
    /// Its tracepoints that no connected agent exports.
    pub(crate) pending: Vec<String>,
    /// On how many agents it is woven.
    pub(crate) agents_woven: u32,
    pub(crate) problems: Vec<ListedWeaveProblem>,
    /// Rows that agents have reported since install.
    pub(crate) rows_emitted: u64,
    /// Groups of the result since install.
    pub(crate) groups: u64,
    /// Losses since install.
    pub(crate) loss: LossCounts,
    /// Connected clients that read its results.
    pub(crate) readers: u32,
    /// The agents that have said how the query stands with them.
    pub(crate) agents: Vec<QueryOnAgent>,
    /// The budget that it asks for with `WITHIN`; empty if it asks for nothing.
    pub(crate) asked: QueryBudget,
    /// Peers whose replies lost its tuples on the way.
    pub(crate) unreturned_from: Vec<String>,
    /// Hosts that no baggage may leave to, if its tuples were held back.
    pub(crate) held_back_for: Vec<String>,
    /// Where its events ran that had no request, since install.
    pub(crate) outside: OutsidePlaces,
    /// Tuples that were packed since install.
    pub(crate) packed: u64,
    /// The client that installed it, for people; empty if that has not said.
    pub(crate) owner: String,
    /// `None` if it stays when its client has gone.
    pub(crate) lease: Option<ListedLease>,
}

/// The lease of a query that goes some time after its client.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct ListedLease {
    /// How long it stays when its client is not heard of.
    pub(crate) grace: Duration,
    /// How long its client was not heard of.
    pub(crate) unheard: Duration,
}

/// Why a query is not woven at one tracepoint of one agent.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct ListedWeaveProblem {
    pub(crate) agent: String,
    pub(crate) tracepoint: String,
    pub(crate) message: String,
}

/// How a query stands on one agent, and what it costs there.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct QueryOnAgent {
    /// `process@host:pid`
    pub(crate) agent: String,
    /// `None` if the agent has not said it, or if this version does not know it.
    pub(crate) state: Option<QueryState>,
    /// The reason of the state in words; may be empty.
    pub(crate) detail: String,
    /// The part of what the query asks for that the agent grants; `None` if the agent is too old to know budgets.
    pub(crate) granted: Option<QueryBudget>,
    /// Its cost in the last ten seconds, as far as the query was woven then.
    pub(crate) recent: QueryCost,
    /// The time that the recent cost is about.
    pub(crate) recent_ns: i64,
    /// Losses since install.
    pub(crate) loss: LossCounts,
    /// Groups in the newest report.
    pub(crate) groups: u64,
    /// The conditions over constants that rule out tracepoints there.
    pub(crate) ruled_out: Vec<RuledOutTracepoints>,
}

/// The spans that carry a request because somebody has named them at the frontend.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct ListedCarriers {
    pub(crate) carriers: Vec<ListedCarrier>,
    /// Connected agents.
    pub(crate) agents: u32,
}

/// A glob over the names of spans that carry a request.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct ListedCarrier {
    pub(crate) glob: String,
    /// Connected agents that have said that it holds.
    pub(crate) agents: u32,
    /// The spans that it matches in any of them, as `target::name`; of many only some.
    pub(crate) spans: Vec<String>,
}

/// The windows that a frontend keeps after they have closed.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct ListedHistory {
    /// In the order of their numbers.
    pub(crate) queries: Vec<ListedHistoryQuery>,
    /// The frontend's clock.
    now_ns: i64,
    /// The place of the files.
    pub(crate) location: String,
    /// Why windows are not put into files, if they are not.
    pub(crate) problem: Option<String>,
    /// How long windows are kept of queries that do not say it themselves.
    pub(crate) keep: Duration,
}

/// A query of which windows are kept.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct ListedHistoryQuery {
    pub(crate) number: u32,
    /// May be empty.
    pub(crate) name: String,
    pub(crate) text: String,
    /// The length of a window.
    pub(crate) every: Duration,
    pub(crate) is_installed: bool,
    /// The start of the first window; `None` without any.
    pub(crate) first_ns: Option<i64>,
    /// The end of the last.
    pub(crate) last_ns: Option<i64>,
    pub(crate) files: u64,
    pub(crate) bytes: u64,
    /// How long its windows are kept, if it says so itself.
    pub(crate) keep: Option<Duration>,
}

impl ListedHistory {
    pub(crate) fn from_wire(reply: wire::ListHistoryResponse) -> ListedHistory {
        let wire::ListHistoryResponse { queries, now_ns, location, problem, keep_ns } = reply;
        ListedHistory {
            queries: queries.into_iter().map(ListedHistoryQuery::from_wire).collect(),
            now_ns,
            location,
            problem: Some(problem).filter(|problem| !problem.is_empty()),
            keep: length(keep_ns),
        }
    }

    /// Returns the time so long ago, by the frontend's clock; the beginning of all times without a length.
    pub(crate) fn start_ns(&self, since: Option<Duration>) -> i64 {
        let length_ns = since.map(|since| i64::try_from(since.as_nanos()).unwrap_or(i64::MAX));
        length_ns.map_or(i64::MIN, |length_ns| self.now_ns.saturating_sub(length_ns))
    }
}

impl ListedHistoryQuery {
    fn from_wire(query: wire::KeptQuery) -> ListedHistoryQuery {
        let has_any = query.last_ns > query.first_ns;

        ListedHistoryQuery {
            number: query.number,
            name: query.name,
            text: query.text,
            every: length(query.every_ns),
            is_installed: query.installed,
            first_ns: has_any.then_some(query.first_ns),
            last_ns: has_any.then_some(query.last_ns),
            files: query.files,
            bytes: query.bytes,
            keep: query.keep_ns.map(length),
        }
    }
}

fn length(ns: i64) -> Duration {
    Duration::from_nanos(u64::try_from(ns).unwrap_or(0))
}

/// Whether one listed agent is connected, has left, or was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AgentPresence {
    Connected,
    /// The agent said goodbye.
    Left,
    /// The agent vanished without a goodbye.
    Lost,
    /// The frontend says something that this version does not know.
    Unknown,
}

/// An agent that is or was connected.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ListedAgent {
    pub(crate) presence: AgentPresence,
    pub(crate) process: String,
    pub(crate) host: String,
    pub(crate) pid: u32,
    /// How many tracepoints it exports.
    pub(crate) tracepoints: u32,
    /// How many more it announced, for which the frontend has no room.
    pub(crate) left_out: u64,
    /// How long ago it connected.
    pub(crate) connected_ago: Duration,
    /// How long ago it was last heard of.
    pub(crate) last_heard_ago: Duration,
    /// Whether it has woven everything that it should.
    pub(crate) converged: bool,
    /// Messages that it sent without baggage.
    pub(crate) withheld: Vec<WithheldMessages>,
    /// How the replies of each peer came to calls that it sent with baggage.
    pub(crate) peers: Vec<PeerReplies>,
    /// Calls with baggage that were cancelled or never answered.
    pub(crate) unanswered: u64,
    pub(crate) losses: ProcessLosses,
    /// How far its idea of the frontend's time may be wrong; `None` if it places windows by its own clock.
    pub(crate) clock_uncertainty_ns: Option<i64>,
    /// Rows that it has reported for times at which they cannot have happened.
    pub(crate) misplaced_rows: u64,
}

/// The losses of a process apart from any query, by kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct ProcessLosses {
    /// Events inside a field expression of another event, or on a thread that was ending.
    pub(crate) skipped: u64,
    /// Baggage that a join refused because a copy of it had been joined before.
    pub(crate) duplicate: u64,
    /// Baggage that a join refused because it belongs to another request.
    pub(crate) foreign: u64,
    /// Bags of one key and two shapes.
    pub(crate) mismatched: u64,
    /// Groups and temporal bags beyond the budget of a request.
    pub(crate) overflowed: u64,
    /// Encoded baggage that could not be read.
    pub(crate) malformed: u64,
    /// Encoded baggage that did not carry the right signature.
    pub(crate) unsigned: u64,
    /// Packs, unpacks and joins outside any request.
    pub(crate) outside: u64,
}

impl ListedQuery {
    /// Converts a message of a frontend whose time is `now_ns`; 0 if it does not say it.
    pub(crate) fn from_wire(found: wire::Query, now_ns: i64) -> ListedQuery {
        let problems = found.problems.into_iter().map(|problem| ListedWeaveProblem {
            agent: problem.agent,
            tracepoint: problem.tracepoint,
            message: problem.message,
        });

        let recent_ns = found.recent_ns;
        let agents = found.agents.into_iter().map(|agent| QueryOnAgent::from_wire(agent, recent_ns));

        ListedQuery {
            number: found.number,
            name: found.name,
            text: found.text,
            installed_ago: time_since(found.installed_ns, now_ns),
            pending: found.pending,
            agents_woven: found.agents_woven,
            problems: problems.collect(),
            rows_emitted: found.rows_emitted,
            groups: found.groups,
            loss: from_wire::loss(found.loss),
            readers: found.readers,
            agents: agents.collect(),
            asked: found.asked.as_ref().map(from_wire::query_budget).unwrap_or_default(),
            unreturned_from: found.unreturned_from,
            held_back_for: found.held_back_for,
            outside: from_wire::outside_places(found.outside),
            packed: from_wire::cost(found.cost).packed,
            owner: found.owner,
            lease: found.lease.map(|lease| ListedLease {
                grace: Duration::from_nanos(lease.grace_ns.unsigned_abs()),
                unheard: Duration::from_nanos(lease.unheard_ns.unsigned_abs()),
            }),
        }
    }
}

impl ListedCarriers {
    /// Converts a message.
    pub(crate) fn from_wire(found: wire::ListCarriersResponse) -> ListedCarriers {
        let carriers = found.carriers.into_iter().map(|carrier| ListedCarrier {
            glob: carrier.glob,
            agents: carrier.agents,
            spans: carrier.spans,
        });
        ListedCarriers { carriers: carriers.collect(), agents: found.agents }
    }

    /// Returns whether all connected agents have said that all of them hold.
    pub(crate) fn hold_everywhere(&self) -> bool {
        self.carriers.iter().all(|carrier| carrier.agents >= self.agents)
    }
}

impl QueryOnAgent {
    /// Converts a message of a query whose recent costs are about this time, if the message does not say its own.
    fn from_wire(found: wire::AgentStatus, recent_ns: i64) -> QueryOnAgent {
        let status = found.status.and_then(|status| from_wire::query_status(status).ok());

        QueryOnAgent {
            agent: found.agent,
            state: status.as_ref().map(|status| status.state),
            granted: status.as_ref().and_then(|status| status.granted),
            detail: status.as_ref().map(|status| status.detail.clone()).unwrap_or_default(),
            ruled_out: status.map(|status| status.ruled_out).unwrap_or_default(),
            recent: from_wire::cost(found.recent),
            recent_ns: if found.recent_ns > 0 { found.recent_ns } else { recent_ns },
            loss: from_wire::loss(found.loss),
            groups: found.groups,
        }
    }
}

impl ListedAgent {
    /// Converts a message of a frontend whose time is `now_ns`; 0 if it does not say it.
    pub(crate) fn from_wire(found: wire::Agent, now_ns: i64) -> ListedAgent {
        let presence = match found.state() {
            wire::agent::State::Connected => AgentPresence::Connected,
            wire::agent::State::Left => AgentPresence::Left,
            wire::agent::State::Lost => AgentPresence::Lost,
            wire::agent::State::Unspecified => AgentPresence::Unknown,
        };

        ListedAgent {
            presence,
            process: found.process,
            host: found.host,
            pid: found.pid,
            tracepoints: found.tracepoints,
            left_out: found.left_out,
            connected_ago: time_since(found.connected_ns, now_ns),
            last_heard_ago: time_since(found.last_heard_ns, now_ns),
            converged: found.converged,
            withheld: found.held_back.into_iter().map(from_wire::withheld_messages).collect(),
            peers: found.peers.into_iter().map(from_wire::peer_replies).collect(),
            unanswered: found.lost.unwrap_or_default().unanswered,
            losses: ProcessLosses::from_wire(found.lost.unwrap_or_default()),
            clock_uncertainty_ns: found.clock_uncertainty_ns,
            misplaced_rows: found.misplaced_rows,
        }
    }
}

impl ProcessLosses {
    fn from_wire(found: wire::Lost) -> ProcessLosses {
        let wire::Lost { skipped, duplicate, foreign, mismatched, overflowed, .. } = found;
        let wire::Lost { malformed, unsigned, outside, .. } = found;
        ProcessLosses { skipped, duplicate, foreign, mismatched, overflowed, malformed, unsigned, outside }
    }
}
