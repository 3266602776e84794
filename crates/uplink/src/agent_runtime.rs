//! What an uplink does with an agent: weave what a frontend wants, and drain what the advice has gathered.
//!
//! ```text
//!  frontend ──wanted──▶ uplink ──weave──▶ AgentRuntime ◀── events
//!           ◀─reports──        ◀─drain───
//! ```
//!
//! The agent of a process is global to it and is reached by `ProcessAgent`. A
//! simulation has many agents in one process, and each has an uplink.

use pivot_advice::{
    Advice, CarrierGlob, Exports, NamedCarrier, PeerReplies, QueryBudget, QueryCost, QueryId, QueryStatus,
    WeaveProblem, WithheldMessages,
};
use pivot_agent::QueryReports;
use pivot_baggage::Losses;
use std::collections::BTreeMap;
use std::time::Instant;

/// An agent as its uplink sees it.
pub trait AgentRuntime {
    /// Begins to work for the uplink, on its thread.
    fn begin(&mut self);

    /// Keeps what the uplink does out of what the application sees, from time to time.
    fn keep_silent(&mut self);

    /// Ends to work for the uplink: nothing is woven any more.
    fn end(&mut self);

    /// Weaves exactly this advice, of queries that came with these generations. Returns what could not be woven.
    fn weave(&mut self, advice: &[Advice], since: &BTreeMap<QueryId, u64>) -> Vec<WeaveProblem>;

    /// Stops everything that is woven, because no frontend is heard from: until something is woven again, its queries are
    /// [suspended](AgentRuntime::suspended_queries).
    fn lapse(&mut self);

    /// Switches weaving off, or on again.
    fn set_weaving(&mut self, weaving: Switch);

    /// Returns whether weaving is switched on.
    fn weaving(&self) -> Switch;

    /// Sets what queries ask to take, before they are woven.
    fn set_query_budgets(&mut self, asked: &BTreeMap<QueryId, QueryBudget>);

    /// Holds what queries have cost in this time against their budgets.
    fn govern(&mut self, costs: &BTreeMap<QueryId, QueryCost>, elapsed_ns: u64);

    /// Sets the spans that carry a request, beside those that the process names itself.
    fn set_carriers(&mut self, globs: Vec<CarrierGlob>);

    /// Returns the spans that were set, and where they were met.
    fn carriers(&self) -> Vec<NamedCarrier>;

    /// Sets whether requests carry baggage.
    fn set_carrying(&mut self, carrying: Switch);

    /// Sets the newest generation of which all is woven here.
    fn set_woven_here(&mut self, generation: u64);

    /// Sets the newest generation of which all is woven in all processes.
    fn set_woven_everywhere(&mut self, generation: u64);

    /// Takes what was gathered since this was called last.
    fn drain(&mut self) -> QueryReports;

    /// Returns since when each query is woven that has a tracepoint here, by the clock of the runtime.
    fn woven_since(&self) -> BTreeMap<QueryId, Instant>;

    /// Returns the queries that are wanted and do not run here although their tracepoints are here.
    fn suspended_queries(&self) -> Vec<QueryId>;

    /// Returns the smallest generation that brought a query which would pack here and is suspended.
    fn suspended_since(&self) -> Option<u64>;

    /// Returns how queries run.
    fn statuses(&self) -> Vec<QueryStatus>;

    /// Returns the number of tracepoints that have registered while the program runs.
    fn registered_count(&self) -> usize;

    /// Returns all tracepoints, those that have registered while the program runs last and in that order.
    fn catalogue(&self) -> Vec<Exports>;

    /// Returns the tracepoints that have registered behind so many others.
    fn catalogue_since(&self, registered: usize) -> Vec<Exports>;

    /// Returns what was lost since the process began, whatever the query.
    fn losses(&self) -> AgentLosses;

    /// Returns how messages fared that should have had baggage with them.
    fn bare_messages(&self) -> BareMessages;
}

/// Whether an agent does something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Switch {
    /// The agent does it.
    On,
    /// The agent leaves it.
    Off,
}

/// The losses of a process since it began, whatever the query.
#[derive(Debug, Default)]
pub struct AgentLosses {
    /// Events that no advice looked at.
    pub skipped: u64,
    /// The losses of baggage.
    pub baggage: Losses,
    /// Calls whose end nobody saw.
    pub unanswered: u64,
}

/// Messages and replies without baggage, since the process began.
#[derive(Debug, Default)]
pub struct BareMessages {
    /// Messages that baggage was withheld from.
    pub withheld: Vec<WithheldMessages>,
    /// Replies by the peer that they came from.
    pub peers: Vec<PeerReplies>,
    /// Recent replies that came without the baggage that their call was sent with: the tag, and the peer.
    pub bare: Vec<(u64, String)>,
}
