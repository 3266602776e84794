//! What installed queries cost and how they stand: all of them (`\dq`), and one with its agents (`\dq n`).
//!
//! ```text
//! #  name  state          events/s    each    core  packed/s  groups   lost
//! ─  ────  ─────────────  ────────  ──────  ──────  ────────  ──────  ─────
//! 3  q2    throttled 1/2    27,000  350 ns  0.95 %   369 KiB       4  4,000
//!    FROM incr IN DataNodeMetrics.incrBytesRead GROUP BY incr.host SELECT COUNT
//! ```

use crate::frontend_lists::{ListedQuery, QueryOnAgent};
use crate::humanize::{bytes, count, duration, elapsed, grouped};
use crate::outside_notices::outside_notices;
use crate::query_owner::{owner, owner_line, stay};
use crate::result_frame::FrameCompleteness;
use crate::ruled_out::ruled_out;
use crate::table::{StyleMode, TableCell, TextRole, TextTable};
use crate::terminal_text::{cut, escaped, wrap};
use pivot_advice::{LossCounts, LossUnit, QueryCost, QueryState, held_back_remark};
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// From this width on, texts stand in a column of their own, and else in a line below the figures.
const WIDE_COLUMNS: usize = 140;

/// The cost of a query per second, in one process or in all together.
#[derive(Debug, Default)]
struct CostRates {
    events: f64,
    busy_ns: f64,
    packed_bytes: f64,
}

impl CostRates {
    /// Returns the rates in one process, in the time in which the query was woven there.
    fn of_agent(agent: &QueryOnAgent) -> CostRates {
        let QueryCost { events, busy_ns, packed_bytes, .. } = agent.recent;
        let seconds = agent.recent_ns.max(1) as f64 / 1e9;
        CostRates {
            events: events as f64 / seconds,
            busy_ns: busy_ns as f64 / seconds,
            packed_bytes: packed_bytes as f64 / seconds,
        }
    }

    /// Adds the rates in another process.
    fn add(&mut self, other: &CostRates) {
        self.events += other.events;
        self.busy_ns += other.busy_ns;
        self.packed_bytes += other.packed_bytes;
    }

    /// Returns events a second, time for each event, share of a core, and bytes packed a second.
    fn cells(&self) -> [TableCell; 4] {
        // Agents time only some events, so a few events may have taken no time at all.
        let time_per_event = match self.busy_ns / self.events {
            ns if ns >= 1.0 => duration(ns as i64),
            _ => "-".to_owned(),
        };
        let packed = match self.packed_bytes {
            0.0 => TableCell::quiet("-"),
            packed_bytes => bytes(packed_bytes).into(),
        };

        [rate(self.events).into(), time_per_event.into(), percent(self.busy_ns / 1e9).into(), packed]
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

/// Returns all queries: for each a line of figures, and its text beside or below that.
pub(in crate::repl) fn all_queries(found: &[ListedQuery], columns: usize, paint: StyleMode) -> Vec<String> {
    let is_wide = columns >= WIDE_COLUMNS;
    let mut headings =
        vec![">#", "!name", "!state", ">events/s", ">each", ">core", ">packed/s", ">groups", ">lost"];
    if is_wide {
        headings.extend(["!age", "!owner", "!until", "text"]);
    }

    let mut table = TextTable::with_headings(&headings);
    for query in found {
        let mut row = query_figures(query);
        if is_wide {
            row.push(TableCell::quiet(elapsed(query.installed_ago)));
            row.extend([TableCell::quiet(owner(query)), TableCell::quiet(stay(query))]);
            row.push(TableCell::quiet(one_line(&query.text)));
        }
        table.push(row);
    }

    let lines = table.render(columns, paint);
    if is_wide {
        return lines;
    }
    // Below the figures text and owner begin where the name does.
    let remarks = found.iter().map(|query| {
        let indent = " ".repeat(query.number.to_string().len());
        [one_line(&query.text), owner_line(query)].map(|remark| format!("{indent}  {remark}")).to_vec()
    });
    with_remarks(&lines, remarks, columns, paint)
}

/// Returns the lines of a table with the remarks of each row below it.
fn with_remarks(
    table_lines: &[String],
    remarks: impl Iterator<Item = Vec<String>>,
    columns: usize,
    paint: StyleMode,
) -> Vec<String> {
    // Headings and the rule below them have no remarks.
    let (headings, rows) = table_lines.split_at(2);
    let mut lines = headings.to_vec();

    for (row, remarks) in rows.iter().zip(remarks) {
        lines.push(row.clone());
        lines.extend(remarks.iter().map(|remark| paint.style(TextRole::Quiet, &cut(remark, columns))));
    }
    lines
}

fn one_line(text: &str) -> String {
    escaped(&text.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// Returns number, name, worst state, cost in all processes together, groups and losses.
fn query_figures(query: &ListedQuery) -> Vec<TableCell> {
    let mut rates = CostRates::default();
    query.agents.iter().for_each(|agent| rates.add(&CostRates::of_agent(agent)));

    let name = if query.name.is_empty() { TableCell::quiet("-") } else { escaped(&query.name).into() };
    let mut row = vec![query.number.to_string().into(), name, worst_state(query)];
    row.extend(rates.cells());
    row.push(grouped(&query.groups.to_string()).into());
    row.push(lost(&query.loss));
    row
}

/// Returns how bad a state is, from 0. An agent without any of the tracepoints says nothing about the query.
fn badness(state: Option<QueryState>) -> u8 {
    match state {
        None | Some(QueryState::Pending) => 0,
        Some(QueryState::RuledOut) => 1,
        Some(QueryState::Active) => 2,
        Some(QueryState::Throttled) => 3,
        Some(QueryState::Disabled) => 4,
        Some(QueryState::Problem) => 5,
        Some(QueryState::Quarantined) => 6,
    }
}

fn state_word(state: Option<QueryState>) -> &'static str {
    match state {
        None => "-",
        Some(QueryState::Pending) => "pending",
        Some(QueryState::RuledOut) => "ruled out",
        Some(QueryState::Active) => "active",
        Some(QueryState::Throttled) => "throttled",
        Some(QueryState::Disabled) => "disabled",
        Some(QueryState::Problem) => "problem",
        Some(QueryState::Quarantined) => "quarantined",
    }
}

fn state_style(state: Option<QueryState>) -> TextRole {
    match state {
        Some(QueryState::Active) => TextRole::Normal,
        None | Some(QueryState::Pending | QueryState::RuledOut) => TextRole::Quiet,
        Some(QueryState::Throttled | QueryState::Disabled) => TextRole::Warning,
        Some(QueryState::Problem | QueryState::Quarantined) => TextRole::Error,
    }
}

/// Returns the worst state, and on how many of the agents that have the query's tracepoints if not on all of them.
fn worst_state(query: &ListedQuery) -> TableCell {
    let states: Vec<Option<QueryState>> =
        query.agents.iter().map(|agent| agent.state).filter(|state| badness(*state) > 0).collect();
    let Some(worst) = states.iter().copied().max_by_key(|state| badness(*state)) else {
        return TableCell::warning(if query.agents.is_empty() { "no agent" } else { "pending" });
    };

    let with_worst = states.iter().filter(|state| **state == worst).count();
    let text = if with_worst == states.len() {
        state_word(worst).to_owned()
    } else {
        format!("{} {with_worst}/{}", state_word(worst), states.len())
    };
    TableCell { text, style: state_style(worst) }
}

/// Returns how many rows, tuples, messages and events are missing, those for which a sample was scaled included.
fn lost(loss: &LossCounts) -> TableCell {
    let mut lost: u64 = 0;
    for (kind, amount) in loss.by_kind() {
        match kind.unit {
            LossUnit::Counted(..) => lost = lost.saturating_add(amount),
            // A time in which the query was away is no number of anything.
            LossUnit::Nanoseconds(_) => {}
            // Rows that are there are not lost.
            LossUnit::Noted(..) => {}
        }
    }

    if lost == 0 { TableCell::quiet("-") } else { TableCell::warning(grouped(&lost.to_string())) }
}

/// Returns one query: its text, what is wrong, and what it costs each agent.
pub(in crate::repl) fn one_query(query: &ListedQuery, columns: usize, paint: StyleMode) -> Vec<String> {
    let title = match query.name.as_str() {
        "" => format!("query {}", query.number),
        name => format!("query {}, {}", query.number, escaped(name)),
    };
    let mut lines = vec![paint.style(TextRole::Strong, &cut(&title, columns))];

    // An empty remark wraps to no line.
    for (style, text) in query_remarks(query) {
        lines.extend(wrap(&text, columns).iter().map(|line| paint.style(style, line)));
    }
    if !query.agents.is_empty() {
        lines.push(String::new());
        lines.extend(agent_lines(query, columns, paint));
    }
    lines
}

/// Returns what there is to say about a query, each with its style.
fn query_remarks(query: &ListedQuery) -> Vec<(TextRole, String)> {
    let facts = format!(
        "installed {} ago, {}, {}, {}",
        elapsed(query.installed_ago),
        count(query.rows_emitted, "row"),
        count(query.groups, "group"),
        count(query.readers.into(), "reader")
    );
    let mut remarks = vec![(TextRole::Quiet, query.text.clone()), (TextRole::Normal, facts)];
    remarks.push((TextRole::Normal, owner_line(query)));

    remarks.extend(budget_remarks(query));
    for name in &query.pending {
        remarks.push((TextRole::Warning, format!("no agent exports {name}")));
    }
    remarks.extend(ruled_out(query).into_iter().map(|text| (TextRole::Normal, text)));
    for problem in &query.problems {
        let text = format!("{}: {}: {}", problem.agent, problem.tracepoint, problem.message);
        remarks.push((TextRole::Error, text));
    }
    // Empty if nothing is missing, or to be known.
    remarks.push((TextRole::Warning, missing(query.loss)));
    remarks.push((TextRole::Normal, FrameCompleteness { loss: query.loss, ..Default::default() }.notes()));
    let notices = outside_notices(&query.loss, &query.outside);
    if !notices.is_empty() {
        remarks.extend(notices.into_iter().map(|notice| (TextRole::Warning, notice)));
        let help = "\\carriers has a span begin a request; pivot::spawn and pivot::Traced take one along";
        remarks.push((TextRole::Quiet, help.to_owned()));
    }
    if query.packed == 0 && query.loss.outside_request > 0 {
        let text =
            "the join cannot match: no event packed a tuple in a request, all of them ran outside of any";
        remarks.push((TextRole::Warning, text.to_owned()));
    }
    for host in &query.held_back_for {
        remarks.push((TextRole::Warning, held_back_remark(&escaped(host))));
    }
    for peer in &query.unreturned_from {
        let peer = escaped(peer);
        let text = format!("replies of {peer} lose their baggage on the way: something removes our header");
        remarks.push((TextRole::Warning, text));
    }
    if query.agents.is_empty() {
        remarks.push((TextRole::Quiet, "no agent is connected".to_owned()));
    }
    remarks
}

/// Returns what a query asks for with `WITHIN`, and what its agents grant if that is anything else.
fn budget_remarks(query: &ListedQuery) -> Vec<(TextRole, String)> {
    let asked = query.asked;
    if asked.is_empty() {
        return Vec::new();
    }

    let mut agents_by_grant: BTreeMap<String, u64> = BTreeMap::new();
    let mut too_old = 0;
    for agent in query.agents.iter().filter(|agent| agent.state.is_some()) {
        match agent.granted {
            Some(granted) if granted == asked => {}
            Some(granted) => *agents_by_grant.entry(granted.to_string()).or_default() += 1,
            None => too_old += 1,
        }
    }

    let mut remarks = vec![(TextRole::Normal, format!("asks for {asked}"))];
    for (granted, agents) in agents_by_grant {
        let agents = count(agents, "agent");
        let text = format!("granted {granted} by {agents}: PIVOT_WITHIN_MAX allows no more there");
        remarks.push((TextRole::Warning, text));
    }
    if too_old > 0 {
        let agents = count(too_old, "agent");
        remarks.push((TextRole::Warning, format!("not limited by {agents}, too old to know WITHIN")));
    }
    remarks
}

/// Returns what is missing since install in words, empty if nothing is.
fn missing(loss: LossCounts) -> String {
    match (FrameCompleteness { loss, ..FrameCompleteness::default() }).missing() {
        words if words.is_empty() => words,
        words => format!("missing since install: {words}"),
    }
}

/// Returns the agents: first those on which something is wrong, then those that the query costs most. The reason
/// stands beside the figures or below them.
fn agent_lines(query: &ListedQuery, columns: usize, paint: StyleMode) -> Vec<String> {
    let is_wide = columns >= WIDE_COLUMNS;
    let mut headings =
        vec!["!agent", "!state", ">events/s", ">each", ">core", ">packed/s", ">groups", ">lost"];
    headings.extend(is_wide.then_some("why"));

    let mut agents: Vec<&QueryOnAgent> = query.agents.iter().collect();
    agents.sort_by_key(|agent| Reverse((badness(agent.state), agent.recent.busy_ns)));

    let mut table = TextTable::with_headings(&headings);
    for agent in &agents {
        let state = agent.state;
        let rates = CostRates::of_agent(agent);
        // Where room is scarce, host and process tell agents apart well enough.
        let name = if is_wide { agent.agent.as_str() } else { without_pid(&agent.agent) };

        let mut row = vec![
            escaped(name).into(),
            TableCell { text: state_word(state).into(), style: state_style(state) },
        ];
        row.extend(rates.cells());
        row.push(grouped(&agent.groups.to_string()).into());
        row.push(lost(&agent.loss));
        row.extend(is_wide.then(|| TableCell::quiet(reason(agent))));
        table.push(row);
    }

    let lines = table.render(columns, paint);
    if is_wide {
        return lines;
    }
    let reasons = agents.iter().map(|agent| match reason(agent) {
        reason if reason.is_empty() => Vec::new(),
        reason => vec![format!("  {reason}")],
    });
    with_remarks(&lines, reasons, columns, paint)
}

/// Returns why the query stands as it does on an agent, empty if nothing is to be said.
fn reason(agent: &QueryOnAgent) -> String {
    escaped(&agent.detail)
}

/// Returns `process@host` of `process@host:pid`.
fn without_pid(agent: &str) -> &str {
    agent.rsplit_once(':').map_or(agent, |(name, _)| name)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::terminal_text::width;
    use pivot_advice::{QueryBudget, RuledOutTracepoints};

    fn agent(name: &str, state: QueryState, events: u64, detail: &str) -> QueryOnAgent {
        let recent = QueryCost {
            events,
            busy_ns: events * 350,
            longest_ns: 0,
            packed: events,
            packed_bytes: events * 14,
        };
        let loss = LossCounts {
            throttled: if state == QueryState::Throttled { 4_000 } else { 0 },
            ..Default::default()
        };
        QueryOnAgent {
            agent: name.into(),
            state: Some(state),
            detail: detail.into(),
            granted: None,
            recent,
            recent_ns: 10_000_000_000,
            loss,
            groups: 4,
            ruled_out: vec![],
        }
    }

    fn query() -> ListedQuery {
        ListedQuery {
            number: 3,
            name: "q2".into(),
            text: "FROM incr IN DataNodeMetrics.incrBytesRead\n  GROUP BY incr.host SELECT COUNT".into(),
            agents: vec![
                agent(
                    "get@client-1:4001",
                    QueryState::Pending,
                    0,
                    "this process has none of its tracepoints",
                ),
                agent("datanode@dn-1:4002", QueryState::Active, 90_000, ""),
                agent("datanode@dn-2:4003", QueryState::Throttled, 180_000, "looks at one request in 12"),
            ],
            rows_emitted: 1_234,
            groups: 4,
            loss: LossCounts { throttled: 4_000, ..Default::default() },
            owner: "ada@dev (repl, pid 7)".into(),
            ..Default::default()
        }
    }

    #[test]
    fn each_query_has_a_line_of_figures_and_its_text_wherever_there_is_room() {
        let narrow = all_queries(&[query()], 80, StyleMode::Plain);
        assert_eq!(narrow.len(), 5, "{narrow:#?}");
        assert_eq!(narrow[2], "3  q2    throttled 1/2    27,000  350 ns  0.95 %   369 KiB       4  4,000");
        assert_eq!(
            narrow[3],
            "   FROM incr IN DataNodeMetrics.incrBytesRead GROUP BY incr.host SELECT COUNT"
        );
        assert_eq!(narrow[4], "   ada@dev (repl, pid 7), stays");
        let wide = all_queries(&[query()], 160, StyleMode::Plain);
        assert_eq!(wide.len(), 3, "{wide:#?}");
        assert!(wide[2].contains("ada@dev (repl, pid 7)  stays"), "{wide:#?}");
        assert!(wide[2].contains("FROM incr IN DataNode"), "{wide:#?}");
        assert!(narrow.iter().all(|line| width(line) <= 80) && wide.iter().all(|line| width(line) <= 160));
    }

    #[test]
    fn rates_are_of_the_time_in_which_the_query_was_woven_in_each_process() {
        let mut query = query();
        query.agents[1].recent_ns = 1_000_000_000;
        let lines = all_queries(&[query.clone()], 80, StyleMode::Plain);
        assert!(lines[2].contains("  108,000  350 ns  3.78 %"), "{lines:#?}");
        let lines = one_query(&query, 80, StyleMode::Plain);
        assert!(lines.iter().any(|line| line.contains("active       90,000  350 ns  3.15 %")), "{lines:#?}");
    }

    #[test]
    fn one_query_shows_its_agents_those_with_trouble_first() {
        for columns in [40, 80, 160] {
            let lines = one_query(&query(), columns, StyleMode::Plain);
            assert!(lines.iter().all(|line| width(line) <= columns), "{lines:#?}");
            let place = |text: &str| lines.iter().position(|line| line.contains(text));
            assert!(place("throttled").is_some() && place("throttled") < place("active"), "{lines:#?}");
        }
        let lines = one_query(&query(), 80, StyleMode::Plain);
        let place = lines.iter().position(|line| line == "  looks at one request in 12").unwrap();
        assert_eq!(
            lines[place - 1],
            "datanode@dn-2  throttled    18,000  350 ns  0.63 %   246 KiB       4  4,000"
        );
        let lines = one_query(&query(), 160, StyleMode::Plain);
        assert!(lines.iter().any(|line| line.ends_with("looks at one request in 12")), "{lines:#?}");
        assert!(
            lines.iter().any(|line| line == "missing since install: 4,000 events throttled"),
            "{lines:#?}"
        );
    }

    #[test]
    fn the_worst_state_is_shown_with_how_many_have_it() {
        let with = |states: &[QueryState]| {
            let agents = states.iter().map(|state| agent("a", *state, 1, "")).collect();
            worst_state(&ListedQuery { agents, ..Default::default() }).text
        };
        assert_eq!(with(&[]), "no agent");
        assert_eq!(with(&[QueryState::Pending]), "pending");
        assert_eq!(with(&[QueryState::Pending, QueryState::Active, QueryState::Active]), "active");
        assert_eq!(with(&[QueryState::Throttled, QueryState::Quarantined]), "quarantined 1/2");
    }

    #[test]
    fn where_constants_rule_it_out_there_is_nothing_to_worry_about() {
        let ruled_out = RuledOutTracepoints {
            condition: "process = 'nobody'".into(),
            values: vec!["datanode".into()],
            ..Default::default()
        };
        let mut out = agent("datanode@dn-1:4002", QueryState::RuledOut, 0, "");
        out.ruled_out = vec![ruled_out];
        let active = agent("datanode@dn-2:4003", QueryState::Active, 0, "");
        let shown = |agents| worst_state(&ListedQuery { agents, ..Default::default() }).text;
        assert_eq!(shown(vec![out.clone()]), "ruled out");
        assert_eq!(shown(vec![out.clone(), active]), "active 1/2");
        let lines = one_query(&ListedQuery { agents: vec![out], ..query() }, 120, StyleMode::Plain);
        let expected = "ruled out in 1 of 1 agent: process = 'nobody'; there is: datanode";
        assert!(lines.iter().any(|line| line == expected), "{lines:#?}");
    }

    #[test]
    fn figures_are_short() {
        assert_eq!([0.0, 0.25, 9.96, 1_234.4].map(rate), ["0", "0.2", "10", "1,234"]);
        assert_eq!([0.0, 0.000_05, 0.004_2, 1.5].map(percent), ["0 %", "<0.01 %", "0.42 %", "150.00 %"]);
    }

    #[test]
    fn a_query_shows_what_it_asks_for_and_which_agents_grant_less() {
        let budget = |groups| QueryBudget { groups: Some(groups), ..Default::default() };
        let granting = |granted| QueryOnAgent { granted, ..agent("reader@h:1", QueryState::Active, 1, "") };
        let remarks = |agents: Vec<QueryOnAgent>| -> Vec<String> {
            let query = ListedQuery { asked: budget(5_000), agents, ..query() };
            budget_remarks(&query).into_iter().map(|(_, text)| text).collect()
        };

        assert!(budget_remarks(&query()).is_empty());
        assert_eq!(remarks(vec![granting(Some(budget(5_000)))]), ["asks for groups 5000"]);
        assert_eq!(
            remarks(vec![granting(Some(budget(1_000))), granting(None), granting(Some(budget(1_000)))]),
            [
                "asks for groups 5000",
                "granted groups 1000 by 2 agents: PIVOT_WITHIN_MAX allows no more there",
                "not limited by 1 agent, too old to know WITHIN",
            ]
        );
    }
}
