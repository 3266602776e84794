//! `\\history`: windows that have closed, of which queries they are, and what they add up to.

use super::commands::QueryReference;
use super::lists;
use crate::arguments::OutputFormat;
use crate::client::FrontendConnection;
use crate::error::CliError;
use crate::format::choose_writer;
use crate::frontend_lists::{ListedHistory, ListedHistoryQuery};
use crate::humanize;
use crate::table::{StyleMode, TextRole};
use crate::terminal_text::{escaped, wrap};
use std::time::Duration;

/// Returns the list of all queries of which windows are kept.
pub(super) async fn all_queries(
    connection: &FrontendConnection,
    columns: usize,
    paint: StyleMode,
) -> Result<Vec<String>, CliError> {
    let listed = connection.history().await?;
    let mut lines = match listed.queries.is_empty() {
        true => vec![paint.style(TextRole::Quiet, "no window has been kept yet")],
        false => lists::history(&listed.queries).render(columns, paint),
    };

    let keep = humanize::elapsed(listed.keep);
    let place = format!("kept for {keep} unless a query says KEEP; files in {}", listed.location);
    lines.extend(wrap(&place, columns).iter().map(|line| paint.style(TextRole::Quiet, line)));
    if let Some(problem) = listed.problem {
        let problem = format!("windows stay in the store and are not put into files: {problem}");
        lines.extend(wrap(&problem, columns).iter().map(|line| paint.style(TextRole::Warning, line)));
    }
    Ok(lines)
}

/// Returns the windows of a query, all or those of the last time, added up step by step.
pub(super) async fn of_query(
    connection: &FrontendConnection,
    query: &QueryReference,
    since: Option<Duration>,
    step: Option<Duration>,
    columns: usize,
    paint: StyleMode,
) -> Result<Vec<String>, CliError> {
    let listed = connection.history().await?;
    let found = find(&listed, query)?;
    let mut frames = connection.read_history(found.number, listed.start_ns(since), step).await?;

    let mut writer = choose_writer(OutputFormat::Table, Some(columns), paint);
    let mut text = Vec::new();
    while let Some(mut frame) = frames.next().await? {
        frame.name = found.name.clone();
        writer.write_frame(&mut text, &frame)?;
    }
    let text = String::from_utf8_lossy(&text).trim_end().to_owned();
    if text.is_empty() {
        return Ok(vec![paint.style(TextRole::Quiet, "no row in that time")]);
    }
    Ok(text.lines().map(str::to_owned).collect())
}

/// Forgets the windows of a query, and returns what to say of it.
pub(super) async fn drop_windows(
    connection: &FrontendConnection,
    query: &QueryReference,
) -> Result<String, CliError> {
    let listed = connection.history().await?;
    let found = find(&listed, query)?;
    connection.drop_history(found.number).await?;
    Ok(format!("the windows of query {} until now are forgotten", found.number))
}

/// Finds a query of which windows are kept: of several with one name the newest.
fn find<'l>(listed: &'l ListedHistory, query: &QueryReference) -> Result<&'l ListedHistoryQuery, CliError> {
    let found = match query {
        QueryReference::Number(number) => listed.queries.iter().find(|query| query.number == *number),
        QueryReference::Name(name) => listed.queries.iter().rfind(|query| query.name == *name),
    };

    found.ok_or_else(|| {
        let query = match query {
            QueryReference::Number(number) => number.to_string(),
            QueryReference::Name(name) => escaped(name),
        };
        CliError::Command(format!(
            "no window of query {query} is kept; \\history lists those of which there are"
        ))
    })
}
