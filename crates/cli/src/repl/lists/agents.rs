//! The agents that are or were connected (`\l`).

use crate::frontend_lists::{AgentPresence, ListedAgent, ProcessLosses};
use crate::humanize::{duration, elapsed, grouped};
use crate::table::{TableCell, TextTable};
use crate::terminal_text::escaped;
use pivot_advice::{PeerReplies, WithheldMessages, WithheldReason};
use std::cmp::Reverse;

/// The uncertainty of a clock from which on it shows in windows of a second.
const LARGE_UNCERTAINTY_NS: i64 = 100_000_000;

/// How many hosts are named to which an agent sent no baggage.
const MAX_WITHHELD_HOSTS: usize = 3;

/// Returns agents with their state. The columns for withheld baggage, calls that brought none back, doubtful clocks and
/// losses are there only if any agent has some.
pub(in crate::repl) fn agents(found: &[ListedAgent]) -> TextTable {
    let any_withheld = found.iter().any(|agent| !agent.withheld.is_empty());
    let any_calls = found.iter().any(|agent| !calls(agent).is_empty());
    let any_wrong_clock = found.iter().any(|agent| !clock(agent).is_empty());
    let any_lost = found.iter().any(|agent| agent.losses != ProcessLosses::default());
    let mut headings =
        vec!["!host", "!process", ">pid", "!state", ">tracepoints", "!connected", "!last heard"];
    headings.extend(any_withheld.then_some("held back (see PIVOT_EGRESS)"));
    headings.extend(any_calls.then_some("calls"));
    headings.extend(any_wrong_clock.then_some("clock"));
    headings.extend(any_lost.then_some("lost"));

    let mut table = TextTable::with_headings(&headings);
    for agent in found {
        let mut cells = vec![
            escaped(&agent.host).into(),
            escaped(&agent.process).into(),
            agent.pid.to_string().into(),
            presence(agent),
            tracepoints(agent),
            TableCell::quiet(elapsed(agent.connected_ago)),
            TableCell::quiet(elapsed(agent.last_heard_ago)),
        ];
        // In the same order as their headings above.
        cells.extend(any_withheld.then(|| withheld(&agent.withheld)));
        cells.extend(any_calls.then(|| TableCell::quiet(calls(agent))));
        cells.extend(any_wrong_clock.then(|| TableCell::warning(clock(agent))));
        cells.extend(any_lost.then(|| TableCell::warning(lost(&agent.losses))));
        table.push(cells);
    }
    table
}

/// Returns how many tracepoints an agent has, and how many of them nobody can query.
fn tracepoints(agent: &ListedAgent) -> TableCell {
    let known = grouped(&agent.tracepoints.to_string());
    match agent.left_out {
        0 => known.into(),
        left_out => TableCell::warning(format!("{known} + {} left out", grouped(&left_out.to_string()))),
    }
}

fn presence(agent: &ListedAgent) -> TableCell {
    match (agent.presence, agent.converged) {
        (AgentPresence::Connected, true) => "connected".into(),
        (AgentPresence::Connected, false) => TableCell::warning("weaving"),
        (AgentPresence::Left, _) => TableCell::quiet("left"),
        (AgentPresence::Lost, _) => TableCell::warning("lost"),
        (AgentPresence::Unknown, _) => TableCell::quiet("-"),
    }
}

/// Returns why windows of a process may have the wrong rows, empty if nothing speaks for it.
fn clock(agent: &ListedAgent) -> String {
    let mut words = Vec::new();
    if let Some(uncertainty_ns) = agent.clock_uncertainty_ns.filter(|ns| *ns >= LARGE_UNCERTAINTY_NS) {
        words.push(format!("± {}", duration(uncertainty_ns)));
    }
    if agent.misplaced_rows > 0 {
        words.push(format!("{} rows at impossible times", grouped(&agent.misplaced_rows.to_string())));
    }
    words.join(", ")
}

/// Returns what a process has lost apart from any query, empty if nothing.
fn lost(found: &ProcessLosses) -> String {
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

    let words: Vec<String> = counts
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{} {what}", grouped(&count.to_string())))
        .collect();
    words.join(", ")
}

/// Returns what became of calls with baggage that brought none back, empty if there are none: those to services that
/// never return any, which are taken for services without Pivot; those that lost it; and those without an answer.
fn calls(agent: &ListedAgent) -> String {
    let mut words = Vec::new();
    for (what, returns) in [("without Pivot", false), ("lost the baggage of", true)] {
        let found =
            agent.peers.iter().filter(|replies| replies.bare > 0 && (replies.returned > 0) == returns);
        let mut found: Vec<&PeerReplies> = found.collect();
        found.sort_by_key(|replies| Reverse(replies.bare));

        let named = found.iter().take(MAX_WITHHELD_HOSTS).map(|replies| {
            let peer = if replies.peer.is_empty() { "others".to_owned() } else { escaped(&replies.peer) };
            format!("{peer} {}", grouped(&replies.bare.to_string()))
        });
        let named: Vec<String> = named.collect();
        if !named.is_empty() {
            let more = found.len() - named.len();
            let more = if more > 0 { format!(" + {more} more") } else { String::new() };
            words.push(format!("{what}: {}{more}", named.join(", ")));
        }
    }
    if agent.unanswered > 0 {
        words.push(format!("cancelled: {}", grouped(&agent.unanswered.to_string())));
    }
    words.join("; ")
}

/// Returns the hosts to which messages were sent without baggage, those with the most messages first.
fn withheld(found: &[WithheldMessages]) -> TableCell {
    let mut entries: Vec<&WithheldMessages> = found.iter().collect();
    entries.sort_by_key(|entry| Reverse(entry.messages));

    let mut hosts = Vec::new();
    for entry in entries.iter().take(MAX_WITHHELD_HOSTS) {
        // An agent counts hosts beyond its limit together, without a name.
        let host = if entry.host.is_empty() { "others".to_owned() } else { escaped(&entry.host) };
        let reason = match entry.reason {
            WithheldReason::NoRoom => " (no room)",
            _ => "",
        };
        hosts.push(format!("{host}{reason} {}", grouped(&entry.messages.to_string())));
    }

    let mut text = hosts.join(", ");
    if entries.len() > MAX_WITHHELD_HOSTS {
        text += &format!(" + {} more", entries.len() - MAX_WITHHELD_HOSTS);
    }
    if text.is_empty() { TableCell::quiet("-") } else { TableCell::warning(text) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn agent(peers: Vec<PeerReplies>, unanswered: u64) -> ListedAgent {
        ListedAgent {
            presence: AgentPresence::Connected,
            process: String::new(),
            host: String::new(),
            pid: 1,
            tracepoints: 0,
            left_out: 0,
            connected_ago: Duration::ZERO,
            last_heard_ago: Duration::ZERO,
            converged: true,

            withheld: Vec::new(),
            peers,
            unanswered,
            losses: ProcessLosses::default(),
            clock_uncertainty_ns: Some(1_000),
            misplaced_rows: 0,
        }
    }

    #[test]
    fn services_without_pivot_are_told_from_replies_that_lost_their_baggage() {
        let replies = |peer: &str, returned, bare| PeerReplies { peer: peer.to_owned(), returned, bare };
        let found =
            agent(vec![replies("db:5432", 0, 7), replies("store:80", 9, 2), replies("fine:80", 5, 0)], 1200);
        assert_eq!(
            calls(&found),
            "without Pivot: db:5432 7; lost the baggage of: store:80 2; cancelled: 1,200"
        );
        assert_eq!(calls(&agent(vec![replies("fine:80", 5, 0)], 0)), "");
    }

    #[test]
    fn agents_with_too_many_tracepoints_say_how_many_are_left_out() {
        let mut agent = agent(Vec::new(), 0);
        agent.tracepoints = 20_000;
        assert_eq!(tracepoints(&agent).text, "20,000");
        agent.left_out = 980_000;
        assert_eq!(tracepoints(&agent).text, "20,000 + 980,000 left out");
    }

    #[test]
    fn a_clock_that_is_in_doubt_says_by_how_much() {
        let mut agent = agent(Vec::new(), 0);
        assert_eq!(clock(&agent), "");
        agent.clock_uncertainty_ns = Some(250_000_000);
        agent.misplaced_rows = 1_300;
        assert_eq!(clock(&agent), "± 250 ms, 1,300 rows at impossible times");
        agent.clock_uncertainty_ns = None;
        assert_eq!(clock(&agent), "1,300 rows at impossible times");
    }

    #[test]
    fn agents_that_hold_baggage_back_say_from_whom() {
        let held =
            |host: &str, reason, messages| WithheldMessages { host: host.to_owned(), reason, messages };
        use WithheldReason::{NoRoom, NotAllowed};
        let all =
            [held("a.example", NotAllowed, 2), held("b.example", NoRoom, 1_200), held("", NotAllowed, 1)];
        assert_eq!(withheld(&all).text, "b.example (no room) 1,200, a.example 2, others 1");
        let more: Vec<_> = (0..5).map(|i| held(&format!("{i}.example"), NotAllowed, 9 - i)).collect();
        assert_eq!(withheld(&more).text, "0.example 9, 1.example 8, 2.example 7 + 2 more");
        assert_eq!(withheld(&[]).text, "-");
    }
}
