//! The agent of this process, as its uplink reaches it.

use crate::agent_runtime::{AgentLosses, AgentRuntime, BareMessages, Switch};
use crate::silence;
use pivot_advice::{
    Advice, CarrierGlob, Exports, NamedCarrier, QueryBudget, QueryCost, QueryId, QueryStatus, WeaveProblem,
};
use pivot_agent::QueryReports;
use pivot_baggage::{reply_ledger, request_generation};
use std::collections::BTreeMap;
use std::time::Instant;

/// The agent of this process, which is global to it: this has no state of its own.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct ProcessAgent;

impl AgentRuntime for ProcessAgent {
    fn begin(&mut self) {
        silence::begin();
    }

    fn keep_silent(&mut self) {
        silence::keep();
    }

    fn end(&mut self) {
        pivot_agent::stop_governing();
        silence::end();
    }

    fn weave(&mut self, advice: &[Advice], since: &BTreeMap<QueryId, u64>) -> Vec<WeaveProblem> {
        pivot_agent::weave_since(advice, since)
    }

    fn lapse(&mut self) {
        pivot_agent::lapse();
    }

    fn set_weaving(&mut self, weaving: Switch) {
        match weaving {
            Switch::On => pivot_agent::enable(),
            Switch::Off => pivot_agent::disable(),
        }
    }

    fn weaving(&self) -> Switch {
        if pivot_agent::is_disabled() { Switch::Off } else { Switch::On }
    }

    fn set_query_budgets(&mut self, asked: &BTreeMap<QueryId, QueryBudget>) {
        pivot_agent::set_query_budgets(asked);
    }

    fn govern(&mut self, costs: &BTreeMap<QueryId, QueryCost>, elapsed_ns: u64) {
        pivot_agent::govern(costs, elapsed_ns);
    }

    fn set_carriers(&mut self, globs: Vec<CarrierGlob>) {
        pivot_agent::set_frontend_carriers(globs);
    }

    fn carriers(&self) -> Vec<NamedCarrier> {
        pivot_agent::frontend_carriers()
    }

    fn set_carrying(&mut self, carrying: Switch) {
        pivot_baggage::set_carrying(carrying == Switch::On);
    }

    fn set_woven_here(&mut self, generation: u64) {
        request_generation::set_woven_here(generation);
    }

    fn set_woven_everywhere(&mut self, generation: u64) {
        request_generation::set_woven_everywhere(generation);
    }

    fn drain(&mut self) -> QueryReports {
        pivot_agent::drain()
    }

    fn woven_since(&self) -> BTreeMap<QueryId, Instant> {
        pivot_agent::woven_since()
    }

    fn suspended_queries(&self) -> Vec<QueryId> {
        pivot_agent::suspended_queries()
    }

    fn suspended_since(&self) -> Option<u64> {
        pivot_agent::suspended_since()
    }

    fn statuses(&self) -> Vec<QueryStatus> {
        pivot_agent::statuses()
    }

    fn registered_count(&self) -> usize {
        pivot_agent::registered_count()
    }

    fn catalogue(&self) -> Vec<Exports> {
        pivot_agent::catalogue()
    }

    fn catalogue_since(&self, registered: usize) -> Vec<Exports> {
        pivot_agent::catalogue_since(registered)
    }

    fn losses(&self) -> AgentLosses {
        AgentLosses {
            skipped: pivot_agent::skipped_events(),
            baggage: pivot_baggage::losses(),
            unanswered: reply_ledger::unanswered_calls(),
        }
    }

    fn bare_messages(&self) -> BareMessages {
        BareMessages {
            withheld: pivot_baggage::withheld_messages(),
            peers: reply_ledger::peer_replies(),
            bare: reply_ledger::recent_bare_replies(),
        }
    }
}
