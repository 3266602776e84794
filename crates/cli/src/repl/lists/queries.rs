//! What installed queries cost and how they stand: all of them, and one with its agents.

use crate::table::{Paint, TableCell, TextStyle, TextTable};
use crate::text::{age, bytes, count, cut, duration, escaped, grouped, wrap};
use pivot_protocol::wire::{self, query_status::State};

/// From so many columns on, a query's text stands beside its figures and not below them.
const WIDE: usize = 140;

/// What something cost, per second of so many nanoseconds.
struct CostRates {
    cost: wire::Cost,
    seconds: f64,
}

impl CostRates {
    fn per_second(&self, number: u64) -> f64 {
        number as f64 / self.seconds
    }

    /// Events a second, time for each, part of a core, bytes packed a second.
    fn cells(&self) -> [TableCell; 4] {
        let wire::Cost { events, busy_ns, packed_bytes, .. } = self.cost;
        // Few events may all have gone untimed.
        let each = busy_ns.checked_div(events).filter(|ns| *ns > 0);
        let each = each.map(|ns| duration(i64::try_from(ns).unwrap_or(i64::MAX)));
        [
            rate(self.per_second(events)).into(),
            each.unwrap_or_else(|| "-".into()).into(),
            percent(self.per_second(busy_ns) / 1e9).into(),
            if packed_bytes == 0 { quiet("-") } else { bytes(self.per_second(packed_bytes)).into() },
        ]
    }
}

fn rate(per_second: f64) -> String {
    match per_second {
        0.0 => "0".to_owned(),
        x if x < 9.95 => format!("{x:.1}"),
        x => grouped(&format!("{x:.0}")),
    }
}

fn percent(fraction: f64) -> String {
    match fraction * 100.0 {
        0.0 => "0 %".to_owned(),
        x if x < 0.01 => "<0.01 %".to_owned(),
        x => format!("{x:.2} %"),
    }
}

/// All queries: a line of figures each, and its text.
pub(crate) fn all(found: &[wire::Query], columns: usize, paint: Paint) -> Vec<String> {
    let wide = columns >= WIDE;
    let mut headings =
        vec![">#", "!name", "!state", ">events/s", ">each", ">core", ">packed/s", ">groups", ">lost"];
    headings.extend(if wide { &["!age", "text"][..] } else { &[] });
    let mut table = TextTable::with_headings(&headings);
    for query in found {
        let mut row = figures(query);
        if wide {
            row.extend([quiet(&age(query.installed_ns)), quiet(&line(&query.text))]);
        }
        table.push(row);
    }
    let lines = table.render(columns, paint);
    if wide {
        return lines;
    }
    let (headings, rows) = lines.split_at(2);
    let texts = found.iter().map(|query| paint.style(TextStyle::Quiet, &cut(&text_of(query), columns)));
    let rows = rows.iter().cloned().zip(texts).flat_map(<[String; 2]>::from);
    headings.iter().cloned().chain(rows).collect()
}

fn text_of(query: &wire::Query) -> String {
    format!("{}  {}", " ".repeat(query.number.to_string().len()), line(&query.text))
}

fn line(text: &str) -> String {
    escaped(&text.split_whitespace().collect::<Vec<_>>().join(" "))
}

fn figures(query: &wire::Query) -> Vec<TableCell> {
    let mut cost = wire::Cost::default();
    for recent in query.agents.iter().filter_map(|agent| agent.recent) {
        cost.events += recent.events;
        cost.busy_ns = cost.busy_ns.saturating_add(recent.busy_ns);
        cost.packed_bytes = cost.packed_bytes.saturating_add(recent.packed_bytes);
    }
    let name = if query.name.is_empty() { quiet("-") } else { escaped(&query.name).into() };
    let mut row = vec![query.number.to_string().into(), name, state(query)];
    row.extend(CostRates { cost, seconds: seconds(query) }.cells());
    row.push(grouped(&query.groups.to_string()).into());
    row.push(lost(query.loss.unwrap_or_default()));
    row
}

fn seconds(query: &wire::Query) -> f64 {
    query.recent_ns.max(1) as f64 / 1e9
}

/// How bad a state is. An agent that has none of the tracepoints says nothing of the query.
fn badness(state: State) -> u8 {
    match state {
        State::Unspecified | State::Pending => 0,
        State::Active => 1,
        State::Throttled => 2,
        State::Disabled => 3,
        State::Problem => 4,
        State::Quarantined => 5,
    }
}

fn word(state: State) -> &'static str {
    match state {
        State::Unspecified => "-",
        State::Pending => "pending",
        State::Active => "active",
        State::Throttled => "throttled",
        State::Disabled => "disabled",
        State::Problem => "problem",
        State::Quarantined => "quarantined",
    }
}

fn state_of(agent: &wire::AgentStatus) -> State {
    agent.status.as_ref().map_or(State::Unspecified, wire::QueryStatus::state)
}

fn style(state: State) -> TextStyle {
    match state {
        State::Active => TextStyle::Normal,
        State::Unspecified | State::Pending => TextStyle::Quiet,
        State::Throttled | State::Disabled => TextStyle::Warning,
        State::Problem | State::Quarantined => TextStyle::Error,
    }
}

/// The worst state, and on how many of the agents that have its tracepoints.
fn state(query: &wire::Query) -> TableCell {
    let concerned: Vec<State> = query.agents.iter().map(state_of).filter(|s| badness(*s) > 0).collect();
    let Some(worst) = concerned.iter().copied().max_by_key(|state| badness(*state)) else {
        let word = if query.agents.is_empty() { "no agent" } else { "pending" };
        return TableCell { text: word.into(), style: TextStyle::Warning };
    };
    let many = concerned.iter().filter(|state| **state == worst).count();
    let text = match many == concerned.len() {
        true => word(worst).to_owned(),
        false => format!("{} {many}/{}", word(worst), concerned.len()),
    };
    TableCell { text, style: style(worst) }
}

/// How many rows, tuples and events are missing, those included that a sample was scaled for.
fn lost(loss: wire::Loss) -> TableCell {
    let counted = [loss.dropped, loss.errors, loss.truncated, loss.outside_request, loss.uncertain];
    let counted = counted.into_iter().chain([loss.held_back]);
    match counted.fold(loss.throttled, u64::saturating_add) {
        0 => quiet("-"),
        lost => TableCell { text: grouped(&lost.to_string()), style: TextStyle::Warning },
    }
}

/// One query: its text, what is wrong, and what it costs each agent.
pub(crate) fn one(query: &wire::Query, columns: usize, paint: Paint) -> Vec<String> {
    let title = match query.name.as_str() {
        "" => format!("query {}", query.number),
        name => format!("query {}, {}", query.number, escaped(name)),
    };
    let facts = format!(
        "installed {} ago, {}, {}, {}",
        age(query.installed_ns),
        count(query.rows_emitted, "row"),
        count(query.groups, "group"),
        count(query.readers.into(), "reader")
    );
    let mut lines = vec![paint.style(TextStyle::Strong, &cut(&title, columns))];
    let mut say = |style, text: &str| lines.extend(wrap(text, columns).iter().map(|l| paint.style(style, l)));
    say(TextStyle::Quiet, &query.text);
    say(TextStyle::Normal, &facts);
    query.pending.iter().for_each(|name| say(TextStyle::Warning, &format!("no agent exports {name}")));
    let problem =
        |found: &wire::AgentProblem| format!("{}: {}: {}", found.agent, found.tracepoint, found.message);
    query.problems.iter().for_each(|found| say(TextStyle::Error, &problem(found)));
    say(TextStyle::Warning, &missing(query.loss.unwrap_or_default()));
    if query.agents.is_empty() {
        say(TextStyle::Quiet, "no agent is connected");
        return lines;
    }
    lines.push(String::new());
    lines.extend(agents(query, columns, paint));
    lines
}

fn missing(loss: wire::Loss) -> String {
    let completeness = wire::Completeness { loss: Some(loss), ..Default::default() };
    let words = crate::result_frame::FrameCompleteness::from_wire(Some(completeness)).missing();
    if words.is_empty() { words } else { format!("missing since install: {words}") }
}

/// The agents, those first that something is wrong with, then those that it costs most. Why something is
/// wrong stands beside the figures, or below them.
fn agents(query: &wire::Query, columns: usize, paint: Paint) -> Vec<String> {
    let wide = columns >= WIDE;
    let mut headings =
        vec!["!agent", "!state", ">events/s", ">each", ">core", ">packed/s", ">groups", ">lost"];
    headings.extend(wide.then_some("why"));
    let mut table = TextTable::with_headings(&headings);
    let mut agents: Vec<&wire::AgentStatus> = query.agents.iter().collect();
    let busy = |agent: &wire::AgentStatus| agent.recent.unwrap_or_default().busy_ns;
    agents.sort_by_key(|agent| std::cmp::Reverse((badness(state_of(agent)), busy(agent))));
    let why = |agent: &wire::AgentStatus| escaped(agent.status.as_ref().map_or("", |status| &status.detail));
    for agent in &agents {
        let state = state_of(agent);
        let rates = CostRates { cost: agent.recent.unwrap_or_default(), seconds: seconds(query) };
        let name = if wide { agent.agent.as_str() } else { without_pid(&agent.agent) };
        let mut row = vec![escaped(name).into(), TableCell { text: word(state).into(), style: style(state) }];
        row.extend(rates.cells());
        row.push(grouped(&agent.groups.to_string()).into());
        row.push(lost(agent.loss.unwrap_or_default()));
        row.extend(wide.then(|| quiet(&why(agent))));
        table.push(row);
    }
    let lines = table.render(columns, paint);
    if wide {
        return lines;
    }
    let (headings, rows) = lines.split_at(2);
    let below = agents.iter().map(|agent| Some(why(agent)).filter(|why| !why.is_empty()));
    let below =
        below.map(|why| why.map(|why| paint.style(TextStyle::Quiet, &cut(&format!("  {why}"), columns))));
    let rows = rows.iter().cloned().zip(below).flat_map(|(row, below)| std::iter::once(row).chain(below));
    headings.iter().cloned().chain(rows).collect()
}

/// `process@host` of `process@host:pid`.
fn without_pid(agent: &str) -> &str {
    agent.rsplit_once(':').map_or(agent, |(name, _)| name)
}

fn quiet(text: &str) -> TableCell {
    TableCell { text: text.to_owned(), style: TextStyle::Quiet }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::text::width;

    fn agent(name: &str, state: State, events: u64, detail: &str) -> wire::AgentStatus {
        let status = wire::QueryStatus { state: state.into(), keep: 1.0, detail: detail.into(), query: None };
        let recent = wire::Cost { events, busy_ns: events * 350, packed: events, packed_bytes: events * 14 };
        let loss =
            wire::Loss { throttled: if state == State::Throttled { 4_000 } else { 0 }, ..Default::default() };
        wire::AgentStatus {
            agent: name.into(),
            status: Some(status),
            recent: Some(recent),
            loss: Some(loss),
            groups: 4,
            ..Default::default()
        }
    }

    fn query() -> wire::Query {
        wire::Query {
            number: 3,
            name: "q2".into(),
            text: "FROM incr IN DataNodeMetrics.incrBytesRead\n  GROUP BY incr.host SELECT COUNT".into(),
            agents: vec![
                agent("get@client-1:4001", State::Pending, 0, "this process has none of its tracepoints"),
                agent("datanode@dn-1:4002", State::Active, 90_000, ""),
                agent("datanode@dn-2:4003", State::Throttled, 180_000, "looks at one request in 12"),
            ],
            rows_emitted: 1_234,
            groups: 4,
            recent_ns: 10_000_000_000,
            loss: Some(wire::Loss { throttled: 4_000, ..Default::default() }),
            ..Default::default()
        }
    }

    #[test]
    fn each_query_has_a_line_of_figures_and_its_text_wherever_there_is_room() {
        let narrow = all(&[query()], 80, Paint::Plain);
        assert_eq!(narrow.len(), 4, "{narrow:#?}");
        assert_eq!(narrow[2], "3  q2    throttled 1/2    27,000  350 ns  0.95 %   369 KiB       4  4,000");
        assert_eq!(
            narrow[3],
            "   FROM incr IN DataNodeMetrics.incrBytesRead GROUP BY incr.host SELECT COUNT"
        );
        let wide = all(&[query()], 160, Paint::Plain);
        assert_eq!(wide.len(), 3, "{wide:#?}");
        assert!(wide[2].contains("FROM incr IN DataNode"), "{wide:#?}");
        assert!(narrow.iter().all(|line| width(line) <= 80) && wide.iter().all(|line| width(line) <= 160));
    }

    #[test]
    fn one_query_shows_its_agents_those_with_trouble_first() {
        for columns in [40, 80, 160] {
            let lines = one(&query(), columns, Paint::Plain);
            assert!(lines.iter().all(|line| width(line) <= columns), "{lines:#?}");
            let place = |text: &str| lines.iter().position(|line| line.contains(text));
            assert!(place("throttled").is_some() && place("throttled") < place("active"), "{lines:#?}");
        }
        let lines = one(&query(), 80, Paint::Plain);
        let place = lines.iter().position(|line| line == "  looks at one request in 12").unwrap();
        assert_eq!(
            lines[place - 1],
            "datanode@dn-2  throttled    18,000  350 ns  0.63 %   246 KiB       4  4,000"
        );
        let lines = one(&query(), 160, Paint::Plain);
        assert!(lines.iter().any(|line| line.ends_with("looks at one request in 12")), "{lines:#?}");
        assert!(
            lines.iter().any(|line| line == "missing since install: 4,000 events throttled"),
            "{lines:#?}"
        );
    }

    #[test]
    fn the_worst_state_is_shown_with_how_many_have_it() {
        let with = |states: &[State]| {
            let agents = states.iter().map(|state| agent("a", *state, 1, "")).collect();
            state(&wire::Query { agents, ..Default::default() }).text
        };
        assert_eq!(with(&[]), "no agent");
        assert_eq!(with(&[State::Pending]), "pending");
        assert_eq!(with(&[State::Pending, State::Active, State::Active]), "active");
        assert_eq!(with(&[State::Throttled, State::Quarantined]), "quarantined 1/2");
    }

    #[test]
    fn figures_are_short() {
        assert_eq!([0.0, 0.25, 9.96, 1_234.4].map(rate), ["0", "0.2", "10", "1,234"]);
        assert_eq!([0.0, 0.000_05, 0.004_2, 1.5].map(percent), ["0 %", "<0.01 %", "0.42 %", "150.00 %"]);
    }
}
