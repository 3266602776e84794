//! Messages of agents decoded, and commands to them encoded.
//!
//! Decoding checks form alone. What cannot be read is left out or marked, and never ends a connection: an
//! agent of another version may say more than this frontend knows.

use crate::agent_identity::AgentIdentity;
use crate::agent_report::{AgentLosses, AgentReport, DecodedQueryReport, ReportedGroups, WovenNotice};
use crate::announced_exports::AnnouncedExports;
use crate::time_range::TimeRange;
use crate::unreturned_replies::MAX_TAGS;
use crate::wanted_advice::{AgentCommand, WantedForm, parts};
use pivot_advice::columns::ColumnBlock;
use pivot_advice::{Groups, LossCounts, QueryId, SampledGroups};
use pivot_protocol::{ProtocolError, from_wire, to_wire, wire};
use std::sync::Arc;

/// The lease of agents that do not say it.
const USUAL_LEASE_NS: i64 = 600 * 1_000_000_000;

/// The longest lease that is believed: for as long, results lack what a lost agent may have gathered.
const MAX_LEASE_NS: i64 = 24 * 3_600 * 1_000_000_000;

/// Decodes who an agent is.
pub(crate) fn identity(hello: wire::Hello) -> AgentIdentity {
    let wire::Hello { process, host, pid, build, labels, takes_changes, lease_ns, clock, .. } = hello;
    let wanted_form = if takes_changes { WantedForm::Changes } else { WantedForm::WholeSet };
    let lease_ns = if lease_ns > 0 { lease_ns.min(MAX_LEASE_NS) } else { USUAL_LEASE_NS };
    AgentIdentity {
        process,
        host,
        pid,
        build,
        labels,
        wanted_form,
        lease_ns,
        clock: clock.map(Into::into).unwrap_or_default(),
    }
}

/// Decodes tracepoints.
pub(crate) fn exports(catalogue: Vec<wire::Exports>) -> AnnouncedExports {
    catalogue.into_iter().map(from_wire::exports).collect::<Vec<_>>().into()
}

/// Decodes a report. Parts that name no query are left out; groups that cannot be read are marked as such.
pub(crate) fn agent_report(report: wire::Report) -> AgentReport {
    // Of an agent that does not say it, rows are known up to the end of the window.
    let cut_ns = if report.cut_ns > 0 { report.cut_ns } else { report.window_end_ns };

    AgentReport {
        sequence: report.sequence,
        window: TimeRange { start_ns: report.window_start_ns, end_ns: report.window_end_ns },
        watermark_ns: report.watermark_ns,
        cut_ns: report.cut_ns,
        withheld: report.held_back.into_iter().map(from_wire::withheld_messages).collect(),
        peers: report.peers.into_iter().map(from_wire::peer_replies).collect(),
        bare: report.bare.into_iter().map(|bare| (bare.tag, bare.peer)).collect(),
        parts: report.parts.into_iter().filter_map(|part| report_part(part, cut_ns)).collect(),
    }
}

fn report_part(part: wire::Part, cut_ns: i64) -> Option<DecodedQueryReport> {
    let query = from_wire::query_id(part.query).ok()?;
    Some(DecodedQueryReport { query, cut_ns, ..stored_part(part) })
}

/// Decodes a part whose query is known from elsewhere.
pub(crate) fn stored_part(mut part: wire::Part) -> DecodedQueryReport {
    DecodedQueryReport {
        query: QueryId::new(0, 0),
        emitted: part.emitted,
        groups: reported_groups(&mut part).ok(),
        loss: LossCounts { undecided: part.undecided, ..from_wire::loss(part.loss) },
        outside: from_wire::outside_places(part.outside),
        cost: from_wire::cost(part.cost),
        cut_ns: 0,
        woven: part.woven.map(from_wire::woven_time),
        left: part.left.into_iter().take(MAX_TAGS).collect(),
    }
}

fn reported_groups(part: &mut wire::Part) -> Result<ReportedGroups, ProtocolError> {
    let sampled =
        SampledGroups { groups: groups(&part.sampled)?, weights: part.weights, squares: part.squares };
    Ok(ReportedGroups { exact: exact_groups(part)?, sampled, other: groups(&part.other)? })
}

/// Decodes the groups of requests that were all processed: in columns, or in rows as agents report them that do not know
/// columns.
fn exact_groups(part: &mut wire::Part) -> Result<Option<ColumnBlock>, ProtocolError> {
    let columns = match groups(&part.groups)? {
        Some(rows) => to_wire::group_columns(&rows),
        None => std::mem::take(&mut part.columns),
    };
    if columns.is_empty() { Ok(None) } else { from_wire::group_columns(columns).map(Some) }
}

/// Decodes a table of groups; no bytes mean that there is none.
fn groups(bytes: &[u8]) -> Result<Option<Groups>, ProtocolError> {
    if bytes.is_empty() { Ok(None) } else { from_wire::groups(bytes).map(Some) }
}

/// Decodes what an agent has woven. What is said of no query, or in words of
/// a later version, is left out.
pub(crate) fn woven_notice(woven: wire::Woven) -> WovenNotice {
    let problems = woven.problems.into_iter().filter_map(|problem| from_wire::weave_problem(problem).ok());
    let statuses = woven.statuses.into_iter().filter_map(|status| from_wire::query_status(status).ok());
    let carriers = woven.carriers.into_iter().filter_map(from_wire::named_carrier);

    WovenNotice {
        generation: woven.generation,
        problems: problems.collect(),
        statuses: statuses.collect(),
        carriers: carriers.collect(),
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

/// Encodes a command to an agent that is sent at this time. It may take several messages.
pub(crate) fn command(command: AgentCommand, now_ns: i64) -> Vec<wire::ToAgent> {
    use wire::to_agent::Kind;
    let kinds = match command {
        AgentCommand::Weave(desired) => vec![Kind::Desired(Arc::unwrap_or_clone(desired))],
        AgentCommand::Change(change) => parts(change).into_iter().map(Kind::Wanted).collect(),
        AgentCommand::Acknowledge(sequence) => vec![Kind::Acknowledged(sequence)],
        AgentCommand::WovenEverywhere(generation) => vec![Kind::Everywhere(generation)],
        AgentCommand::TellTime { asked_ns, received_ns } => {
            vec![Kind::Clock(wire::ClockAnswer { asked_ns, received_ns, sent_ns: now_ns })]
        }
    };
    kinds.into_iter().map(|kind| wire::ToAgent { kind: Some(kind) }).collect()
}
