//! The lists that backslash commands show.

pub(super) mod queries;

use super::commands::COMMANDS;
use crate::client::Tracepoint;
use crate::params::{self, Params};
use crate::table::{Cell, Style, Table};
use crate::text::{age, count, escaped, grouped};
use pivot_protocol::wire;

/// Values of `$name`.
pub(super) fn params(found: &Params) -> Table {
    let mut table = Table::with_headings(&["!name", "value"]);
    for (name, value) in found {
        table.push([format!("${name}").into(), params::shown(value).into()]);
    }
    table
}

/// Tracepoints with fields, agents and place.
pub(super) fn tracepoints(found: &[&Tracepoint]) -> Table {
    let mut table = Table::with_headings(&["!tracepoint", "fields", ">agents", "place"]);
    for tracepoint in found {
        let fields = tracepoint.fields.iter().map(|field| format!("{} {}", escaped(&field.name), field.ty));
        let place = match tracepoint.places.as_slice() {
            [] => String::new(),
            [place] => file_of(place),
            [place, others @ ..] => format!("{} + {} more", file_of(place), others.len()),
        };
        table.push([
            escaped(&tracepoint.name).into(),
            fields.collect::<Vec<_>>().join(", ").into(),
            grouped(&tracepoint.agents.to_string()).into(),
            quiet(place),
        ]);
    }
    table
}

/// A place without its folders, which `\d` shows.
fn file_of(place: &str) -> String {
    escaped(place.rsplit('/').next().unwrap_or(place))
}

/// The fields of one tracepoint, own ones before those that every tracepoint has.
pub(super) fn fields(tracepoint: &Tracepoint) -> Table {
    let mut table = Table::with_headings(&["field", "type", "exported by"]);
    for field in &tracepoint.fields {
        let all = field.agents >= tracepoint.agents;
        let by = if all {
            "all agents".to_owned()
        } else {
            format!("{} of {}", field.agents, count(tracepoint.agents.into(), "agent"))
        };
        table.push([escaped(&field.name).into(), field.ty.to_string().into(), by.into()]);
    }
    for (name, ty) in pivot_advice::default_fields() {
        table.push([quiet((*name).to_owned()), quiet(ty.to_string()), quiet("every tracepoint".to_owned())]);
    }
    table
}

/// Agents that are connected or were.
pub(super) fn agents(found: &[wire::Agent]) -> Table {
    let headings = ["!host", "!process", ">pid", "!state", ">tracepoints", "!connected", "!last heard"];
    let mut table = Table::with_headings(&headings);
    for agent in found {
        let state = match (agent.state(), agent.converged) {
            (wire::agent::State::Connected, true) => "connected".into(),
            (wire::agent::State::Connected, false) => warning("weaving"),
            (wire::agent::State::Left, _) => quiet("left".to_owned()),
            (wire::agent::State::Lost, _) => warning("lost"),
            (wire::agent::State::Unspecified, _) => quiet("-".to_owned()),
        };
        table.push([
            escaped(&agent.host).into(),
            escaped(&agent.process).into(),
            agent.pid.to_string().into(),
            state,
            grouped(&agent.tracepoints.to_string()).into(),
            quiet(age(agent.connected_ns)),
            quiet(age(agent.last_heard_ns)),
        ]);
    }
    table
}

/// The backslash commands.
pub(super) fn commands() -> Table {
    let mut table = Table::with_headings(&["!command", "what it does"]);
    for (name, argument, about) in COMMANDS {
        table.push([format!("{name} {argument}").trim_end().into(), about.into()]);
    }
    table
}

fn quiet(text: String) -> Cell {
    Cell { text, style: Style::Quiet }
}

fn warning(text: &str) -> Cell {
    Cell { text: text.to_owned(), style: Style::Warning }
}
