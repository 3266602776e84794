//! The messages of an agent, made of what the agent and the baggage of this process say of themselves.
//!
//! Here the agent's types become wire types, and nothing in this crate stores those.

use crate::config::Config;
use pivot_advice::{Exports, QueryBudget, QueryId};
use pivot_agent::Report;
use pivot_baggage::reply_ledger;
use pivot_protocol::{from_wire, to_wire, wire};

/// Returns the introduction of this process, with its catalogue of tracepoints.
pub(crate) fn hello(config: &Config, incarnation: u64) -> wire::Hello {
    wire::Hello {
        incarnation,
        process: config.process.clone(),
        host: config.host.clone(),
        pid: std::process::id(),
        build: config.build.clone(),
        labels: config.labels.clone().into_iter().collect(),
        catalogue: pivot_agent::catalogue().iter().map(to_wire::exports).collect(),
        takes_changes: true,
    }
}

/// Returns a query and the generation that brought its advice, or `None` if the message names no query.
pub(crate) fn since(since: wire::Since) -> Option<(QueryId, u64)> {
    Some((from_wire::query_id(since.query).ok()?, since.generation))
}

/// Returns a query and what it asks to take in each process, or `None` if the message lacks one of them.
pub(crate) fn wanted_budget(wanted: wire::WantedBudget) -> Option<(QueryId, QueryBudget)> {
    Some((from_wire::query_id(wanted.query).ok()?, from_wire::query_budget(wanted.budget.as_ref()?)))
}

/// Returns the message about tracepoints that have registered since the introduction.
pub(crate) fn exported(new: &[Exports]) -> wire::Exported {
    wire::Exported { catalogue: new.iter().map(to_wire::exports).collect() }
}

/// Returns what this process has lost since it began, whatever the query.
pub(crate) fn lost() -> wire::Lost {
    let found = pivot_baggage::losses();
    wire::Lost {
        skipped: pivot_agent::skipped_events(),

        duplicate: found.duplicate,
        foreign: found.foreign,
        mismatched: found.mismatched,
        overflowed: found.overflowed,
        malformed: found.malformed,
        unsigned: found.unsigned,
        outside: found.outside,
        unanswered: reply_ledger::unanswered_calls(),
    }
}

/// Returns a report of one window.
pub(crate) fn report(report: &Report) -> wire::Report {
    let parts = report.parts.iter().map(|(query, part)| wire::Part {
        query: Some(to_wire::query_id(*query)),
        groups: part.groups.as_ref().map(to_wire::groups).unwrap_or_default(),
        loss: Some(to_wire::loss(&part.loss)),
        emitted: part.emitted,
        sampled: part.sampled.groups.as_ref().map(to_wire::groups).unwrap_or_default(),
        weights: part.sampled.weights,
        squares: part.sampled.squares,
        other: part.other.as_ref().map(to_wire::groups).unwrap_or_default(),
        cost: Some(to_wire::cost(&part.cost)),
        woven: part.woven.as_ref().map(to_wire::woven_time),
        undecided: part.loss.undecided,
        left: part.left.iter().copied().collect(),
        outside: to_wire::outside_places(&part.outside),
    });
    let bare = reply_ledger::recent_bare_replies().into_iter();

    // Messages and replies without baggage are counted since the process began, so the newest report has them all.
    wire::Report {
        sequence: report.sequence,
        window_start_ns: report.window_start_ns,
        window_end_ns: report.window_end_ns,
        watermark_ns: report.watermark_ns,
        delay_ns: report.delay_ns,
        cut_ns: report.cut_ns,
        parts: parts.collect(),
        held_back: pivot_baggage::withheld_messages().iter().map(to_wire::withheld_messages).collect(),
        peers: reply_ledger::peer_replies().iter().map(to_wire::peer_replies).collect(),
        bare: bare.map(|(tag, peer)| wire::BareReply { tag, peer }).collect(),
    }
}
