//! The lists that backslash commands show.

pub(super) mod queries;

use super::commands::COMMANDS;
use crate::client::ListedTracepoint;
use crate::params::{self, Params};
use crate::table::{TableCell, TextStyle, TextTable};
use crate::text::{age, count, escaped, grouped};
use pivot_protocol::wire;

/// Values of `$name`.
pub(super) fn params(found: &Params) -> TextTable {
    let mut table = TextTable::with_headings(&["!name", "value"]);
    for (name, value) in found {
        table.push([format!("${name}").into(), params::shown(value).into()]);
    }
    table
}

/// Tracepoints with fields, agents and place.
pub(super) fn tracepoints(found: &[&ListedTracepoint]) -> TextTable {
    let mut table = TextTable::with_headings(&["!tracepoint", "fields", ">agents", "place"]);
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
pub(super) fn fields(tracepoint: &ListedTracepoint) -> TextTable {
    let mut table = TextTable::with_headings(&["field", "type", "exported by"]);
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
pub(super) fn agents(found: &[wire::Agent]) -> TextTable {
    let headings = ["!host", "!process", ">pid", "!state", ">tracepoints", "!connected", "!last heard"];
    let mut headings = headings.to_vec();
    let holds_back = found.iter().any(|agent| !agent.held_back.is_empty());
    headings.extend(holds_back.then_some("baggage held back"));
    let loses = found.iter().any(|agent| agent.lost.is_some_and(|lost| lost != wire::Lost::default()));
    headings.extend(loses.then_some("lost"));
    let mut table = TextTable::with_headings(&headings);
    for agent in found {
        let state = match (agent.state(), agent.converged) {
            (wire::agent::State::Connected, true) => "connected".into(),
            (wire::agent::State::Connected, false) => warning("weaving"),
            (wire::agent::State::Left, _) => quiet("left".to_owned()),
            (wire::agent::State::Lost, _) => warning("lost"),
            (wire::agent::State::Unspecified, _) => quiet("-".to_owned()),
        };
        let known = [
            escaped(&agent.host).into(),
            escaped(&agent.process).into(),
            agent.pid.to_string().into(),
            state,
            grouped(&agent.tracepoints.to_string()).into(),
            quiet(age(agent.connected_ns)),
            quiet(age(agent.last_heard_ns)),
        ];
        let held_back = holds_back.then(|| held_back(&agent.held_back));
        let lost = loses.then(|| warning(&lost(&agent.lost.unwrap_or_default())));
        table.push(known.into_iter().chain(held_back).chain(lost));
    }
    table
}

/// What a process has lost, whatever the query; empty if nothing.
fn lost(found: &wire::Lost) -> String {
    let counts = [
        (found.skipped, "events skipped"),
        (found.duplicate, "baggage twice"),
        (found.foreign, "baggage of others"),
        (found.mismatched, "bags of two shapes"),
        (found.overflowed, "beyond the budget of a request"),
        (found.malformed, "baggage unreadable"),
        (found.unsigned, "baggage unsigned"),
        (found.outside, "outside requests"),
    ];
    let counts = counts.iter().filter(|(count, _)| *count > 0);
    let words = counts.map(|(count, what)| format!("{} {what}", grouped(&count.to_string())));
    words.collect::<Vec<_>>().join(", ")
}

/// From which hosts baggage was held back, those with the most messages first.
fn held_back(held: &[wire::HeldBack]) -> TableCell {
    let mut held: Vec<&wire::HeldBack> = held.iter().collect();
    held.sort_by_key(|held| std::cmp::Reverse(held.messages));
    let shown = held.iter().take(3).map(|held| {
        let host = if held.host.is_empty() { "others".to_owned() } else { escaped(&held.host) };
        let why = match held.reason() {
            wire::held_back::Reason::NoRoom => " (no room)",
            _ => "",
        };
        format!("{host}{why} {}", grouped(&held.messages.to_string()))
    });
    let mut text = shown.collect::<Vec<_>>().join(", ");
    if held.len() > 3 {
        text += &format!(" + {} more", held.len() - 3);
    }
    match text.is_empty() {
        true => quiet("-".to_owned()),
        false => warning(&text),
    }
}

/// The backslash commands.
pub(super) fn commands() -> TextTable {
    let mut table = TextTable::with_headings(&["!command", "what it does"]);
    for (name, argument, about) in COMMANDS {
        table.push([format!("{name} {argument}").trim_end().into(), about.into()]);
    }
    table
}

fn quiet(text: String) -> TableCell {
    TableCell { text, style: TextStyle::Quiet }
}

fn warning(text: &str) -> TableCell {
    TableCell { text: text.to_owned(), style: TextStyle::Warning }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agents_that_hold_baggage_back_say_from_whom() {
        let held = |host: &str, reason, messages| wire::HeldBack {
            host: host.to_owned(),
            reason: i32::from(reason),
            messages,
        };
        use wire::held_back::Reason::{NoRoom, NotAllowed};
        let all =
            [held("a.example", NotAllowed, 2), held("b.example", NoRoom, 1_200), held("", NotAllowed, 1)];
        assert_eq!(held_back(&all).text, "b.example (no room) 1,200, a.example 2, others 1");
        let more: Vec<_> = (0..5).map(|i| held(&format!("{i}.example"), NotAllowed, 9 - i)).collect();
        assert_eq!(held_back(&more).text, "0.example 9, 1.example 8, 2.example 7 + 2 more");
        assert_eq!(held_back(&[]).text, "-");
    }
}
