//! Commands that show something of the frontend, as lines of text: the same at the prompt, in `-c`
//! and in a pipe.

use super::EXAMPLE;
use super::commands::{BackslashCommand, matches, nearest};
use super::help_topics::{HelpTopic, TOPICS, find};
use super::lists::{self, queries};
use crate::client::FrontendConnection;
use crate::error::CliError;
use crate::table::{Paint, TextStyle, TextTable};
use crate::text::{count, escaped, wrap};

/// What a command shows; none if it is one that only a session can do.
pub(crate) async fn lines(
    connection: &FrontendConnection,
    command: &BackslashCommand,
    columns: usize,
    paint: Paint,
) -> Result<Option<Vec<String>>, CliError> {
    let list = |table: &TextTable, none: &str| match table.len() {
        0 => vec![paint.style(TextStyle::Quiet, none)],
        _ => table.render(columns, paint),
    };
    Ok(Some(match command {
        BackslashCommand::Commands => commands(columns, paint),
        BackslashCommand::Help(None) => language(columns, paint),
        BackslashCommand::Help(Some(word)) => help(word, columns, paint)?,
        BackslashCommand::Queries(None) => match connection.queries().await?.as_slice() {
            [] => vec![paint.style(TextStyle::Quiet, "no query is installed")],
            found => queries::all(found, columns, paint),
        },
        BackslashCommand::Queries(Some(number)) => match connection.query(*number).await? {
            Some(found) => queries::one(&found, columns, paint),
            None => {
                let none = format!("no query {number} is installed; \\dq lists all");
                return Err(CliError::Command(none));
            }
        },
        BackslashCommand::Agents => {
            list(&lists::agents(&connection.agents().await?), "no agent has connected yet")
        }
        BackslashCommand::Tracepoints(glob) => {
            let found = connection.tracepoints().await?;
            let glob = glob.as_deref().unwrap_or("*");
            let shown: Vec<_> = found.iter().filter(|tracepoint| matches(glob, &tracepoint.name)).collect();
            let none = match found.is_empty() {
                true => "no agent exports a tracepoint yet",
                false => "no tracepoint has such a name",
            };
            list(&lists::tracepoints(&shown), none)
        }
        BackslashCommand::Tracepoint(name) => tracepoint(connection, name, columns, paint).await?,
        BackslashCommand::Drop(number) => {
            connection.uninstall(*number).await?;
            vec![paint.style(TextStyle::Quiet, &format!("query {number} is uninstalled"))]
        }
        _ => return Ok(None),
    }))
}

async fn tracepoint(
    connection: &FrontendConnection,
    name: &str,
    columns: usize,
    paint: Paint,
) -> Result<Vec<String>, CliError> {
    let (found, all) = (connection.tracepoints().await?, connection.connected().await?);
    let Some(tracepoint) = found.iter().find(|tracepoint| tracepoint.name == name) else {
        let meant = nearest(name, found.iter().map(|tracepoint| tracepoint.name.as_str()));
        let hint = meant.map_or("\\dt lists all".to_owned(), |meant| format!("did you mean {meant}?"));
        return Err(CliError::Command(format!("no tracepoint {}; {hint}", escaped(name))));
    };
    let about = format!("on {} of {}", tracepoint.agents, count(all as u64, "connected agent"));
    let mut lines = vec![paint.style(TextStyle::Strong, &escaped(&tracepoint.name))];
    lines.extend(wrap(&about, columns).iter().map(|line| paint.style(TextStyle::Quiet, line)));
    let places = tracepoint.places.iter().map(|place| format!("at {place}"));
    lines.extend(
        places.flat_map(|place| wrap(&place, columns)).map(|line| paint.style(TextStyle::Quiet, &line)),
    );
    lines.extend(lists::fields(tracepoint).render(columns, paint));
    Ok(lines)
}

fn commands(columns: usize, paint: Paint) -> Vec<String> {
    let mut lines = lists::commands().render(columns, paint);
    lines.push(String::new());
    lines.extend(wrap("A statement ends with `;`. It is installed and its result shown live:", columns));
    lines.extend(EXAMPLE.lines().map(|line| paint.style(TextStyle::Accent, line)));
    lines.extend(wrap("EXPLAIN before a query shows its plan and advice instead.", columns));
    lines
}

/// An overview of the language.
fn language(columns: usize, paint: Paint) -> Vec<String> {
    let mut table = TextTable::with_headings(&["!word", "syntax"]);
    for topic in TOPICS {
        table.push([topic.names[0].into(), topic.syntax.into()]);
    }
    let mut lines = table.render(columns, paint);
    lines.push(paint.style(TextStyle::Quiet, "\\h and a word shows more and an example"));
    lines
}

fn help(word: &str, columns: usize, paint: Paint) -> Result<Vec<String>, CliError> {
    let all = || TOPICS.iter().flat_map(|topic| topic.names).copied();
    let Some(topic) = find(word) else {
        let hint = match nearest(&word.to_uppercase(), all()) {
            Some(meant) => format!("did you mean {meant}?"),
            None => "\\h lists all".to_owned(),
        };
        return Err(CliError::Command(format!("no help on {}; {hint}", escaped(word))));
    };
    Ok(explained(topic, columns, paint))
}

fn explained(topic: &HelpTopic, columns: usize, paint: Paint) -> Vec<String> {
    let mut lines: Vec<String> =
        wrap(topic.syntax, columns).iter().map(|line| paint.style(TextStyle::Strong, line)).collect();
    lines.extend(wrap(topic.about, columns));
    lines.push(paint.style(TextStyle::Quiet, "for example:"));
    let example = format!("{};", topic.example);
    let lead = if topic.names.contains(&"EXPLAIN") { "EXPLAIN " } else { "" };
    let indented = wrap(&format!("{lead}{example}"), columns.saturating_sub(2));
    lines.extend(indented.iter().map(|line| paint.style(TextStyle::Accent, &format!("  {line}"))));
    lines
}
