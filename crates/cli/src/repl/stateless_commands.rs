//! Backslash commands that need nothing of a session, answered with lines of text: the REPL, `-c` and a pipe share
//! them.

use super::commands::{BackslashCommand, QueryReference};
use super::glob::matches_glob;
use super::help_topics::{EXAMPLE_QUERY, HelpTopic, TOPICS, find};
use super::history;
use super::lists;
use crate::client::FrontendConnection;
use crate::error::CliError;
use crate::frontend_lists::ListedCarriers;
use crate::humanize::count;
use crate::table::{StyleMode, TextRole, TextTable};
use crate::terminal_text::{escaped, wrap};
use pivot_advice::CarrierGlob;
use pivot_query::nearest;
use std::time::{Duration, Instant};

/// How long agents may take to say that carriers hold before they are listed as they are.
const CARRIERS_TIMEOUT: Duration = Duration::from_secs(2);

/// How long to wait before agents are asked again.
const CARRIERS_PAUSE: Duration = Duration::from_millis(50);

/// Returns the lines that answer a command, or `None` if only a session can do the command.
pub(crate) async fn answer(
    connection: &FrontendConnection,
    command: &BackslashCommand,
    columns: usize,
    paint: StyleMode,
) -> Result<Option<Vec<String>>, CliError> {
    let lines = match command {
        BackslashCommand::Commands => all_commands(columns, paint),
        BackslashCommand::Help(None) => all_topics(columns, paint),
        BackslashCommand::Help(Some(word)) => help_on(word, columns, paint)?,

        BackslashCommand::Queries(None) => match connection.queries().await?.as_slice() {
            [] => vec![paint.style(TextRole::Quiet, "no query is installed")],
            found => lists::all_queries(found, columns, paint),
        },
        BackslashCommand::Queries(Some(number)) => match connection.query(*number).await? {
            Some(found) => lists::one_query(&found, columns, paint),
            None => {
                let none = format!("no query {number} is installed; \\dq lists all");
                return Err(CliError::Command(none));
            }
        },

        BackslashCommand::Agents => all_agents(connection, columns, paint).await?,
        BackslashCommand::Tracepoints(glob) => {
            all_tracepoints(connection, glob.as_deref(), columns, paint).await?
        }
        BackslashCommand::Tracepoint(name) => one_tracepoint(connection, name, columns, paint).await?,

        BackslashCommand::Carriers => all_carriers(&connection.carriers().await?, columns, paint),
        BackslashCommand::NameCarriers(globs) => name_carriers(connection, globs, columns, paint).await?,

        BackslashCommand::Drop(number) => {
            connection.uninstall(*number).await?;
            vec![paint.style(TextRole::Quiet, &format!("query {number} is uninstalled"))]
        }

        BackslashCommand::Keep(query) => {
            let number = find_query(connection, query.as_ref()).await?;
            connection.keep(number).await?;
            let stays = format!("query {number} stays when its client has gone; \\drop {number} ends it");
            vec![paint.style(TextRole::Quiet, &stays)]
        }

        BackslashCommand::History => history::all_queries(connection, columns, paint).await?,
        BackslashCommand::ReadHistory(query, since, step) => {
            history::of_query(connection, query, *since, *step, columns, paint).await?
        }
        BackslashCommand::DropHistory(query) => {
            let dropped = history::drop_windows(connection, query).await?;
            vec![paint.style(TextRole::Quiet, &dropped)]
        }

        // All others need a session: its terminal, its parameters or its last statement.
        _ => return Ok(None),
    };
    Ok(Some(lines))
}

/// Returns the number of an installed query; without a reference that of the newest.
async fn find_query(
    connection: &FrontendConnection,
    query: Option<&QueryReference>,
) -> Result<u32, CliError> {
    let queries = connection.queries().await?;
    let found = match query {
        None => queries.last(),
        Some(QueryReference::Number(number)) => queries.iter().find(|query| query.number == *number),
        Some(QueryReference::Name(name)) => queries.iter().find(|query| query.name == *name),
    };

    found.map(|query| query.number).ok_or_else(|| {
        CliError::Command(match query {
            None => "no query is installed".to_owned(),
            Some(QueryReference::Number(number)) => format!("no query {number} is installed; \\dq lists all"),
            Some(QueryReference::Name(name)) => {
                format!("no query named {} is installed; \\dq lists all", escaped(name))
            }
        })
    })
}

/// Returns the lines of a table, or a sentence if the table has no rows.
fn render_list(table: &TextTable, if_empty: &str, columns: usize, paint: StyleMode) -> Vec<String> {
    match table.len() {
        0 => vec![paint.style(TextRole::Quiet, if_empty)],
        _ => table.render(columns, paint),
    }
}

async fn all_agents(
    connection: &FrontendConnection,
    columns: usize,
    paint: StyleMode,
) -> Result<Vec<String>, CliError> {
    let listed = connection.agents_and_store().await?;
    let mut lines = render_list(&lists::agents(&listed.agents), "no agent has connected yet", columns, paint);

    if let Some(problem) = listed.store_problem {
        let problem = format!("the frontend cannot store its state, and shows nothing new: {problem}");
        lines.push(paint.style(TextRole::Warning, &problem));
    }
    Ok(lines)
}

fn all_carriers(found: &ListedCarriers, columns: usize, paint: StyleMode) -> Vec<String> {
    let none = "no span is named here; \\carriers app::*::http_request has such spans begin a request";
    render_list(&lists::carriers(found), none, columns, paint)
}

/// Names carriers, and waits a moment for agents to say that they hold.
async fn name_carriers(
    connection: &FrontendConnection,
    globs: &[CarrierGlob],
    columns: usize,
    paint: StyleMode,
) -> Result<Vec<String>, CliError> {
    let before = connection.set_carriers(globs).await?;

    let until = Instant::now() + CARRIERS_TIMEOUT;
    let mut found = connection.carriers().await?;
    while !found.hold_everywhere() && Instant::now() < until {
        tokio::time::sleep(CARRIERS_PAUSE).await;
        found = connection.carriers().await?;
    }

    let mut lines = all_carriers(&found, columns, paint);
    if !before.is_empty() {
        let before = format!("before: {}", before.join(", "));
        lines.extend(wrap(&before, columns).iter().map(|line| paint.style(TextRole::Quiet, line)));
    }
    Ok(lines)
}

async fn all_tracepoints(
    connection: &FrontendConnection,
    glob: Option<&str>,
    columns: usize,
    paint: StyleMode,
) -> Result<Vec<String>, CliError> {
    let all = connection.tracepoints().await?;
    let glob = glob.unwrap_or("*");
    let matching: Vec<_> = all.iter().filter(|tracepoint| matches_glob(glob, &tracepoint.name)).collect();

    // A glob that matches nothing is another mistake than a system that does not run.
    let if_empty = match all.is_empty() {
        true => "no agent exports a tracepoint yet",
        false => "no tracepoint has such a name",
    };
    Ok(render_list(&lists::tracepoints(&matching), if_empty, columns, paint))
}

async fn one_tracepoint(
    connection: &FrontendConnection,
    name: &str,
    columns: usize,
    paint: StyleMode,
) -> Result<Vec<String>, CliError> {
    let all = connection.tracepoints().await?;
    let connected = connection.connected_agents().await?;
    let Some(tracepoint) = all.iter().find(|tracepoint| tracepoint.name == name) else {
        let hint = match nearest(name, all.iter().map(|tracepoint| tracepoint.name.as_str())) {
            Some(meant) => format!("did you mean {meant}?"),
            None => "\\dt lists all".to_owned(),
        };
        return Err(CliError::Command(format!("no tracepoint {}; {hint}", escaped(name))));
    };

    // Places are paths of a foreign machine: `wrap` escapes them.
    let mut facts =
        vec![format!("on {} of {}", tracepoint.agents, count(connected as u64, "connected agent"))];
    facts.extend(tracepoint.places.iter().map(|place| format!("at {place}")));

    let mut lines = vec![paint.style(TextRole::Strong, &escaped(&tracepoint.name))];
    for line in facts.iter().flat_map(|fact| wrap(fact, columns)) {
        lines.push(paint.style(TextRole::Quiet, &line));
    }
    lines.extend(lists::fields(tracepoint).render(columns, paint));
    Ok(lines)
}

fn all_commands(columns: usize, paint: StyleMode) -> Vec<String> {
    let mut lines = lists::commands().render(columns, paint);
    lines.push(String::new());

    lines.extend(wrap("A statement ends with `;`. It is installed and its result shown live:", columns));
    lines.extend(EXAMPLE_QUERY.lines().map(|line| paint.style(TextRole::Accent, line)));
    lines.extend(wrap("EXPLAIN before a query shows its plan and advice instead.", columns));
    lines
}

/// Returns an overview of the language.
fn all_topics(columns: usize, paint: StyleMode) -> Vec<String> {
    let mut table = TextTable::with_headings(&["!word", "syntax"]);
    for topic in TOPICS {
        table.push([topic.names[0].into(), topic.syntax().into()]);
    }

    let mut lines = table.render(columns, paint);
    lines.push(paint.style(TextRole::Quiet, "\\h and a word shows more and an example"));
    lines
}

fn help_on(word: &str, columns: usize, paint: StyleMode) -> Result<Vec<String>, CliError> {
    if let Some(topic) = find(word) {
        return Ok(topic_lines(topic, columns, paint));
    }

    let names = TOPICS.iter().flat_map(|topic| topic.names).copied();
    let hint = match nearest(&word.to_uppercase(), names) {
        Some(meant) => format!("did you mean {meant}?"),
        None => "\\h lists all".to_owned(),
    };
    Err(CliError::Command(format!("no help on {}; {hint}", escaped(word))))
}

/// Returns syntax, meaning and example of a topic.
fn topic_lines(topic: &HelpTopic, columns: usize, paint: StyleMode) -> Vec<String> {
    let mut lines: Vec<String> =
        wrap(&topic.syntax(), columns).iter().map(|line| paint.style(TextRole::Strong, line)).collect();
    lines.extend(wrap(topic.about, columns));

    lines.push(paint.style(TextRole::Quiet, "for example:"));
    // All examples are queries that a test compiles; EXPLAIN is no part of the query behind it.
    let prefix = if topic.names.contains(&"EXPLAIN") { "EXPLAIN " } else { "" };
    let example = wrap(&format!("{prefix}{};", topic.example), columns.saturating_sub(2));
    lines.extend(example.iter().map(|line| paint.style(TextRole::Accent, &format!("  {line}"))));
    lines
}
