//! Messages of agents decoded, and commands to them encoded.
//!
//! Decoding checks form alone. What cannot be read is left out or marked, and never ends a connection: an
//! agent of another version may say more than this frontend knows.

use crate::agent_registry::AgentIdentity;
use crate::agent_report::{AgentLosses, AgentReport, DecodedQueryReport, ReportedGroups, WovenNotice};
use crate::announced_exports::AnnouncedExports;
use crate::time_range::TimeRange;
use crate::unreturned_replies::MAX_TAGS;
use crate::wanted_advice::{AgentCommand, WantedAdvice};
use pivot_advice::{Groups, LossCounts, SampledGroups};
use pivot_protocol::{ProtocolError, from_wire, to_wire, wire};

/// Decodes who an agent is.
pub(crate) fn identity(hello: wire::Hello) -> AgentIdentity {
    let wire::Hello { process, host, pid, build, labels, .. } = hello;
    AgentIdentity { process, host, pid, build, labels }
}

/// Decodes tracepoints.
pub(crate) fn exports(catalogue: Vec<wire::Exports>) -> AnnouncedExports {
    catalogue.into_iter().map(from_wire::exports).collect::<Vec<_>>().into()
}

/// Decodes a report. Parts that name no query are left out; groups that cannot be read are marked as such.
pub(crate) fn agent_report(report: wire::Report) -> AgentReport {
    AgentReport {
        sequence: report.sequence,
        window: TimeRange { start_ns: report.window_start_ns, end_ns: report.window_end_ns },
        watermark_ns: report.watermark_ns,
        cut_ns: report.cut_ns,
        withheld: report.held_back.into_iter().map(from_wire::withheld_messages).collect(),
        peers: report.peers.into_iter().map(from_wire::peer_replies).collect(),
        bare: report.bare.into_iter().map(|bare| (bare.tag, bare.peer)).collect(),
        parts: report.parts.into_iter().filter_map(report_part).collect(),
    }
}

fn report_part(part: wire::Part) -> Option<DecodedQueryReport> {
    Some(DecodedQueryReport {
        query: from_wire::query_id(part.query).ok()?,
        emitted: part.emitted,
        groups: reported_groups(&part).ok(),
        loss: LossCounts { undecided: part.undecided, ..from_wire::loss(part.loss) },
        outside: from_wire::outside_places(part.outside),
        cost: from_wire::cost(part.cost),
        woven: part.woven.map(from_wire::woven_time),
        left: part.left.into_iter().take(MAX_TAGS).collect(),
    })
}

fn reported_groups(part: &wire::Part) -> Result<ReportedGroups, ProtocolError> {
    let sampled =
        SampledGroups { groups: groups(&part.sampled)?, weights: part.weights, squares: part.squares };
    Ok(ReportedGroups { exact: groups(&part.groups)?, sampled, other: groups(&part.other)? })
}

/// Decodes a table of groups; no bytes mean that there is none.
fn groups(bytes: &[u8]) -> Result<Option<Groups>, ProtocolError> {
    if bytes.is_empty() { Ok(None) } else { from_wire::groups(bytes).map(Some) }
}

/// Decodes what an agent has woven. What is said of no query, or in words of
/// a later version, is left out.
pub(crate) fn woven_notice(woven: wire::Woven) -> WovenNotice {
    WovenNotice {
        generation: woven.generation,
        problems: woven
            .problems
            .into_iter()
            .filter_map(|problem| from_wire::weave_problem(problem).ok())
            .collect(),
        statuses: woven
            .statuses
            .into_iter()
            .filter_map(|status| from_wire::query_status(status).ok())
            .collect(),
        carriers: woven.carriers.into_iter().filter_map(from_wire::named_carrier).collect(),
    }
}

/// Decodes what an agent has lost whatever the query.
pub(crate) fn losses(lost: wire::Lost) -> AgentLosses {
    let wire::Lost { skipped, duplicate, foreign, mismatched, overflowed, .. } = lost;
    let wire::Lost { malformed, unsigned, outside, unanswered, .. } = lost;

    AgentLosses {
        skipped,
        duplicate,
        foreign,
        mismatched,
        overflowed,
        malformed,
        unsigned,
        outside,
        unanswered,
    }
}

/// Encodes a command to an agent.
pub(crate) fn command(command: &AgentCommand) -> wire::ToAgent {
    use wire::to_agent::Kind;
    let kind = match command {
        AgentCommand::Weave(wanted) => Kind::Desired(desired(wanted)),
        AgentCommand::Acknowledge(sequence) => Kind::Acknowledged(*sequence),
        AgentCommand::WovenEverywhere(generation) => Kind::Everywhere(*generation),
    };
    wire::ToAgent { kind: Some(kind) }
}

fn desired(wanted: &WantedAdvice) -> wire::Desired {
    let mut since = Vec::with_capacity(wanted.since.len());
    for (query, generation) in &wanted.since {
        since.push(wire::Since { query: Some(to_wire::query_id(*query)), generation: *generation });
    }
    let mut budgets = Vec::with_capacity(wanted.budgets.len());
    for (query, budget) in &wanted.budgets {
        let budget = Some(to_wire::query_budget(budget));
        budgets.push(wire::WantedBudget { query: Some(to_wire::query_id(*query)), budget });
    }

    wire::Desired {
        generation: wanted.generation,
        advice: wanted.advice.iter().map(to_wire::advice).collect(),
        carrying: wanted.needs_baggage,
        everywhere: wanted.woven_everywhere,
        since,
        budgets,
        carriers: wanted.carriers.iter().map(ToString::to_string).collect(),
        window_ns: wanted.window_ns,
    }
}
