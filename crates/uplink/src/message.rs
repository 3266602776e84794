//! What an agent says, as messages.

use crate::config::Config;
use pivot_advice::{Exports, QueryId};
use pivot_agent::{QueryState, QueryStatus, Report};
use pivot_baggage::withheld::{WithheldMessages, WithheldReason};
use pivot_protocol::{from_wire, to_wire, wire};

/// Who the agent is.
pub(crate) fn hello(config: &Config, incarnation: u64) -> wire::Hello {
    wire::Hello {
        incarnation,
        process: config.process.clone(),
        host: config.host.clone(),
        pid: std::process::id(),
        build: config.build.clone(),
        labels: config.labels.clone().into_iter().collect(),
        catalogue: pivot_agent::catalogue().iter().map(to_wire::exports).collect(),
    }
}

/// The generation that brought a query.
pub(crate) fn since(since: wire::Since) -> Option<(QueryId, u64)> {
    Some((from_wire::query_id(since.query).ok()?, since.generation))
}

pub(crate) fn exported(new: &[Exports]) -> wire::Exported {
    wire::Exported { catalogue: new.iter().map(to_wire::exports).collect() }
}

/// What this process has lost so far, whatever the query.
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
    }
}

pub(crate) fn status(status: &QueryStatus) -> wire::QueryStatus {
    use wire::query_status::State as Wire;
    let state = match status.state {
        QueryState::Active => Wire::Active,
        QueryState::Pending => Wire::Pending,
        QueryState::Throttled => Wire::Throttled,
        QueryState::Quarantined => Wire::Quarantined,
        QueryState::Problem => Wire::Problem,
        QueryState::Disabled => Wire::Disabled,
    };
    wire::QueryStatus {
        query: Some(to_wire::query_id(status.query)),
        state: state.into(),
        keep: status.keep,
        detail: status.detail.clone(),
    }
}

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
        cost: Some(wire::Cost {
            events: part.cost.events,
            busy_ns: part.cost.busy_ns,
            packed: part.cost.packed,
            packed_bytes: part.cost.packed_bytes,
        }),
    });
    wire::Report {
        sequence: report.sequence,
        window_start_ns: report.window_start_ns,
        window_end_ns: report.window_end_ns,
        watermark_ns: report.watermark_ns,
        delay_ns: report.delay_ns,
        parts: parts.collect(),
        held_back: pivot_baggage::withheld_messages().iter().map(held_back).collect(),
    }
}

fn held_back(held: &WithheldMessages) -> wire::HeldBack {
    use wire::held_back::Reason as Wire;
    let reason = match held.reason {
        WithheldReason::NotAllowed => Wire::NotAllowed,
        WithheldReason::NoRoom => Wire::NoRoom,
        _ => Wire::Unspecified,
    };
    wire::HeldBack { host: held.host.clone(), reason: reason.into(), messages: held.messages }
}
