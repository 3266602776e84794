//! The messages of an agent, made of what the agent and the baggage of this process say of themselves.
//!
//! Here the agent's types become wire types, and nothing in this crate stores those.

use crate::agent_runtime::{AgentLosses, BareMessages};
use crate::config::Config;
use crate::frontend_clock::ClockExchange;
use pivot_advice::{CarrierGlob, Exports, QueryBudget, QueryId};
use pivot_agent::Report;
use pivot_protocol::{MAX_MESSAGE_BYTES, from_wire, to_wire, wire};
use prost::Message;

/// The most bytes of a report, so that the message around it has room.
const MAX_REPORT_MESSAGE_BYTES: usize = MAX_MESSAGE_BYTES - 1024;

/// Returns the introduction of this process, with tracepoints, and a question that is asked with it.
pub(crate) fn hello(
    config: &Config,
    incarnation: u64,
    catalogue: &[Exports],
    question: wire::ClockQuestion,
) -> wire::Hello {
    wire::Hello {
        incarnation,
        process: config.process.clone(),
        host: config.host.clone(),
        pid: std::process::id(),
        build: config.build.clone(),
        labels: config.labels.clone().into_iter().collect(),
        catalogue: catalogue.iter().map(to_wire::exports).collect(),
        takes_changes: true,
        lease_ns: i64::try_from(config.lease.as_nanos()).unwrap_or(i64::MAX),
        clock: Some(question),
    }
}

/// Returns the times of a question and its answer, which is heard at this time.
pub(crate) fn clock_exchange(answer: wire::ClockAnswer, heard_ns: i64) -> ClockExchange {
    let wire::ClockAnswer { asked_ns, received_ns, sent_ns } = answer;
    ClockExchange { asked_ns, heard_ns, received_ns, sent_ns }
}

/// Returns a query and the generation that brought its advice, or `None` if the message names no query.
pub(crate) fn since(since: wire::Since) -> Option<(QueryId, u64)> {
    Some((from_wire::query_id(since.query).ok()?, since.generation))
}

/// Returns a query and what it asks to take in each process, or `None` if the message lacks one of them.
pub(crate) fn wanted_budget(wanted: wire::WantedBudget) -> Option<(QueryId, QueryBudget)> {
    Some((from_wire::query_id(wanted.query).ok()?, from_wire::query_budget(wanted.budget.as_ref()?)))
}

/// Returns the globs of spans that carry a request; those that only a later version can read are left out.
pub(crate) fn carriers(globs: &[String]) -> Vec<CarrierGlob> {
    globs.iter().filter_map(|glob| glob.parse().ok()).collect()
}

/// Returns the message about tracepoints that have registered since the introduction.
pub(crate) fn exported(new: &[Exports]) -> wire::Exported {
    wire::Exported { catalogue: new.iter().map(to_wire::exports).collect() }
}

/// Returns what this process has lost since it began, whatever the query.
pub(crate) fn lost(losses: &AgentLosses) -> wire::Lost {
    let found = &losses.baggage;
    wire::Lost {
        skipped: losses.skipped,

        duplicate: found.duplicate,
        foreign: found.foreign,
        mismatched: found.mismatched,
        overflowed: found.overflowed,
        malformed: found.malformed,
        unsigned: found.unsigned,
        outside: found.outside,
        unanswered: losses.unanswered,
    }
}

/// How the groups of a report are encoded.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GroupForm {
    /// Row by row: frontends before columns were known.
    #[default]
    Rows,
    /// Column by column.
    Columns,
}

/// Returns a report of one window. What a frontend could not take, it is not sent: rows are counted as lost rather than
/// stand before all later ones for ever.
pub(crate) fn report(report: &Report, bare: &BareMessages, form: GroupForm) -> wire::Report {
    report_within(report, bare, form, MAX_REPORT_MESSAGE_BYTES)
}

fn report_within(report: &Report, bare: &BareMessages, form: GroupForm, most: usize) -> wire::Report {
    let mut message = whole_report(report, bare, form);
    if message.encoded_len() > most {
        drop_rows(&mut message, report);
    }
    message
}

/// Leaves all groups of a report out, and counts their rows as dropped.
fn drop_rows(message: &mut wire::Report, report: &Report) {
    for (part, known) in message.parts.iter_mut().zip(report.parts.values()) {
        let tables = [&known.groups, &known.sampled.groups, &known.other];
        let rows =
            tables.into_iter().flatten().fold(0_u64, |sum, groups| sum.saturating_add(groups.row_count()));

        (part.groups, part.columns) = (Vec::new(), Vec::new());
        (part.sampled, part.other) = (Vec::new(), Vec::new());
        let loss = part.loss.get_or_insert_default();
        loss.dropped = loss.dropped.saturating_add(rows);
    }
}

fn whole_report(report: &Report, bare: &BareMessages, form: GroupForm) -> wire::Report {
    let parts = report.parts.iter().map(|(query, part)| wire::Part {
        query: Some(to_wire::query_id(*query)),
        groups: part
            .groups
            .as_ref()
            .filter(|_| form == GroupForm::Rows)
            .map(to_wire::groups)
            .unwrap_or_default(),
        columns: part
            .groups
            .as_ref()
            .filter(|_| form == GroupForm::Columns)
            .map(to_wire::group_columns)
            .unwrap_or_default(),
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

    // Messages and replies without baggage are counted since the process began, so the newest report has them all.
    wire::Report {
        sequence: report.sequence,
        window_start_ns: report.window_start_ns,
        window_end_ns: report.window_end_ns,
        watermark_ns: report.watermark_ns,
        delay_ns: report.delay_ns,
        cut_ns: report.cut_ns,
        parts: parts.collect(),
        held_back: bare.withheld.iter().map(to_wire::withheld_messages).collect(),
        peers: bare.peers.iter().map(to_wire::peer_replies).collect(),
        bare: bare.bare.iter().map(|(tag, peer)| wire::BareReply { tag: *tag, peer: peer.clone() }).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pivot_advice::{Groups, Value};
    use pivot_agent::QueryReport;

    #[test]
    fn a_report_that_no_message_takes_says_how_many_rows_it_lacks() {
        let mut groups = Groups::new(1, &[]);
        groups.entry(&[Value::str("x".repeat(1_000))]).n = 7;
        let mut part = QueryReport::empty();
        (part.groups, part.emitted) = (Some(groups), 7);
        let report = Report {
            sequence: 1,
            window_start_ns: 0,
            window_end_ns: 1,
            watermark_ns: 1,
            delay_ns: 0,
            cut_ns: 1,
            parts: [(QueryId::new(1, 1), part)].into(),
        };

        for form in [GroupForm::Rows, GroupForm::Columns] {
            let whole = report_within(&report, &BareMessages::default(), form, 2_000);
            assert_eq!(whole.parts[0].groups.is_empty(), form == GroupForm::Columns);
            assert_eq!(whole.parts[0].columns.is_empty(), form == GroupForm::Rows);

            let cut = report_within(&report, &BareMessages::default(), form, 500);
            assert!(cut.encoded_len() <= 500 && cut.parts[0].groups.is_empty());
            let dropped = cut.parts[0].loss.as_ref().map_or(0, |loss| loss.dropped);
            assert_eq!((cut.parts[0].emitted, dropped), (7, 7));
        }
    }
}
