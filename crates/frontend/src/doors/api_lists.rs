//! Queries, agents, tracepoints and kept windows as JSON.

use super::api_json::{time, wire_value};
use pivot_advice::{LossCounts, Value};
use pivot_protocol::{from_wire, wire};
use serde_json::{Map, Value as Json, json};

/// Returns a text, or null if it is empty.
fn text(text: &str) -> Json {
    if text.is_empty() { Json::Null } else { json!(text) }
}

fn loss(found: Option<wire::Loss>) -> Json {
    let loss: LossCounts = from_wire::loss(found);
    let counts = loss.by_kind().map(|(kind, amount)| (kind.name.to_owned(), json!(amount)));
    Json::Object(counts.collect::<Map<_, _>>())
}

/// Returns an installed query.
pub(super) fn query(query: &wire::Query) -> Json {
    let lease = query.lease.as_ref().map(|lease| {
        json!({
            "grace_ns": lease.grace_ns,
            "unheard_ns": lease.unheard_ns,
        })
    });
    let problems = query.problems.iter().map(|problem| {
        json!({
            "agent": problem.agent,
            "tracepoint": problem.tracepoint,
            "message": problem.message,
        })
    });

    json!({
        "number": query.number,
        "name": text(&query.name),
        "text": query.text,
        "installed": time(query.installed_ns),
        "owner": text(&query.owner),
        "lease": lease,
        "pending": query.pending,
        "agents_woven": query.agents_woven,
        "problems": problems.collect::<Vec<Json>>(),
        "rows_emitted": query.rows_emitted,
        "groups": query.groups,
        "readers": query.readers,
        "loss": loss(query.loss),
        "unreturned_from": query.unreturned_from,
        "held_back_for": query.held_back_for,
        "agents": query.agents.iter().map(|agent| agent.agent.clone()).collect::<Vec<String>>(),
    })
}

/// Returns an agent.
pub(super) fn agent(agent: &wire::Agent) -> Json {
    use wire::agent::State;
    let state = match agent.state() {
        State::Connected => "connected",
        State::Left => "left",
        State::Lost => "lost",
        State::Unspecified => "unknown",
    };
    let labels: Map<String, Json> =
        agent.labels.iter().map(|(name, value)| (name.clone(), json!(value))).collect();

    json!({
        "host": agent.host,
        "process": agent.process,
        "pid": agent.pid,
        "state": state,
        "build": text(&agent.build),
        "labels": labels,
        "tracepoints": agent.tracepoints,
        "left_out": agent.left_out,
        "connected": time(agent.connected_ns),
        "last_heard": time(agent.last_heard_ns),
        "converged": agent.converged,
        "clock_uncertainty_ns": agent.clock_uncertainty_ns,
        "misplaced_rows": agent.misplaced_rows,
    })
}

/// Returns a tracepoint.
pub(super) fn tracepoint(tracepoint: &wire::Tracepoint) -> Json {
    let fields = tracepoint.fields.iter().map(|field| {
        json!({
            "name": field.name,
            "type": from_wire::ty(field.r#type).to_string(),
            "agents": field.agents,
        })
    });

    json!({
        "name": tracepoint.name,
        "agents": tracepoint.agents,
        "places": tracepoint.places,
        "fields": fields.collect::<Vec<Json>>(),
    })
}

/// Returns a query of which windows are kept.
pub(super) fn kept_query(kept: &wire::KeptQuery) -> Json {
    let has_any = kept.last_ns > kept.first_ns;

    json!({
        "number": kept.number,
        "name": text(&kept.name),
        "text": kept.text,
        "installed": time(kept.installed_ns),
        "is_installed": kept.installed,
        "every_ns": kept.every_ns,
        "first": has_any.then(|| time(kept.first_ns)),
        "last": has_any.then(|| time(kept.last_ns)),
        "files": kept.files,
        "bytes": kept.bytes,
        "keep_ns": kept.keep_ns,
    })
}

/// Returns a span that carries requests, as people have named it.
pub(super) fn carrier(carrier: &wire::Carrier) -> Json {
    json!({ "glob": carrier.glob, "agents": carrier.agents, "spans": carrier.spans })
}

/// Returns a column of an answer to SQL.
pub(super) fn sql_column(column: &wire::SqlColumn) -> Json {
    json!({
        "name": column.name,
        "type": from_wire::ty(column.r#type).to_string(),
        "sql_type": column.sql_type,
    })
}

/// Returns a row of an answer to SQL: an array, since names of columns may repeat.
pub(super) fn sql_row(row: &wire::Row) -> Json {
    let values: Vec<Value> = row.values.iter().map(wire_value).collect();
    values.iter().map(super::api_json::value).collect()
}
